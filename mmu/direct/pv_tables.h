// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_DIRECT_PV_TABLES_H_
#define MMU_DIRECT_PV_TABLES_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "gnomon/x86/format_long.h"
#include "mmu/direct/frame_types.h"
#include "mmu/direct/machine_to_physical.h"
#include "mmu/direct/revoker.h"

// The guest's own tables, validated and in use by the hardware.
//
//   guest frame, type none             the same frame, type L2
//   +--------------------+  promote   +--------------------+
//   | gpa of an L1 table | ---------> | hpa of that frame  | ---> also promoted, type L1
//   | gpa of a 2M page   |            | hpa of that page   |
//   | not present, 0x123 | <--------- | not present, 0x123 |
//   +--------------------+   demote   +--------------------+
//
// Rules of this room:
//  1. Each present entry in place holds a reference on the frame it names, with the type that the hardware
//     will use it as (FrameTypes). No frame is a table and mapped writable at the same time.
//  2. An entry of level n names a table of level n-1. One exception: an entry of a root may name the root
//     itself, read-only (a linear page table); it counts as a use, not as a type.
//  3. An entry that the host had to change is remembered. Suspended: its frame moved or went away; in place
//     it is zero, and `remembered_` has the guest's value. Read-only: its page is dirty-logged; in place its
//     W bit is clear, and being in `remembered_` means that the guest set it. Suspended entries hold no
//     reference; read-only ones hold all that the guest's value needs.
//  4. A table whose last use is gone is doomed. `settle` flushes all vCPUs before it turns the entries
//     back, so that no walk, and no cached part of one, takes a guest address for a host address.
//  5. Every public function that can doom a table settles before it returns.
//
// The VM's lock is held in all of it; hardware walks run meanwhile and set accessed and dirty flags, so
// that entries in use are changed by atomic operations that lose no flag.

namespace gnomon::direct {

/// On whose behalf entries are validated.
struct Request {
  const PagingRules& rules;
  Counters& counters;
};

class PvTables {
 public:
  static constexpr unsigned kEntries = 512;
  /// One place in a table: number of the table's frame, and slot in it.
  struct Place {
    uint32_t table;
    unsigned slot;
    uint64_t key() const { return uint64_t{table} * kEntries + slot; }
  };
  /// What a present entry in place names.
  struct Target {
    Gpa gpa;
    Hpa hpa;
    PageSize size = PageSize::k4K;
    bool leaf = false;
    uint64_t frames() const { return bytes_of(size) >> shift_of(PageSize::k4K); }
    bool meets(Gpa first, uint64_t count) const {
      return gpa.frame() < first.frame() + count && first.frame() < gpa.frame() + frames();
    }
  };

  PvTables(P2m& p2m, Revoker& revoker) : p2m_(p2m), revoker_(revoker), types_(p2m), m2p_(p2m.host()) {}

  bool complete() const { return types_.complete() && m2p_.complete(); }
  FrameTypes& types() { return types_; }
  const FrameTypes& types() const { return types_; }
  const MachineToPhysical& m2p() const { return m2p_; }
  const absl::flat_hash_set<uint32_t>& tables() const { return tables_; }

  // Roots and entries (pv_tables.cc).
  /// Validates the frame as a root and holds it. False: refused, nothing has changed.
  bool pin(Gpa frame, const Request& request);
  void unpin(uint32_t table);
  /// Stores one or two adjacent entries, given as the guest sees them, in a table. `keep_flags[i]`: the
  /// store did not touch the byte with the A and D flags, which the hardware may set at any time.
  /// False: refused, nothing has changed.
  struct NewEntry {
    uint64_t value;
    bool keep_flags;
  };
  bool update(Place place, absl::Span<const NewEntry> values, const Request& request);
  /// The entry as the guest sees it: the virtual page directory.
  uint64_t visible(Place place) const;
  /// The hardware sets these flags through a software walk: in place, or in the remembered value.
  void set_flags(Place place, uint64_t flags);
  /// Puts a suspended entry back. False: it may not be mapped as things are now.
  bool reinstate(Place place, const Request& request);

  // What the host does (pv_host_changes.cc). The first two end with a flush of all vCPUs.
  /// Makes all entries absent that name a frame of the range; no table is left in it.
  void suspend(Gpa first, uint64_t frames);
  /// Makes all entries read-only that map a frame of the range.
  void write_protect(Gpa first, uint64_t frames);
  /// Gives a read-only entry its W bit back. False: part of its page is still dirty-logged.
  bool make_writable(Place place);

  /// Can there be remembered entries? Without a lock.
  bool remembers() const { return remembered_count_.load(std::memory_order_acquire) != 0; }
  bool is_remembered(Place place) const { return remembered_.contains(place.key()); }
  const absl::flat_hash_map<uint64_t, uint64_t>& remembered() const { return remembered_; }
  const std::vector<uint32_t>& doomed() const { return doomed_; }

  uint64_t* entries_at(uint32_t table) const;
  uint64_t raw(Place place) const;
  /// Of a present entry as it is in place, at the level of its table.
  Target target_of(uint64_t raw, unsigned level) const;
  /// Is any frame of the page write-protected for the dirty log now?
  bool any_logged(Gpa page, PageSize size) const;

 private:
  struct Installed {
    uint64_t raw;
    bool read_only;
  };

  std::optional<Installed> acquire(uint32_t table, unsigned level, uint64_t value,
                                   const Request& request);
  bool acquire_leaf(Gpa page, PageSize size, bool writable, P2mEntry e);
  bool acquire_table(Gpa frame, FrameType type, const Request& request);
  bool promote(Gpa frame, FrameType type, const Request& request);
  void release(uint32_t table, unsigned level, Installed entry);
  void drop_table(uint32_t table);
  void turn_back(uint32_t table, unsigned entries);
  void settle(bool flush);
  void remember(Place place, uint64_t value);
  bool forget(Place place);
  void suspend_entry(Place place);
  template <class F>
  void for_each_entry(F&& f) const;  // f(place, raw, level) for each present entry in place

  P2m& p2m_;
  Revoker& revoker_;
  FrameTypes types_;
  MachineToPhysical m2p_;
  absl::flat_hash_set<uint32_t> tables_;
  absl::flat_hash_map<uint64_t, uint64_t> remembered_;  // by Place::key()
  std::atomic<size_t> remembered_count_{0};
  std::vector<uint32_t> doomed_;
  // A frame that TLBs may have as an ordinary page became a table: its loads must trap from now on.
  bool retyped_ = false;
};

}  // namespace gnomon::direct

#endif  // MMU_DIRECT_PV_TABLES_H_
