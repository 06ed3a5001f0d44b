// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GUEST_FRAMES_H_
#define TRACES_GUEST_FRAMES_H_

#include <cstdint>
#include <optional>

#include "gnomon/guest/options.h"
#include "gnomon/memory/lazy_array.h"
#include "traces/guest/summary_bitmap.h"

namespace gnomon::guest {

inline constexpr uint64_t kFrameBytes = 4096;
inline constexpr uint64_t kBlockFrames = 512;  ///< of a 2M block
inline constexpr uint64_t kBlockBytes = kFrameBytes * kBlockFrames;

/// Who owns which frame of guest memory: 4K frames and naturally aligned 2M blocks, by number of 4K
/// frame. Frame 0 is never given out. What a frame costs here is paid when it is first used.
///
/// A frame is counted by its owners (entries that map it, the page cache, whoever took it). A block
/// that is mapped as one has owners as a whole besides those of its frames: a process may have
/// split its 2M entry while another still has it. A frame is free again when it has owners of
/// neither kind.
class Frames {
 public:
  explicit Frames(const GuestOptions& options);
  /// False: the system refused memory for the bookkeeping.
  bool complete() const;

  /// With one owner. nullopt: none is free.
  std::optional<uint64_t> take();
  /// The first frame of a free block, with one owner as a whole. `early`: before anything could
  /// spoil it.
  std::optional<uint64_t> take_block(bool early = false);

  void add_owner(uint64_t frame) { ++owners_[frame]; }
  void drop_owner(uint64_t frame) {
    if (--owners_[frame] == 0 && block_owners_[frame / kBlockFrames] == 0) release(frame);
  }
  void add_block_owner(uint64_t first) { ++block_owners_[first / kBlockFrames]; }
  void drop_block_owner(uint64_t first);
  /// One owner of the whole becomes one owner of each frame.
  void split_block(uint64_t first);

  uint64_t owners(uint64_t frame) const {
    return uint64_t{owners_[frame]} + block_owners_[frame / kBlockFrames];
  }
  /// One owner as a whole, and none of any part.
  bool block_is_exclusive(uint64_t first) const;

  uint64_t total() const { return total_; }
  uint64_t in_use() const { return in_use_; }
  uint64_t peak() const { return peak_; }
  uint64_t end() const { return end_; }  ///< every frame ever given out lies below

 private:
  uint64_t random();
  bool spoiled(uint64_t block) const;
  void note_taken(uint64_t frame, uint64_t count);
  void release(uint64_t frame);

  const FramePlacement placement_;
  const unsigned fragmented_percent_;
  const uint64_t seed_;
  uint64_t state_;
  const uint64_t total_;
  const uint64_t blocks_;     // whole ones
  SummaryBitmap taken_;       // by frame
  SummaryBitmap busy_;        // by block: not free as a whole
  LazyArray<uint16_t> used_;  // frames taken in each block
  LazyArray<uint32_t> owners_;
  LazyArray<uint32_t> block_owners_;
  uint64_t in_use_ = 0;
  uint64_t peak_ = 0;
  uint64_t end_ = 1;
};

}  // namespace gnomon::guest

#endif  // TRACES_GUEST_FRAMES_H_
