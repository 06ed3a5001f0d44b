// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_DIRECT_FRAME_TYPES_H_
#define MMU_DIRECT_FRAME_TYPES_H_

#include <atomic>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "gnomon/memory/lazy_array.h"
#include "gnomon/memory/p2m.h"

namespace gnomon::direct {

/// What a guest frame is used as. Never two of these at once: that is what keeps a guest from writing to
/// the tables that the hardware walks.
enum class FrameType : uint8_t { kNone, kL1, kL2, kL3, kL4, kWritable };

constexpr bool is_table(FrameType t) { return t >= FrameType::kL1 && t <= FrameType::kL4; }
constexpr unsigned level_of(FrameType t) { return static_cast<unsigned>(t); }
constexpr FrameType table_type(unsigned level) { return static_cast<FrameType>(level); }

/// The book of types and counts of all guest frames.
///
/// Rules:
///  1. type_count of a table: entries one level up that point to it, plus 1 for a pinned root.
///     type_count of a kWritable frame: 4K leaves that map it writable.
///  2. refs: all present entries that name the frame as a 4K page or a table. An entry of a root that
///     points to the root itself counts here only.
///  3. A large leaf counts in the region of its own size. A writable one is refused while the region holds
///     a table, and a frame becomes a table only if no region around it is mapped writable.
///  4. A count falls to zero, and the type goes, only when the last reference is gone; a table without
///     references keeps its type until its entries are back in the guest's form (PvTables::settle).
///
/// Types are read without a lock; everything else needs the VM's lock.
class FrameTypes {
 public:
  struct Region {
    uint64_t refs = 0;
    uint64_t writable = 0;
    uint64_t tables = 0;
    uint64_t unmapped_at = 0;  // as in Frame
  };
  struct Frame {
    std::atomic<FrameType> type;
    uint64_t type_count;
    uint64_t refs;
    uint64_t unmapped_at;  // epoch in which a mapping of it went away last; 0: never
  };
  using Regions = absl::flat_hash_map<uint64_t, Region>;

  explicit FrameTypes(const P2m& p2m) : p2m_(p2m), frames_(P2m::kMaxFrames) {}

  bool complete() const { return frames_.size() != 0; }

  FrameType type(uint32_t i) const { return frames_[i].type.load(std::memory_order_acquire); }
  bool is_table_at(Gpa gpa) const {
    const uint32_t i = p2m_.frame_index(gpa);
    return i != P2m::kNoIndex && is_table(type(i));
  }
  const Frame& frame(uint32_t i) const { return frames_[i]; }
  const Regions& regions(PageSize size) const { return size == PageSize::k1G ? giga_ : mega_; }

  /// Leaves. `page` is aligned to `size` and all its frames are in a slot.
  bool may_map_writable(Gpa page, PageSize size) const;
  void add_mapping(Gpa page, PageSize size, bool writable);
  void drop_mapping(Gpa page, PageSize size, bool writable, uint64_t epoch);

  /// Tables. `frame` is in a slot.
  bool may_become_table(Gpa frame) const;
  void begin_table(Gpa frame, FrameType type);
  void end_table(Gpa frame);
  void add_table_use(uint32_t i) { ++frames_[i].type_count, ++frames_[i].refs; }
  /// True when that was the last use.
  bool drop_table_use(uint32_t i) { return --frames_[i].refs, --frames_[i].type_count == 0; }
  void add_self_use(uint32_t i) { ++frames_[i].refs; }
  void drop_self_use(uint32_t i) { --frames_[i].refs; }

  /// Notes that a translation of the frame was handed out for which there is no entry.
  void note_unmapped(Gpa frame, uint64_t epoch);
  /// May a TLB hold a translation to this frame that no present entry backs any more?
  bool may_be_stale(Gpa frame, uint64_t epoch) const;
  /// Does any leaf map the frame?
  bool is_mapped(Gpa frame) const;
  /// Does any entry name a frame of the range, as a page, as part of one, or as a table?
  bool any_referenced(Gpa first, uint64_t frames) const;

 private:
  Frame& at(Gpa gpa) { return frames_[p2m_.frame_index(gpa)]; }
  const Frame& at(Gpa gpa) const { return frames_[p2m_.frame_index(gpa)]; }
  Regions& regions(PageSize size) { return size == PageSize::k1G ? giga_ : mega_; }
  const Region* find(PageSize size, Gpa gpa) const;
  template <class F>
  bool any_around(Gpa frame, F&& f) const;  // f(region) for the 2M and 1G regions that have a record

  const P2m& p2m_;
  LazyArray<Frame> frames_;
  Regions mega_, giga_;  // by region number
};

}  // namespace gnomon::direct

#endif  // MMU_DIRECT_FRAME_TYPES_H_
