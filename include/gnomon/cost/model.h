// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_COST_MODEL_H_
#define GNOMON_COST_MODEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/base/counters.h"
#include "gnomon/cache/hierarchy.h"

// Modelled cycles: a view on the counters, never the result. Linear: cycles = sum of price * count, so
// that the effect of a price can be read off, and a break-even solved for. docs/cost-model.md

namespace gnomon {

/// Prices, in cycles of the modelled processor unless the table says otherwise.
enum class Price : uint8_t {
  // The program itself, the same under every backend.
  kReference,  ///< an access that hits the first-level TLB
  // Translation.
  kTlbHitL2, kWalkStep,
  kCacheL1, kCacheL2, kCacheLast, kMemory,
  kCacheGuess,  ///< a walk reference when caches are not modelled
  // The guest's own fault, the same work under every backend.
  kGuestFault, kInvlpg, kCr3Load,
  // Exits: the round trip, and then what the VMM does about each reason.
  kExit,
  kHandlePageFault, kHandleCr3, kHandleInvlpg, kHandleControl, kHandleTableWrite, kHandleTableRead,
  kHandleNestedViolation, kHandleHypercall, kHandleMmio,
  kShadowFill, kSync, kInject, kFlushRequest,
  kCount,
};
inline constexpr size_t kPriceCount = static_cast<size_t>(Price::kCount);

struct PriceInfo {
  Price id;
  absl::string_view name;  ///< snake_case: the key in `--cost KEY=VALUE` and configuration files
  absl::string_view unit;
  absl::string_view description;
};
const std::array<PriceInfo, kPriceCount>& price_table();

/// No price is above this, so that a total of 64-bit counts is always finite.
inline constexpr double kMaxPrice = 1e15;

struct CostModel {
  std::string name;
  std::array<double, kPriceCount> prices{};
  std::array<std::string, kPriceCount> sources{};  ///< where each number is from; "given" if overridden
  double operator[](Price p) const { return prices[static_cast<size_t>(p)]; }
  /// A number from 0 to kMaxPrice; InvalidArgument names the key, or what is known.
  absl::Status set(absl::string_view key, absl::string_view value);
};

struct CostPreset {
  absl::string_view name;
  absl::string_view description;
  CostModel (*make)();
};
absl::Span<const CostPreset> cost_presets();
/// InvalidArgument names what is known.
absl::StatusOr<CostModel> find_cost_model(absl::string_view name);

/// Groups of a breakdown, in the order they are shown and stacked.
enum class CostGroup : uint8_t {
  kProgram, kTlb, kGuestWalk, kHostWalk, kShadowWalk, kGuestKernel, kExits, kVmmWork, kCount,
};
inline constexpr size_t kCostGroupCount = static_cast<size_t>(CostGroup::kCount);
struct CostGroupInfo {
  CostGroup id;
  absl::string_view name;
  absl::string_view description;
};
const std::array<CostGroupInfo, kCostGroupCount>& cost_group_table();

/// One rule of the model: each of `counter` costs the sum of `prices`.
struct CostTerm {
  Counter counter;
  CostGroup group;
  std::array<Price, 2> prices;  ///< kCount: none
};
/// All of them, but for where caches found the lines of walk references (see `price`).
absl::Span<const CostTerm> cost_terms();

/// One term: a count at a price.
struct CostItem {
  std::string name;  ///< of the counter; walk_guest_found_in_l1 and such where caches are modelled
  CostGroup group;
  uint64_t count = 0;
  double cycles = 0;
};
struct CostBreakdown {
  std::vector<CostItem> items;  ///< terms that are not 0
  std::array<double, kCostGroupCount> groups{};
  double total = 0;
  /// The part of the total that grows with the price kExit (and the kHandle… of each exit): what the
  /// sensitivity turns. It is the group kExits.
  double exits = 0;
};

/// What `counters` cost: those of a vCPU and those of its backend, added up. `caches`: where the walk
/// references of these counters were found; null: they cost kCacheGuess each. References of data are
/// not priced: they are in kReference.
CostBreakdown price(const CostModel& model, const Counters& counters, const CacheStats* caches);

/// By what factor the cost of exits must change for `a` and `b` to cost the same; nullopt: no positive
/// factor does (their order never flips).
std::optional<double> break_even(const CostBreakdown& a, const CostBreakdown& b);

}  // namespace gnomon

#endif  // GNOMON_COST_MODEL_H_
