// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gnomon/cost/model.h"

namespace gnomon {
namespace {

using enum Price;

constexpr std::array<PriceInfo, kPriceCount> kPrices = {{
    {kReference, "reference", "cycles", "an access of the program that hits the first-level TLB"},
    {kTlbHitL2, "tlb_hit_l2", "cycles", "what a hit in the second-level TLB takes longer"},
    {kWalkStep, "walk_step", "cycles", "a walk reference, besides waiting for the line"},
    {kCacheL1, "cache_l1", "cycles", "a walk reference whose line is in the first-level cache"},
    {kCacheL2, "cache_l2", "cycles", "one whose line is in the second-level cache"},
    {kCacheLast, "cache_last", "cycles", "one whose line is in the last-level cache"},
    {kMemory, "memory", "cycles", "one whose line is in memory"},
    {kCacheGuess, "cache_guess", "cycles", "a walk reference when caches are not modelled"},
    {kGuestFault, "guest_fault", "cycles",
     "a page fault as the guest's kernel sees it: delivery, a minimal handler, return"},
    {kInvlpg, "invlpg", "cycles", "the INVLPG or INVPCID instruction itself"},
    {kCr3Load, "cr3_load", "cycles", "the MOV to CR3 itself"},
    {kExit, "exit", "cycles", "from the guest to the VMM and back, for any reason"},
    {kHandlePageFault, "handle_page_fault", "cycles",
     "find out what a page fault is about: walk the guest's tables, ask the p2m"},
    {kHandleCr3, "handle_cr3", "cycles", "find or make the root for a loaded CR3"},
    {kHandleInvlpg, "handle_invlpg", "cycles", "carry out a trapped INVLPG or INVPCID"},
    {kHandleControl, "handle_control", "cycles", "carry out a trapped change of CR0, CR4 or EFER"},
    {kHandleTableWrite, "handle_table_write", "cycles",
     "emulate a store to a guest table and bring its shadow in line"},
    {kHandleTableRead, "handle_table_read", "cycles", "emulate a load from a guest table"},
    {kHandleNestedViolation, "handle_nested_violation", "cycles",
     "find out what an EPT violation or nested page fault is about"},
    {kHandleHypercall, "handle_hypercall", "cycles", "dispatch a hypercall, without its updates"},
    {kHandleMmio, "handle_mmio", "cycles", "decode an access to a device region; not the device"},
    {kShadowFill, "shadow_fill", "cycles",
     "an entry that the VMM writes: shadow, marker, nested, or a validated paravirtual update"},
    {kSync, "sync", "cycles", "an out-of-sync table brought back in sync"},
    {kInject, "inject", "cycles", "put a page fault into the guest, besides the exit and guest_fault"},
    {kFlushRequest, "flush_request", "cycles", "ask all vCPUs to flush, and wait for them"},
}};

consteval bool in_order() {
  for (size_t i = 0; i < kPrices.size(); ++i) {
    if (static_cast<size_t>(kPrices[i].id) != i || kPrices[i].name.empty()) return false;
  }
  return true;
}
static_assert(in_order(), "a price is missing or out of order");

}  // namespace

const std::array<PriceInfo, kPriceCount>& price_table() { return kPrices; }

absl::Status CostModel::set(absl::string_view key, absl::string_view value) {
  std::string known;
  for (const PriceInfo& info : kPrices) {
    if (info.name != key) {
      absl::StrAppend(&known, known.empty() ? "" : ", ", info.name);
      continue;
    }
    double number = 0;
    if (!absl::SimpleAtod(value, &number) || !std::isfinite(number) || number < 0 ||
        number > kMaxPrice) {
      return absl::InvalidArgumentError(absl::StrCat("cost: ", key, "=", value, ": want ", info.unit,
                                                     ", a number from 0 to ", kMaxPrice));
    }
    const auto i = static_cast<size_t>(info.id);
    prices[i] = number + 0.0;  // -0 becomes 0
    sources[i] = "given";
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("cost: no price \"", key, "\"; there are ", known));
}

}  // namespace gnomon
