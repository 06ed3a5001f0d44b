// SPDX-License-Identifier: Apache-2.0
#include "tools/rank.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "absl/strings/str_format.h"
#include "gnomon/cost/model.h"

namespace gnomon::tools {
namespace {

bool virtualizes(const ReplayResult& backend) { return backend.spec != "native"; }

}  // namespace

uint64_t references_of(const SessionResult& result) {
  return std::accumulate(result.references.begin(), result.references.end(), uint64_t{0});
}

double per_reference(const SessionResult& result, double cycles) {
  return cycles / static_cast<double>(std::max<uint64_t>(references_of(result), 1));
}

std::string nearest_flip(const SessionResult& result, const ReplayResult& backend) {
  std::string text = "-";
  double nearest = std::numeric_limits<double>::infinity();
  for (const ReplayResult& other : result.machines) {
    const std::optional<double> factor =
        &backend == &other ? std::nullopt : break_even(backend.cost, other.cost);
    if (!factor || std::abs(std::log(*factor)) >= nearest) continue;
    nearest = std::abs(std::log(*factor));
    text = absl::StrFormat("%.3g %s", *factor, other.spec);
  }
  return text;
}

bool is_cheapest(const SessionResult& result, const ReplayResult& backend) {
  int rivals = 0;
  for (const ReplayResult& other : result.machines) {
    if (&other == &backend || !virtualizes(other)) continue;
    if (other.cost.total < backend.cost.total) return false;
    ++rivals;
  }
  return virtualizes(backend) && rivals > 0;
}

}  // namespace gnomon::tools
