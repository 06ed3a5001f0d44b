// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_X86_RULES_H_
#define GNOMON_X86_RULES_H_

#include <array>
#include <cstdint>

#include "gnomon/base/outcome.h"
#include "gnomon/x86/access.h"
#include "gnomon/x86/controls.h"

namespace gnomon {

/// Everything that a walk needs to know besides the tables, derived once per change of a control
/// register, so that the walk itself does not branch on CR bits.
struct PagingRules {
  static constexpr unsigned kLevels = 6;  // levels are numbered 1..5; 0 is unused

  PagingMode mode = PagingMode::kOff;
  bool wp = false, nxe = false, smep = false, smap = false, pke = false, pse = false, pge = false;
  bool ac = false;
  bool accessed_before_fault = true;
  bool pdptes_in_memory = false;
  uint32_t pkru = 0;
  uint8_t maxphyaddr = 46;

  /// Bits that must be zero in an entry that points to a table, and in one that maps a page.
  std::array<uint64_t, kLevels> reserved_table{};
  std::array<uint64_t, kLevels> reserved_leaf{};
  /// For each access kind a set of rights sets: bit r is set when rights r permit the access.
  std::array<uint8_t, Access::kKinds> permitted{};
  /// Error-code bits that an access kind reports in any fault: W/R, U/S, I/D.
  std::array<uint8_t, Access::kKinds> error_base{};

  /// Do rights `r` composed along the walk permit the access, protection keys aside?
  bool permits(Access access, Rights r) const { return (permitted[access.kind()] >> r) & 1; }
  /// Does the protection key of a user page forbid the access? (SDM 4.6.2)
  bool key_forbids(Access access, Rights r, unsigned key) const {
    if (!pke || access.fetch() || (r & kRightUser) == 0) return false;
    const uint32_t bits = pkru >> (2 * key);
    return (bits & 1) != 0 || ((bits & 2) != 0 && access.write() && (wp || access.user()));
  }
  /// As above, for TLB hits: both checks in one.
  bool allows(Access access, Rights r, unsigned key) const {
    return permits(access, r) && !key_forbids(access, r, key);
  }

  friend bool operator==(const PagingRules&, const PagingRules&) = default;
};

PagingRules derive_rules(const Controls& controls, const CpuModel& cpu);
/// EFLAGS.AC changed.
void update_ac_rule(PagingRules& rules, bool ac);
/// Only EFLAGS.AC or PKRU changed: the cheap part of derive_rules.
inline void update_access_rules(PagingRules& rules, bool ac, uint32_t pkru) {
  rules.pkru = pkru;
  if (rules.ac != ac) [[unlikely]] update_ac_rule(rules, ac);
}

}  // namespace gnomon

#endif  // GNOMON_X86_RULES_H_
