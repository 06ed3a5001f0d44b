// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/scenario/runner.h"

namespace gnomon::scenario {
namespace {

std::optional<Failure> fails(const Program& program, absl::string_view spec,
                             const RunOptions& options) {
  RunStats ignored;
  const absl::StatusOr<std::optional<Failure>> failure = run(program, spec, options, ignored);
  return failure.ok() ? *failure : std::nullopt;
}

}  // namespace

Program minimise(const Program& program, absl::string_view spec, const RunOptions& options) {
  const RunOptions close = options.thorough();
  Program best = program;
  const auto cut_after = [&](const Failure& f) {
    best.actions.resize(std::min(best.actions.size(), f.step + 1));
  };
  std::optional<Failure> first = fails(best, spec, close);
  if (!first) return best;
  cut_after(*first);
  for (size_t piece = std::max<size_t>(best.actions.size() / 2, 1);;) {
    bool smaller = false;
    for (size_t at = 0; at < best.actions.size();) {
      Program without = best;
      const size_t end = std::min(at + piece, without.actions.size());
      without.actions.erase(without.actions.begin() + static_cast<ptrdiff_t>(at),
                            without.actions.begin() + static_cast<ptrdiff_t>(end));
      if (const std::optional<Failure> f = fails(without, spec, close)) {
        best = std::move(without);
        cut_after(*f);
        smaller = true;
      } else {
        at = end;
      }
    }
    if (piece > 1) {
      piece /= 2;
    } else if (!smaller) {
      return best;
    }
  }
}

std::string report(const Program& program, absl::string_view spec, const RunOptions& options,
                   const Failure& failure) {
  const Program small = minimise(program, spec, options);
  const RunOptions close = options.thorough();
  const std::optional<Failure> end = fails(small, spec, close);
  return absl::StrCat(spec, ", step ", failure.step, ": ", failure.text, "\nminimised to ",
                      small.actions.size(), " steps", end ? ", ending in\n" + end->text : "",
                      "\n# ", spec, "\n", to_string(small));
}

}  // namespace gnomon::scenario
