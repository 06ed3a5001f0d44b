// SPDX-License-Identifier: Apache-2.0
#include "tests/scenario/suite.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/scenario/generator.h"

namespace gnomon::scenario {
namespace {

constexpr absl::string_view kSpecs[] = {
    "native",
    "shadow",
    "shadow:unsync=off,prefetch=0",
    "shadow:unsync=off,flood=0",
    "shadow:budget=96K,roots=1",
    "shadow:update=off,flood=1,mmio=off",
    "shadow:large=off,prefetch=64,roots=0",
    "shadow:directory=full-trap",
    "shadow:directory=full-trap,flags=lazy",
    "vtlb",
    "direct",
    "nested",
    "nested:ad=off,max_page=4K,levels=5",
    "npt",
    "agile",
    "agile:interval=64,start=shadow",
};
constexpr unsigned kProgramLength = 400;

}  // namespace

absl::Span<const absl::string_view> all_specs() { return kSpecs; }

SuiteResult run_random(absl::string_view spec, uint64_t seed, uint64_t steps,
                       const RunOptions& options) {
  SuiteResult result;
  // Paravirtual guests have one mode; the others would only be refused.
  const std::optional<PagingMode> only = spec.substr(0, spec.find(':')) == "direct"
                                             ? std::optional(PagingMode::kLevel4)
                                             : std::nullopt;
  const auto start = std::chrono::steady_clock::now();
  while (result.stats.steps < steps && !result.failure) {
    Program program = generate(seed, kProgramLength, only);
    const absl::StatusOr<std::optional<Failure>> end = run(program, spec, options, result.stats);
    if (!end.ok()) {
      result.skipped = std::string(end.status().message());
      break;
    }
    if (end->has_value()) {
      result.failure = **end;
      result.seed = seed;
      result.program = std::move(program);
    }
    ++seed;
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

std::string report(absl::string_view spec, const SuiteResult& result, const RunOptions& options) {
  return absl::StrCat("seed ", result.seed, ", ",
                      report(result.program, spec, options, *result.failure));
}

std::string summary(absl::string_view spec, const SuiteResult& result) {
  if (!result.skipped.empty()) return absl::StrCat(spec, ": skipped: ", result.skipped);
  const RunStats& s = result.stats;
  return absl::StrFormat(
      "%-20s %9d steps %8.0f/s  %d accesses: %d translated, %d guest faults, %d host stops; "
      "%d flag updates, %d trapped stores, %d stale answers, %d forced flushes, %d refused",
      spec, s.steps, static_cast<double>(s.steps) / result.seconds, s.accesses, s.translated,
      s.guest_faults, s.host_violations, s.flag_updates, s.trapped_stores, s.stale_answers,
      s.forced_flushes, s.refused);
}

}  // namespace gnomon::scenario
