// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_MEMORY_HOST_MEMORY_H_
#define GNOMON_MEMORY_HOST_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "gnomon/base/address.h"
#include "gnomon/memory/lazy_array.h"

namespace gnomon {

/// Who a host frame belongs to. The auditor checks that no guest mapping reaches a frame whose
/// owner is not kGuestRam.
enum class FrameOwner : uint8_t { kFree, kGuestRam, kShadowTable, kNestedTable, kVmm };

/// The machine's physical memory: one mapping of this process, cut into 4 KiB frames. An Hpa is a
/// position in it, counted from `base()`. Over KVM the mapping is a memory slot, so that an Hpa is
/// the physical address the processor sees.
///
///   auto host = HostMemory::create(64_MiB);
///   std::optional<Hpa> f = (*host)->allocate(FrameOwner::kVmm);
///   auto* bytes = (*host)->at<uint8_t>(*f);
///
/// Pages are committed by the operating system on first touch; frames are zero when allocated.
/// Allocation is deterministic. Not thread-safe: callers hold the VM's lock (see VmLock); reading
/// and writing bytes through `at` needs no lock.
class HostMemory {
 public:
  /// Reserves `bytes` (rounded up to 2 MiB). The first frame has address 2 MiB: host-physical 0 is
  /// no valid frame, so that a zeroed table entry can never reach memory. Errors: InvalidArgument
  /// (zero, or above 2^46), ResourceExhausted (the system refuses the mapping).
  static absl::StatusOr<std::unique_ptr<HostMemory>> create(uint64_t bytes);
  ~HostMemory();
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;

  /// A zeroed naturally aligned block of one page of `size` (4K, 2M or 1G), or nullopt when there
  /// is none. 4K frames are taken from 2M blocks that are already broken, lowest address first.
  std::optional<Hpa> allocate(FrameOwner owner, PageSize size = PageSize::k4K);
  /// A zeroed 4K frame at a position drawn from `random`, for scattered placement. The same number
  /// gives the same frame when the same frames are free.
  std::optional<Hpa> allocate_scattered(FrameOwner owner, uint64_t random);
  /// Returns every frame of the block at `hpa` (which may have been allocated as part of a larger
  /// one, or piecemeal). Blocks of 2M and 1G go back to the operating system at once.
  void free(Hpa hpa, PageSize size = PageSize::k4K);

  bool contains(Hpa hpa, uint64_t bytes = 1) const {
    return hpa.value() >= kBase && hpa.value() - kBase < bytes_ &&
           bytes <= bytes_ - (hpa.value() - kBase);
  }
  FrameOwner owner(Hpa hpa) const {
    return contains(hpa) ? owners_[index(hpa)] : FrameOwner::kFree;
  }

  /// The bytes at `hpa`, which must be inside.
  template <class T = uint8_t>
  T* at(Hpa hpa) const {
    return reinterpret_cast<T*>(mapping_ - kBase + hpa.value());
  }
  Hva hva(Hpa hpa) const { return Hva(reinterpret_cast<uintptr_t>(at<uint8_t>(hpa))); }

  uint64_t bytes() const { return bytes_; }
  uint64_t free_bytes() const { return free_frames_ * bytes_of(PageSize::k4K); }
  Hpa base() const { return Hpa(kBase); }

 private:
  static constexpr uint64_t kBase = 2 << 20;
  static constexpr size_t kFramesPerBlock = 512;  // a block is 2 MiB
  static constexpr size_t kBlocksPerGiant = 512;  // a giant is 1 GiB, naturally aligned
  static constexpr size_t kWordsPerBlock = kFramesPerBlock / 64;
  static constexpr size_t kNone = ~size_t{0};
  using Bitmap = std::vector<uint64_t>;

  HostMemory(uint8_t* mapping, uint64_t bytes);
  // Frames, blocks and giants are all numbered from host-physical 0, as their addresses are.
  static size_t index(Hpa hpa) { return hpa.frame(); }
  static size_t find_first(const Bitmap& bits, size_t& hint);
  bool metadata_complete() const;
  bool is_taken(size_t frame) const { return (taken_[frame / 64] >> (frame % 64)) & 1; }
  size_t free_frame_in(size_t block, size_t start) const;
  size_t block_with_room(size_t start) const;
  void block_changed(size_t block, size_t taken_before);
  Hpa take_frame(size_t frame, FrameOwner owner);
  std::optional<Hpa> take_blocks(size_t block, size_t count, FrameOwner owner);
  void free_blocks(size_t block, size_t count);
  void zero_blocks(size_t block, size_t count);

  uint8_t* mapping_;  // host-physical kBase
  uint64_t bytes_;
  uint64_t free_frames_;

  // Each frame has an owner, and its bit in taken_ is set, exactly while it is allocated. A block
  // is in whole_ if all its frames are free, in broken_ if only some are, in neither if none is.
  LazyArray<FrameOwner> owners_;
  LazyArray<uint64_t> taken_;
  // Frames that may hold old bytes: zeroed when they are allocated next. The others still are as
  // the system delivered them, so that memory never used is never touched.
  LazyArray<uint64_t> used_before_;
  LazyArray<uint16_t> taken_in_block_;
  std::vector<uint16_t> whole_in_giant_;
  Bitmap whole_;
  Bitmap broken_;
  size_t first_whole_ = 0;  // no set bit lies in a word below this one
  size_t first_broken_ = 0;
};

}  // namespace gnomon

#endif  // GNOMON_MEMORY_HOST_MEMORY_H_
