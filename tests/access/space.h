// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_ACCESS_SPACE_H_
#define TESTS_ACCESS_SPACE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "gnomon/x86/access.h"
#include "gnomon/x86/controls.h"

// The cases of the access test: every combination of the flags that decide one access.
//
//   page directory pointer   W                                    (4-level and 5-level)
//   page directory entry     P W U A D NX PS and one reserved bit
//   page table entry         P W U A D NX and one reserved bit    (also where PS hides it)
//   protection               key 0 or 1; PKRU AD, WD of key 1 where CR4.PKE is set
//   registers                EFER.NXE, CR0.WP, CR4.PKE            (32-bit: CR4.PSE)
//   access                   read, write, fetch; user, supervisor; after a supervisor read or not
//
// No two reserved bits are set in one case (NX counts while EFER.NXE is clear). For 4-level paging these
// are the combinations of the access test of kvm-unit-tests, which has run against every x86 hypervisor
// for years: 19,169,280 with MAXPHYADDR 37 to 51. The second set, kPrivileges, adds CR4.SMEP, CR4.SMAP
// with EFLAGS.AC, and implicit accesses, and sets the four A and D flags together or not at all.

namespace gnomon::access_test {

struct Space {
  enum class Set : uint8_t { kFlags, kPrivileges };
  PagingMode mode = PagingMode::kLevel4;
  Set set = Set::kFlags;
  uint8_t maxphyaddr = 46;

  bool long_mode() const { return mode == PagingMode::kLevel4 || mode == PagingMode::kLevel5; }
  bool legacy() const { return mode == PagingMode::kLegacy32; }
};

struct ControlSet {
  bool nxe = false, wp = false, pke = false, smep = false, smap = false, pse = true;
};

/// Flags of an entry, as the bits they are; the address comes on top.
struct EntryFlags {
  uint64_t bits = 0;
  bool reserved = false;  ///< one of them is reserved under these controls
};

/// What is done with the mapping once it stands.
struct Step {
  AccessOp op = AccessOp::kRead;
  Privilege by = Privilege::kUser;
  bool after_read = false;  ///< a supervisor read came first; otherwise the access is repeated
  bool ac = false;
  uint32_t pkru = 0;
};

std::vector<ControlSet> control_sets(const Space& space);
std::vector<EntryFlags> directory_entries(const Space& space, const ControlSet& c);
std::vector<EntryFlags> table_entries(const Space& space, const ControlSet& c);
/// May the two stand in one case: not both with a reserved bit, A and D together in kPrivileges.
inline bool is_legal(const Space& space, const EntryFlags& pde, const EntryFlags& pte) {
  if (pde.reserved && pte.reserved) return false;
  constexpr uint64_t kAccessed = 1u << 5;
  return space.set == Space::Set::kFlags || ((pde.bits ^ pte.bits) & kAccessed) == 0;
}
std::vector<Step> steps(const Space& space, const ControlSet& c);

/// Number of cases, counted without running them.
uint64_t count_cases(const Space& space);

std::string to_string(const ControlSet& c);
std::string to_string(const Step& s);

}  // namespace gnomon::access_test

#endif  // TESTS_ACCESS_SPACE_H_
