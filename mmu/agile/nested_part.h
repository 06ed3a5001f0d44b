// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_AGILE_NESTED_PART_H_
#define MMU_AGILE_NESTED_PART_H_

#include <vector>

#include "absl/container/flat_hash_map.h"
#include "gnomon/shadow/agile_options.h"
#include "mmu/nested/host_tables.h"
#include "mmu/nested/walk_memory.h"

// What agile paging adds to a shadow pager: nested tables for the lower part of a walk, and the record of which guest
// tables are walked in nested mode.
//
//   CR3 ─► shadow L4 ─► shadow L3 ─► switch ─► guest L2 ─(host walk)─► guest L1 ─(host walk)─► page
//          1            1            1         1 + 4                  1 + 4
//
// A switching entry holds the host address of the guest's table, so the first nested level needs no host walk
// of its own: with s shadow entries read and n = 4 - s nested levels, s + 5n references.

namespace gnomon::agile {

class NestedPart {
 public:
  using Flavour = Ept<4, false>;

  NestedPart(P2m& p2m, const AgileOptions& options) : options_(options), tables_(p2m.host()) {}

  const AgileOptions& options() const { return options_; }
  HostTables<Flavour>& tables() { return tables_; }
  const HostTables<Flavour>& tables() const { return tables_; }

  /// Is this table walked in nested mode?
  bool holds(uint32_t frame) const { return options_.write_threshold == 0 || held_.contains(frame); }
  std::vector<uint32_t> held() const;
  /// Are its first writes of an interval to be reported?
  bool watches(uint32_t frame) const { return held_.contains(frame); }
  /// Is it watched, and not yet written in this interval?
  bool unwritten(uint32_t frame) const {
    const auto it = held_.find(frame);
    return it != held_.end() && !it->second;
  }
  bool watches_any() const { return !held_.empty(); }
  /// Counts a trapped write; true: the table should go to nested mode.
  bool count_write(uint32_t frame) { return ++writes_[frame] >= options_.write_threshold; }
  void enter(uint32_t frame) { held_[frame] = true; }
  bool leave(uint32_t frame) { return held_.erase(frame) != 0; }
  /// A store to a nested table: true if it is the first of the interval, which the nested tables'
  /// write protection reports.
  bool first_write(uint32_t frame);
  /// Counts an exit; true when an interval is over.
  bool exit_ends_interval() { return ++exits_ % options_.interval == 0; }
  /// The tables that were not written since the last call; the others start a new interval unwritten.
  std::vector<uint32_t> quiet_tables();

 private:
  const AgileOptions options_;
  HostTables<Flavour> tables_;
  absl::flat_hash_map<uint32_t, bool> held_;        // written in this interval?
  absl::flat_hash_map<uint32_t, unsigned> writes_;  // to shadowed tables, in this interval
  uint64_t exits_ = 0;
};

}  // namespace gnomon::agile

#endif  // MMU_AGILE_NESTED_PART_H_
