// SPDX-License-Identifier: Apache-2.0
#include "tools/compare_options.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gnomon/backend.h"
#include "gnomon/tlb/presets.h"
#include "tools/units.h"

namespace gnomon::tools {
namespace {

constexpr uint64_t kLeastMemory = uint64_t{64} << 10;
constexpr uint64_t kMostMemory = uint64_t{64} << 30;  // what the p2m can hold
constexpr uint64_t kMostProcesses = 4096;
constexpr uint64_t kMostSlice = 1'000'000;  // a slice is held in memory to be replayed

struct Range {
  absl::string_view option;
  uint64_t least;
  uint64_t most;
};

absl::StatusOr<uint64_t> within(const Range& range, const absl::StatusOr<uint64_t>& value) {
  if (!value.ok() || (*value >= range.least && *value <= range.most)) return value;
  return absl::InvalidArgumentError(
      absl::StrCat(range.option, ": not between ", range.least, " and ", range.most));
}

absl::StatusOr<PageSize> host_page(const Arguments& arguments) {
  const absl::StatusOr<uint64_t> bytes = arguments.bytes("--host-page");
  if (!bytes.ok()) return bytes.status();
  for (const PageSize size : {PageSize::k4K, PageSize::k2M, PageSize::k1G}) {
    if (bytes_of(size) == *bytes) return size;
  }
  return absl::InvalidArgumentError("--host-page: 4K, 2M or 1G");
}

bool is_registered(absl::string_view name) {
  return std::any_of(backends().begin(), backends().end(),
                     [&](const BackendInfo& b) { return b.name == name; });
}

absl::StatusOr<std::vector<std::string>> chosen_backends(const Arguments& arguments) {
  std::vector<std::string> chosen;
  for (const std::string& list : arguments.all("--mmu")) {
    for (std::string& spec : split_backends(list)) {
      // Of the default list, those that this build has.
      if (!arguments.given("--mmu") && !is_registered(spec)) continue;
      if (std::find(chosen.begin(), chosen.end(), spec) != chosen.end()) {
        return absl::InvalidArgumentError(absl::StrCat("--mmu: ", spec, " is named twice"));
      }
      chosen.push_back(std::move(spec));
    }
  }
  if (chosen.empty()) return absl::InvalidArgumentError("--mmu: no backend named");
  return chosen;
}

}  // namespace

std::vector<std::string> split_backends(absl::string_view list) {
  std::vector<std::string> specs;
  for (const absl::string_view part : absl::StrSplit(list, ';', absl::SkipWhitespace())) {
    absl::string_view names = part;
    absl::string_view with_options;
    if (const size_t colon = part.find(':'); colon != absl::string_view::npos) {
      const size_t comma = part.substr(0, colon).rfind(',');
      const size_t start = comma == absl::string_view::npos ? 0 : comma + 1;
      names = part.substr(0, start);
      with_options = part.substr(start);
    }
    for (const absl::string_view name : absl::StrSplit(names, ',', absl::SkipWhitespace())) {
      specs.emplace_back(name);
    }
    if (!with_options.empty()) specs.emplace_back(with_options);
  }
  return specs;
}

absl::StatusOr<CompareOptions> compare_options(const Arguments& arguments) {
  CompareOptions o;
  o.trace = arguments.text("TRACE");
  absl::StatusOr<std::vector<std::string>> chosen = chosen_backends(arguments);
  if (!chosen.ok()) return chosen.status();
  o.backends = *std::move(chosen);
  o.tlb = arguments.text("--tlb");
  if (const auto preset = find_tlb_preset(o.tlb); !preset.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--tlb: ", preset.status().message()));
  }
  const absl::StatusOr<PageSize> page = host_page(arguments);
  if (!page.ok()) return page.status();
  o.host_page = *page;

  uint64_t processes = 0;
  const struct {
    uint64_t& target;
    absl::StatusOr<uint64_t> value;
  } numbers[] = {
      {o.memory_bytes, within({"--mem", kLeastMemory, kMostMemory}, arguments.bytes("--mem"))},
      {processes, within({"--processes", 1, kMostProcesses}, arguments.count("--processes"))},
      {o.slice, within({"--slice", 1, kMostSlice}, arguments.count("--slice"))},
      {o.skip, arguments.count("--skip")},
      {o.warmup, arguments.count("--warmup")},
      {o.limit, arguments.count("--limit")},
  };
  for (const auto& [target, value] : numbers) {
    if (!value.ok()) return value.status();
    target = *value;
  }
  o.processes = static_cast<unsigned>(processes);
  o.memory_bytes &= ~offset_mask(PageSize::k4K);

  o.audit = arguments.given("--audit");
  o.lenient = arguments.given("--lenient");
  o.quiet = arguments.given("--quiet");
  o.verbose = arguments.given("--verbose");
  if (arguments.given("--json") && arguments.given("--csv")) {
    return absl::InvalidArgumentError("--json and --csv exclude each other");
  }
  o.form = arguments.given("--json")  ? ReportForm::kJson
           : arguments.given("--csv") ? ReportForm::kCsv
                                      : ReportForm::kText;
  return o;
}

}  // namespace gnomon::tools
