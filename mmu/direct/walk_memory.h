// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_DIRECT_WALK_MEMORY_H_
#define MMU_DIRECT_WALK_MEMORY_H_

#include "gnomon/x86/guest_walk.h"
#include "mmu/direct/pv_tables.h"

// Two ways to walk the same tables: as the hardware does, over host addresses in place, and as the guest
// means them, over the virtual page directory.

namespace gnomon::direct {

/// The hardware. Entries in place were validated, so that it checks no address.
class HardwareTables {
 public:
  using Address = Hpa;
  using Ref = uint8_t*;

  HardwareTables(const P2m& p2m, const PvTables& tables, VcpuState& cpu, bool count)
      : p2m_(p2m), tables_(tables), cpu_(cpu), count_(count) {}

  template <class Entry>
  bool read(Hpa at, unsigned level, Ref& ref, uint64_t& value) {
    ref = p2m_.host().at<uint8_t>(at);
    value = load_entry<Entry>(ref);
    if (count_) {
      ++cpu_.counters.at_level(Counter::kWalkGuestL1, level);
      if (cpu_.observed()) [[unlikely]] {
        const auto l = static_cast<uint8_t>(level);
        const Gpa gpa = tables_.m2p().find(at).value_or(Gpa());
        note_reference(cpu_, {WalkReference::Dimension::kGuest, l, l, gpa.value(), value}, at);
      }
    }
    return true;
  }
  /// Refused while the table's frame is write-protected for the dirty log.
  bool prepare_write(Ref&, Hpa at, unsigned) {
    const std::optional<Gpa> gpa = tables_.m2p().find(at);
    return gpa && p2m_.lookup(*gpa).writable();
  }
  template <class Entry>
  static bool exchange(Ref& ref, uint64_t expected, uint64_t desired) {
    return exchange_entry<Entry>(ref, expected, desired);
  }

 private:
  const P2m& p2m_;
  const PvTables& tables_;
  VcpuState& cpu_;
  bool count_;
};

/// The VMM walking on the guest's behalf, with the VM's lock held (a probe needs it too): typed tables as
/// the guest sees them, other frames as they are.
class VisibleTables {
 public:
  using Address = Gpa;
  struct Ref {
    PvTables* tables;  // null: an ordinary frame
    PvTables::Place place;
    uint8_t* raw;
  };

  VisibleTables(P2m& p2m, PvTables& tables, VcpuState& cpu, Access access)
      : plain_(p2m, cpu, access, GuestTables::Count::kNo, GuestTables::Lock::kHeld),
        p2m_(p2m), tables_(tables) {}

  template <class Entry>
  bool read(Gpa at, unsigned level, Ref& ref, uint64_t& value) {
    if (!plain_.read<Entry>(at, level, ref.raw, value)) return false;
    ref.tables = nullptr;
    if (tables_.types().is_table_at(at)) {
      ref.tables = &tables_;
      ref.place = {p2m_.frame_index(at),
                   static_cast<unsigned>(at.offset_in(PageSize::k4K) / sizeof(Entry))};
      value = tables_.visible(ref.place);
    }
    return true;
  }
  bool prepare_write(Ref& ref, Gpa at, unsigned level) {
    return plain_.prepare_write(ref.raw, at, level);
  }
  template <class Entry>
  static bool exchange(Ref& ref, uint64_t expected, uint64_t desired) {
    if (ref.tables == nullptr) return exchange_entry<Entry>(ref.raw, expected, desired);
    ref.tables->set_flags(ref.place, desired & ~expected);
    return true;
  }
  Translation failure(unsigned level) const { return plain_.failure(level); }

 private:
  GuestTables plain_;
  P2m& p2m_;
  PvTables& tables_;
};

}  // namespace gnomon::direct

#endif  // MMU_DIRECT_WALK_MEMORY_H_
