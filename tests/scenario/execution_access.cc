// SPDX-License-Identifier: Apache-2.0
//
// The whole life of one access.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "mmu/guest_access.h"
#include "tests/scenario/execution.h"

namespace gnomon::scenario {
namespace {

constexpr Access access_of(unsigned kind) {
  return {static_cast<AccessOp>(kind / 3), static_cast<Privilege>(kind % 3)};
}

// Does a TLB entry with these rights let the access through?
bool lets_through(const PagingRules& rules, Access access, Rights rights, uint8_t key,
                  bool writable) {
  return rules.allows(access, rights, key) && (!access.write() || writable);
}

}  // namespace

Problem Execution::use(VcpuState& cpu, const Action& a) {
  ++stats_.accesses;
  const Access access = access_of(a.choice);
  const Gva va(a.address);
  const NaiveResult expected = naive_.translate(cpu.controls, cpu.cpu, va, access, false);
  if (step_ % options_.probe_every == 0) {
    if (Problem p = check_probe(cpu, va, access, expected)) return p;
  }
  if (Problem p = foresee(cpu, va)) return p;
  const Translation got = m_.backend().miss(cpu, va, access);
  count(got);
  if (got.cause == HostCause::kNoMemory) return "the host has room, but got " + to_string(got);
  const History& history = histories_[cpu.id];
  const size_t page = static_cast<size_t>(
      std::lower_bound(history.pages().begin(), history.pages().end(), va.page_base()) -
      history.pages().begin());
  const bool may_be_stale = history.any_stale(page, [&](const Cached& c) {
    return lets_through(cpu.rules, access, c.rights, c.key, c.dirty);
  });
  const std::string wrong = difference(expected, got, m_.p2m());
  if (direct_ && got.outcome == Outcome::kHostViolation && got.cause == HostCause::kNone) {
    ++stats_.refused;  // these tables are not validated: the guest would be killed
    return {};
  }
  if (!wrong.empty()) {
    const bool allowed = history.any_stale(page, [&](const Cached& c) {
      return lets_through(cpu.rules, access, c.rights, c.key, c.dirty) &&
             agrees(c, va, access, got);
    });
    if (!allowed) return wrong;
    ++stats_.stale_answers;
  }
  if (Problem p = check_flags(expected, may_be_stale)) return p;
  if (got.ok() && got.cacheable) {
    if (Problem p = check_cacheable(cpu, history, page, expected, got, wrong.empty())) return p;
  }
  if (!got.ok()) return {};
  // The store may change the very tables that were walked: what they said in between counts.
  if (access.write() && changed_) observe_all();
  return transfer(cpu, access, got, a.value, clipped(a.address, a.size));
}

Problem Execution::foresee(const VcpuState& cpu, Gva va) {
  latest_[stats_.accesses % latest_.size()] = va;
  const Counters vcpu = cpu.counters;
  const Counters backend = m_.backend().counters();
  m_.backend().foresee(cpu, foresight_[cpu.id], latest_);
  for (const CounterInfo& row : counter_table()) {
    if (vcpu[row.id] == cpu.counters[row.id] && backend[row.id] == m_.backend().counters()[row.id])
      continue;
    return absl::StrCat("foreseeing an access changed the counter ", row.name);
  }
  return {};
}

Problem Execution::check_probe(VcpuState& cpu, Gva va, Access access, const NaiveResult& expected) {
  // A probe sets no flags, so it does not see them in a table that maps itself.
  if (expected.update_count != 0) return {};
  access = access.with_probe(true);
  const Translation t = m_.backend().miss(cpu, va, access);
  if (t.ok() && m_.p2m().lookup(t.gpa).state() == FrameState::kLazy) return {};
  const std::string wrong = difference(expected, t, m_.p2m());
  const bool refused =
      direct_ && t.outcome == Outcome::kHostViolation && t.cause == HostCause::kNone;
  if (wrong.empty() || refused) return {};
  return "probe: " + wrong;
}

bool Execution::agrees(const Cached& c, Gva va, Access access, const Translation& got) const {
  const Gpa at = c.page.with_offset(c.size, va.value());
  const P2mEntry e = m_.p2m().lookup(at);
  if (got.outcome == Outcome::kGuestFault || got.level != 0 || got.gpa != at) return false;
  if (!e.is_ram()) return !got.ok() && got.cause == cause_of(e.state());
  if (access.write() && e.rom()) return got.cause == HostCause::kReadOnly;
  return got.ok() && got.hpa == e.frame().with_offset(PageSize::k4K, at.value());
}

Problem Execution::check_flags(const NaiveResult& expected, bool may_be_stale) {
  for (unsigned i = 0; i < expected.update_count; ++i) {
    const NaiveResult::Update& u = expected.updates[i];
    ++stats_.flag_updates;
    // The flags are in the first byte of the entry.
    uint64_t byte = 0;
    if (!m_.backend().read_physical(m_.cpu(0), u.at, 1, byte)) {
      return absl::StrCat("no memory at ", to_string(u.at), " to hold flags");
    }
    const auto is = static_cast<uint8_t>(may_be_stale ? byte & u.after : u.after);
    // In a table that maps itself one entry may be updated at several levels: `u.before` is then
    // not what memory held before this access.
    wrote(u.at, is | mirror_.load(u.at, 1), 1);
    touch(u.at);
  }
  return {};
}

Problem Execution::check_cacheable(const VcpuState& cpu, const History& history, size_t page,
                                   const NaiveResult& expected, const Translation& got,
                                   bool exact) {
  const bool writable = m_.p2m().lookup(got.gpa).writable();
  for (unsigned kind = 0; kind < Access::kKinds; ++kind) {
    const Access other = access_of(kind);
    if (!lets_through(cpu.rules, other, got.rights, got.key, got.dirty)) continue;
    if (exact &&
        lets_through(cpu.rules, other, expected.rights, expected.key, expected.dirty && writable)) {
      continue;
    }
    if (history.any_stale(page, [&](const Cached& c) {
          return lets_through(cpu.rules, other, c.rights, c.key, c.dirty && writable);
        })) {
      continue;
    }
    return absl::StrCat("may be cached and would let a ", to_string(other),
                        " through: ", to_string(got), ", but the guest's tables say ",
                        to_string(expected));
  }
  if (!exact) return {};
  // Without paging the guest's page is the whole address space.
  const bool off = cpu.rules.mode == PagingMode::kOff;
  const PageSize largest =
      cacheable_size(off ? PageSize::k1G : expected.guest_size, m_.p2m().lookup(got.gpa).size());
  const bool stale = history.any_stale(page, [](const Cached&) { return true; });
  if (got.size > largest && !stale) {
    return absl::StrCat("may be cached as a page of ", name_of(got.size), ", but is one of ",
                        name_of(largest));
  }
  if (got.global && !expected.global && !stale) return std::string("global, but not in the tables");
  return {};
}

}  // namespace gnomon::scenario
