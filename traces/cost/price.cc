// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "absl/strings/str_cat.h"
#include "gnomon/cost/model.h"

namespace gnomon {
namespace {

using C = Counter;
using G = CostGroup;
using P = Price;
constexpr Price kNone = P::kCount;

constexpr std::array<CostGroupInfo, kCostGroupCount> kGroups = {{
    {G::kProgram, "program", "the program's own accesses, the same under every backend"},
    {G::kTlb, "tlb", "hits in the second-level TLB"},
    {G::kGuestWalk, "guest_walk", "references of page walks to the guest's tables"},
    {G::kHostWalk, "host_walk", "references of page walks to nested tables"},
    {G::kShadowWalk, "shadow_walk", "references of page walks to shadow tables"},
    {G::kGuestKernel, "guest_kernel", "faults, flushes and context switches as they are without a VMM"},
    {G::kExits, "exits", "round trips to the VMM, and what it does first about each"},
    {G::kVmmWork, "vmm_work", "entries written, tables synced, faults injected, flushes requested"},
}};

consteval bool in_order() {
  for (size_t i = 0; i < kGroups.size(); ++i) {
    if (static_cast<size_t>(kGroups[i].id) != i || kGroups[i].name.empty()) return false;
  }
  return true;
}
static_assert(in_order(), "a group is missing or out of order");

// Counters that are parts of others here ("of these, …", what became of an exit) are left out, or they
// would be paid twice.
constexpr auto kTerms = std::to_array<CostTerm>({
    {C::kAccesses, G::kProgram, {P::kReference, kNone}},
    {C::kTlbHitsL2, G::kTlb, {P::kTlbHitL2, kNone}},
    {C::kWalkGuestL1, G::kGuestWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkGuestL2, G::kGuestWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkGuestL3, G::kGuestWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkGuestL4, G::kGuestWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkGuestL5, G::kGuestWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkHostL1, G::kHostWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkHostL2, G::kHostWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkHostL3, G::kHostWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkHostL4, G::kHostWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkHostL5, G::kHostWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkShadowL1, G::kShadowWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkShadowL2, G::kShadowWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkShadowL3, G::kShadowWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkShadowL4, G::kShadowWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kWalkShadowL5, G::kShadowWalk, {P::kWalkStep, P::kCacheGuess}},
    {C::kGuestFaults, G::kGuestKernel, {P::kGuestFault, kNone}},
    {C::kInvlpgs, G::kGuestKernel, {P::kInvlpg, kNone}},
    {C::kCr3Loads, G::kGuestKernel, {P::kCr3Load, kNone}},
    {C::kExitPageFault, G::kExits, {P::kExit, P::kHandlePageFault}},
    {C::kExitCr3, G::kExits, {P::kExit, P::kHandleCr3}},
    {C::kExitInvlpg, G::kExits, {P::kExit, P::kHandleInvlpg}},
    {C::kExitControl, G::kExits, {P::kExit, P::kHandleControl}},
    {C::kExitTableWrite, G::kExits, {P::kExit, P::kHandleTableWrite}},
    {C::kExitTableRead, G::kExits, {P::kExit, P::kHandleTableRead}},
    {C::kExitNestedViolation, G::kExits, {P::kExit, P::kHandleNestedViolation}},
    {C::kExitHypercall, G::kExits, {P::kExit, P::kHandleHypercall}},
    {C::kExitMmio, G::kExits, {P::kExit, P::kHandleMmio}},
    {C::kShadowFills, G::kVmmWork, {P::kShadowFill, kNone}},
    {C::kPrefetched, G::kVmmWork, {P::kShadowFill, kNone}},
    {C::kMmioEntries, G::kVmmWork, {P::kShadowFill, kNone}},
    {C::kNestedFills, G::kVmmWork, {P::kShadowFill, kNone}},
    {C::kPvUpdates, G::kVmmWork, {P::kShadowFill, kNone}},
    {C::kPvUpdatesRefused, G::kVmmWork, {P::kShadowFill, kNone}},
    {C::kSyncedPages, G::kVmmWork, {P::kSync, kNone}},
    {C::kReflectedFaults, G::kVmmWork, {P::kInject, kNone}},
    {C::kTlbFlushRequests, G::kVmmWork, {P::kFlushRequest, kNone}},
});

void add(CostBreakdown& to, std::string name, CostGroup group, uint64_t count, double each) {
  const double cycles = static_cast<double>(count) * each;
  if (cycles == 0) return;
  to.items.push_back({std::move(name), group, count, cycles});
  to.groups[static_cast<size_t>(group)] += cycles;
}

void add_found(CostBreakdown& to, const CostModel& model, absl::string_view dimension, CostGroup group,
               const std::array<uint64_t, kCacheHitCount>& found) {
  constexpr std::array<absl::string_view, kCacheHitCount> kNames = {"l1", "l2", "last", "memory"};
  constexpr std::array<Price, kCacheHitCount> kWhere = {P::kCacheL1, P::kCacheL2, P::kCacheLast, P::kMemory};
  for (size_t i = 0; i < kCacheHitCount; ++i) {
    add(to, absl::StrCat("walk_", dimension, "_found_in_", kNames[i]), group, found[i],
        model[kWhere[i]]);
  }
}

}  // namespace

const std::array<CostGroupInfo, kCostGroupCount>& cost_group_table() { return kGroups; }
absl::Span<const CostTerm> cost_terms() { return kTerms; }

CostBreakdown price(const CostModel& model, const Counters& counters, const CacheStats* caches) {
  CostBreakdown result;
  for (const CostTerm& term : kTerms) {
    double each = 0;
    for (const Price p : term.prices) {
      const bool counts = p != kNone && !(p == P::kCacheGuess && caches != nullptr);
      if (counts) each += model[p];
    }
    add(result, std::string(info(term.counter).name), term.group, counters[term.counter], each);
  }
  if (caches != nullptr) {
    add_found(result, model, "guest", G::kGuestWalk, caches->guest);
    add_found(result, model, "host", G::kHostWalk, caches->host);
    add_found(result, model, "shadow", G::kShadowWalk, caches->shadow);
  }
  for (const double cycles : result.groups) result.total += cycles;
  result.exits = result.groups[static_cast<size_t>(G::kExits)];
  return result;
}

// With r the rest of a total and e its exits: r_a + f e_a = r_b + f e_b.
std::optional<double> break_even(const CostBreakdown& a, const CostBreakdown& b) {
  const double exits = a.exits - b.exits;
  if (exits == 0) return std::nullopt;
  if (a.total == b.total) return 1.0;
  const double factor = ((b.total - b.exits) - (a.total - a.exits)) / exits;
  if (!std::isfinite(factor) || factor <= 0) return std::nullopt;
  return factor;
}

}  // namespace gnomon
