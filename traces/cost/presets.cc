// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "absl/strings/str_cat.h"
#include "gnomon/cost/model.h"

// One row per price: cycles, and where the number is from. "assumed:" says that no source is known to us;
// "second hand" that the figure is quoted by others and was not checked against the paper.

namespace gnomon {
namespace {

struct Row {
  Price price;
  double cycles;
  absl::string_view source;
};
using Rows = std::array<Row, kPriceCount>;
using enum Price;

consteval bool in_order(const Rows& rows) {
  for (size_t i = 0; i < rows.size(); ++i) {
    if (static_cast<size_t>(rows[i].price) != i || rows[i].source.empty()) return false;
  }
  return true;
}

constexpr absl::string_view kHidden = "assumed: the latency of a first-level hit is mostly hidden";
constexpr absl::string_view kWalker = "assumed: the walker's own work on an entry";
constexpr absl::string_view kBetween = "assumed: between the second level and the last";
constexpr absl::string_view kNative =
    "assumed: as on a Pentium 4, 1093 (Adams and Agesen, ASPLOS 2006, second hand)";
constexpr absl::string_view kFlush100 =
    "100 ns for one page, Linux arch/x86/mm/tlb.c (second hand), at 3 GHz";
constexpr absl::string_view kSoftwareWalk = "assumed: a software walk and a look-up of the slot";
constexpr absl::string_view kRootFound = "assumed: the root is found in a cache of roots";
constexpr absl::string_view kOneEntry = "assumed: one entry is looked up and dropped";
constexpr absl::string_view kRoleChange = "assumed: the paging mode is derived again";
constexpr absl::string_view kEmulate = "assumed: decode, emulate, and find the shadows of the table";
constexpr absl::string_view kEmulateLoad = "assumed: decode and emulate";
constexpr absl::string_view kSlotOnly = "assumed: a look-up of the slot and of the host's page";
constexpr absl::string_view kDispatch = "assumed: a table of functions";
constexpr absl::string_view kFill155 =
    "assumed: as this engine's own, 155 ns with its walks (docs/performance.md, ShadowFill)";
constexpr absl::string_view kSync512 = "assumed: 512 entries, 3 cycles each";
constexpr absl::string_view kInjected = "assumed: fields of the control structure written";
constexpr absl::string_view kInterrupt = "assumed: one interprocessor interrupt, and the wait for it";

constexpr Rows kVtx = {{
    {kReference, 1, kHidden},
    {kTlbHitL2, 7, "Intel Optimization Reference Manual: second-level TLB hit (second hand)"},
    {kWalkStep, 1, kWalker},
    {kCacheL1, 5, "Intel Optimization Reference Manual: Ice Lake, 5 (second hand)"},
    {kCacheL2, 14, "Intel Optimization Reference Manual: Skylake server, 14 (second hand)"},
    {kCacheLast, 60, "Intel Optimization Reference Manual: Skylake server, 50 to 70 (second hand)"},
    {kMemory, 240, "assumed: 80 ns at 3 GHz"},
    {kCacheGuess, 20, kBetween},
    {kGuestFault, 1000, kNative},
    {kInvlpg, 300, kFlush100},
    {kCr3Load, 200, "assumed: with PCIDs"},
    {kExit, 1300, "Dall et al., ISCA 2016, table II: hypercall under KVM on x86 (second hand)"},
    {kHandlePageFault, 2000, kSoftwareWalk},
    {kHandleCr3, 400, kRootFound},
    {kHandleInvlpg, 500, kOneEntry},
    {kHandleControl, 1000, kRoleChange},
    {kHandleTableWrite, 2500, kEmulate},
    {kHandleTableRead, 1500, kEmulateLoad},
    {kHandleNestedViolation, 1500, kSlotOnly},
    {kHandleHypercall, 200, kDispatch},
    {kHandleMmio, 1500, kEmulateLoad},
    {kShadowFill, 500, kFill155},
    {kSync, 1500, kSync512},
    {kInject, 300, kInjected},
    {kFlushRequest, 2000, kInterrupt},
}};

constexpr Rows kSvm = {{
    {kReference, 1, kHidden},
    {kTlbHitL2, 7, "assumed: as Intel's"},
    {kWalkStep, 1, kWalker},
    {kCacheL1, 4, "Chips and Cheese, Zen 4 part 2 (2022, second hand)"},
    {kCacheL2, 14, "Chips and Cheese, Zen 4 part 2 (2022, second hand)"},
    {kCacheLast, 50, "Chips and Cheese, Zen 4 part 2 (2022): about 50 (second hand)"},
    {kMemory, 300, "assumed: 85 ns at 3.5 GHz"},
    {kCacheGuess, 20, kBetween},
    {kGuestFault, 1000, kNative},
    {kInvlpg, 300, kFlush100},
    {kCr3Load, 200, "assumed: with PCIDs"},
    {kExit, 1360, "1344 to 1376 around VMRUN, linux-kernel list, December 2020, on saving host state "
                  "with VMSAVE"},
    {kHandlePageFault, 2000, kSoftwareWalk},
    {kHandleCr3, 400, kRootFound},
    {kHandleInvlpg, 500, kOneEntry},
    {kHandleControl, 1000, kRoleChange},
    {kHandleTableWrite, 2500, kEmulate},
    {kHandleTableRead, 1500, kEmulateLoad},
    {kHandleNestedViolation, 1500, kSlotOnly},
    {kHandleHypercall, 200, kDispatch},
    {kHandleMmio, 1500, kEmulateLoad},
    {kShadowFill, 500, kFill155},
    {kSync, 1500, kSync512},
    {kInject, 300, kInjected},
    {kFlushRequest, 2000, kInterrupt},
}};

constexpr Rows kPrescott = {{
    {kReference, 1, kHidden},
    {kTlbHitL2, 0, "there is no second-level TLB"},
    {kWalkStep, 1, kWalker},
    {kCacheL1, 4, "assumed"},
    {kCacheL2, 27, "assumed"},
    {kCacheLast, 300, "there is no third level: as memory"},
    {kMemory, 300, "assumed: 80 ns at 3.8 GHz"},
    {kCacheGuess, 30, "assumed: a second-level hit"},
    {kGuestFault, 1093, "Adams and Agesen, ASPLOS 2006: native page fault (second hand)"},
    {kInvlpg, 500, "assumed"},
    {kCr3Load, 400, "assumed"},
    {kExit, 3963, "Agesen et al., USENIX ATC 2012, table 1: Prescott (second hand)"},
    {kHandlePageFault, 5000, "Adams and Agesen 2006: page fault 11242, less native 1093 and the exit, "
                             "is 6186; the split is assumed (second hand)"},
    {kHandleCr3, 3000, "assumed: no cache of roots"},
    {kHandleInvlpg, 1500, kOneEntry},
    {kHandleControl, 2000, kRoleChange},
    {kHandleTableWrite, 8770,
     "Adams and Agesen 2006: PTE modification 12733, less the exit (second hand)"},
    {kHandleTableRead, 4000, kEmulateLoad},
    {kHandleNestedViolation, 4000, "assumed: the processor has no nested paging"},
    {kHandleHypercall, 400, kDispatch},
    {kHandleMmio, 4000, kEmulateLoad},
    {kShadowFill, 1000, "assumed"},
    {kSync, 3000, "assumed: 512 entries, 6 cycles each"},
    {kInject, 1186, "the rest of the 6186 of handle_page_fault (second hand)"},
    {kFlushRequest, 4000, kInterrupt},
}};

constexpr absl::string_view kAsVtx = "as vtx";
constexpr Rows kNestedHost = {{
    {kReference, 1, kAsVtx},
    {kTlbHitL2, 7, kAsVtx},
    {kWalkStep, 1, kAsVtx},
    {kCacheL1, 5, kAsVtx},
    {kCacheL2, 14, kAsVtx},
    {kCacheLast, 60, kAsVtx},
    {kMemory, 240, kAsVtx},
    {kCacheGuess, 20, kAsVtx},
    {kGuestFault, 1000, kAsVtx},
    {kInvlpg, 300, kAsVtx},
    {kCr3Load, 200, kAsVtx},
    {kExit, 93000, "measured: 31 us at 3 GHz, a trapped exit at CPL 3 to user space and back, KVM "
                   "without EPT in a virtual machine, Linux 6.18"},
    {kHandlePageFault, 2000, kAsVtx},
    {kHandleCr3, 400, kAsVtx},
    {kHandleInvlpg, 500, kAsVtx},
    {kHandleControl, 1000, kAsVtx},
    {kHandleTableWrite, 2500, kAsVtx},
    {kHandleTableRead, 1500, kAsVtx},
    {kHandleNestedViolation, 1500, kAsVtx},
    {kHandleHypercall, 200, kAsVtx},
    {kHandleMmio, 0, "measured: 26 us for a whole MMIO exit, less than the price of an exit"},
    {kShadowFill, 500, kAsVtx},
    {kSync, 1500, kAsVtx},
    {kInject, 300, kAsVtx},
    {kFlushRequest, 93000, "assumed: the interrupt is itself an exit"},
}};

constexpr absl::string_view kDmtCaches = "DMT (ASPLOS 2024), published artefact";
constexpr absl::string_view kNotInDmt = "not priced by DMT, which looks at walks only";
constexpr Rows kDmt = {{
    {kReference, 0, kNotInDmt},
    {kTlbHitL2, 0, kNotInDmt},
    {kWalkStep, 0, "a reference costs what finding its line does; one that a walk cache answers (1 "
                   "cycle in DMT) is none here"},
    {kCacheL1, 4, kDmtCaches},
    {kCacheL2, 14, kDmtCaches},
    {kCacheLast, 54, kDmtCaches},
    {kMemory, 200, kDmtCaches},
    {kCacheGuess, 14, "assumed: a second-level hit; DMT always models caches"},
    {kGuestFault, 0, kNotInDmt},
    {kInvlpg, 0, kNotInDmt},
    {kCr3Load, 0, kNotInDmt},
    {kExit, 0, kNotInDmt},
    {kHandlePageFault, 0, kNotInDmt},
    {kHandleCr3, 0, kNotInDmt},
    {kHandleInvlpg, 0, kNotInDmt},
    {kHandleControl, 0, kNotInDmt},
    {kHandleTableWrite, 0, kNotInDmt},
    {kHandleTableRead, 0, kNotInDmt},
    {kHandleNestedViolation, 0, kNotInDmt},
    {kHandleHypercall, 0, kNotInDmt},
    {kHandleMmio, 0, kNotInDmt},
    {kShadowFill, 0, kNotInDmt},
    {kSync, 0, kNotInDmt},
    {kInject, 0, kNotInDmt},
    {kFlushRequest, 0, kNotInDmt},
}};

static_assert(in_order(kVtx) && in_order(kSvm) && in_order(kPrescott) && in_order(kNestedHost) &&
                  in_order(kDmt),
              "a price is missing, out of order, or without a source");

CostModel make(absl::string_view name, const Rows& rows) {
  CostModel model;
  model.name = std::string(name);
  for (size_t i = 0; i < kPriceCount; ++i) {
    model.prices[i] = rows[i].cycles;
    model.sources[i] = std::string(rows[i].source);
  }
  return model;
}

constexpr auto kPresets = std::to_array<CostPreset>({
    {"vtx", "a recent Intel processor with VT-x, 3 GHz", [] { return make("vtx", kVtx); }},
    {"svm", "a recent AMD processor with SVM, 3.5 GHz", [] { return make("svm", kSvm); }},
    {"prescott", "the first processors with VT-x (Pentium 4 of 2005, 3.8 GHz), where exits cost thousands",
     [] { return make("prescott", kPrescott); }},
    {"nested-host", "a VMM that itself runs in a virtual machine, on KVM without EPT, 3 GHz",
     [] { return make("nested-host", kNestedHost); }},
    {"dmt", "walks alone, at the latencies of DMT (ASPLOS 2024): all else is free",
     [] { return make("dmt", kDmt); }},
});

}  // namespace

absl::Span<const CostPreset> cost_presets() { return kPresets; }

absl::StatusOr<CostModel> find_cost_model(absl::string_view name) {
  std::string known;
  for (const CostPreset& preset : kPresets) {
    if (preset.name == name) return preset.make();
    absl::StrAppend(&known, known.empty() ? "" : ", ", preset.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no cost preset \"", name, "\"; there are ", known));
}

}  // namespace gnomon
