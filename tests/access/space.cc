// SPDX-License-Identifier: Apache-2.0
#include "tests/access/space.h"

#include "absl/strings/str_cat.h"

namespace gnomon::access_test {
namespace {

constexpr uint64_t bit(unsigned n) { return uint64_t{1} << n; }
constexpr bool kBoth[] = {false, true};

// Reserved bits to try, each alone; 0 stands for none. Bit 51 is an address bit for the widest processor,
// bit 36 is reserved only by the narrow ones.
std::vector<uint64_t> reserved_choices(const Space& space, const ControlSet& c, bool large) {
  std::vector<uint64_t> choices = {0};
  if (space.legacy()) {
    if (large && c.pse) choices.push_back(bit(21));
    return choices;
  }
  if (space.maxphyaddr <= 51) choices.push_back(bit(51));
  if (space.maxphyaddr <= 36) choices.push_back(bit(36));
  if (space.mode == PagingMode::kPae) choices.push_back(bit(62));
  if (large) choices.push_back(bit(13));
  return choices;
}

void add_entries(const Space& space, const ControlSet& c, uint64_t fixed, bool large,
                 std::vector<EntryFlags>& out) {
  const bool tied = space.set == Space::Set::kPrivileges;
  for (const uint64_t reserved : reserved_choices(space, c, large)) {
    for (const bool nx : kBoth) {
      const bool nx_reserved = nx && !c.nxe;
      if (nx && (space.legacy() || (nx_reserved && reserved != 0))) continue;
      for (unsigned flags = 0; flags < 32; ++flags) {
        const bool accessed = (flags & 8) != 0, dirty = (flags & 16) != 0;
        if (tied && accessed != dirty) continue;
        EntryFlags e;
        e.bits = fixed | reserved | (flags & 7) | (accessed ? bit(5) : 0) | (dirty ? bit(6) : 0) |
                 (nx ? bit(63) : 0);
        e.reserved = reserved != 0 || nx_reserved;
        out.push_back(e);
      }
    }
  }
}

}  // namespace

std::vector<ControlSet> control_sets(const Space& space) {
  std::vector<ControlSet> sets;
  const bool privileges = space.set == Space::Set::kPrivileges;
  for (const bool nxe : kBoth) {
    if (nxe && space.legacy()) continue;
    for (const bool pke : kBoth) {
      if (pke && !space.long_mode()) continue;
      for (const bool pse : kBoth) {
        if (!pse && !space.legacy()) continue;
        for (const bool smep : kBoth) {
          for (const bool smap : kBoth) {
            if ((smep || smap) && !privileges) continue;
            for (const bool wp : kBoth) sets.push_back({nxe, wp, pke, smep, smap, pse});
          }
        }
      }
    }
  }
  return sets;
}

std::vector<EntryFlags> directory_entries(const Space& space, const ControlSet& c) {
  std::vector<EntryFlags> entries;
  add_entries(space, c, 0, false, entries);
  add_entries(space, c, bit(7), true, entries);
  return entries;
}

std::vector<EntryFlags> table_entries(const Space& space, const ControlSet& c) {
  std::vector<EntryFlags> entries;
  add_entries(space, c, 0, false, entries);
  return entries;
}

std::vector<Step> steps(const Space& space, const ControlSet& c) {
  const bool privileges = space.set == Space::Set::kPrivileges;
  std::vector<Step> all;
  // Key 2, which only entries that point to tables carry, is always forbidden: it must not matter.
  // Without CR4.PKE everything is.
  std::vector<uint32_t> pkrus = {0xffff'fffc};
  if (c.pke) pkrus = {0x30, 0x34, 0x38, 0x3c};
  for (const uint32_t pkru : pkrus) {
    for (const bool ac : kBoth) {
      if (ac && !c.smap) continue;
      for (const bool after_read : kBoth) {
        if (after_read && privileges) continue;
        for (const Privilege by : {Privilege::kUser, Privilege::kSupervisor, Privilege::kImplicit}) {
          if (by == Privilege::kImplicit && !privileges) continue;
          for (const AccessOp op : {AccessOp::kRead, AccessOp::kWrite, AccessOp::kFetch}) {
            // The processor fetches nothing implicitly.
            if (by == Privilege::kImplicit && op == AccessOp::kFetch) continue;
            all.push_back({op, by, after_read, ac, pkru});
          }
        }
      }
    }
  }
  return all;
}

uint64_t count_cases(const Space& space) {
  uint64_t cases = 0;
  for (const ControlSet& c : control_sets(space)) {
    uint64_t pairs = 0;
    const auto tables = table_entries(space, c);
    for (const EntryFlags& pde : directory_entries(space, c)) {
      for (const EntryFlags& pte : tables) pairs += is_legal(space, pde, pte) ? 1 : 0;
    }
    const uint64_t around = space.long_mode() ? 4 : 1;  // PDPTE.W and the key
    cases += pairs * around * steps(space, c).size();
  }
  return cases;
}

std::string to_string(const ControlSet& c) {
  std::string text;
  const auto add = [&](bool on, const char* name) {
    if (on) absl::StrAppend(&text, text.empty() ? "" : " ", name);
  };
  add(c.nxe, "nxe");
  add(c.wp, "wp");
  add(c.pke, "pke");
  add(c.smep, "smep");
  add(c.smap, "smap");
  add(!c.pse, "no-pse");
  return text;
}

std::string to_string(const Step& s) {
  return absl::StrCat(to_string(Access{s.op, s.by}), s.after_read ? " after a read" : "",
                      s.ac ? " ac" : "", " pkru=0x", absl::Hex(s.pkru));
}

}  // namespace gnomon::access_test
