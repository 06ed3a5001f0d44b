// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_plan.h"

#include <sys/stat.h>

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gnomon/backend.h"
#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/tlb/presets.h"
#include "gnomon/traces/formats.h"
#include "tools/suggest.h"
#include "tools/units.h"

namespace gnomon::tools {
namespace {

constexpr uint64_t kLeastMemory = 64 << 10;
constexpr uint64_t kMostMemory = uint64_t{64} << 30;
constexpr uint64_t kMostCopies = 4096;
constexpr uint64_t kNoBound = ~uint64_t{0};
constexpr size_t kMostSweepPoints = 10'000;

struct Range {
  absl::string_view option;
  uint64_t least;
  uint64_t most;
  bool in_bytes = false;
};

absl::StatusOr<uint64_t> within(const Range& range, const absl::StatusOr<uint64_t>& value) {
  if (!value.ok() || (*value >= range.least && *value <= range.most)) return value;
  if (range.most == kNoBound) {
    return absl::InvalidArgumentError(absl::StrCat(range.option, ": at least ", range.least));
  }
  const auto shown = [&](uint64_t n) { return range.in_bytes ? short_bytes(n) : absl::StrCat(n); };
  return absl::InvalidArgumentError(absl::StrCat(range.option, ": not between ", shown(range.least),
                                                 " and ", shown(range.most)));
}

absl::Status prefixed(absl::string_view option, const absl::Status& s) {
  absl::string_view message = s.message();
  absl::ConsumePrefix(&message, "cost: ");
  return absl::InvalidArgumentError(absl::StrCat(option, ": ", message));
}

/// A backend is made to see what it says of its options, for a machine that is never run.
absl::Status check_backend_options(const std::string& spec) {
  constexpr uint64_t kLittle = 1 << 20;
  const absl::StatusOr<std::unique_ptr<HostMemory>> host = HostMemory::create(kLittle);
  if (!host.ok()) return host.status();
  P2m p2m(**host);
  const absl::Status status = create_backend(spec, p2m).status();
  if (!absl::IsInvalidArgument(status)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(spec, ": ", status.message()));
}

/// So that a mistake is met before the traces are opened.
absl::Status check_backend(const std::string& spec) {
  std::vector<absl::string_view> known;
  for (const BackendInfo& b : backends()) known.push_back(b.name);
  const std::string name = spec.substr(0, spec.find(':'));
  if (absl::c_linear_search(known, name)) return check_backend_options(spec);
  const std::string hint = did_you_mean(name, known);
  return absl::InvalidArgumentError(
      absl::StrCat("unknown backend '", name, "'",
                   hint.empty() ? absl::StrCat("; there are ", absl::StrJoin(known, ", ")) : hint));
}

absl::StatusOr<std::vector<std::string>> chosen_backends(const Arguments& arguments) {
  std::vector<std::string> chosen;
  for (const std::string& list : arguments.all("--mmu")) {
    for (std::string& spec : split_backends(list)) {
      if (std::find(chosen.begin(), chosen.end(), spec) != chosen.end()) {
        return absl::InvalidArgumentError(absl::StrCat("--mmu: ", spec, " is named twice"));
      }
      if (absl::Status s = check_backend(spec); !s.ok()) return prefixed("--mmu", s);
      chosen.push_back(std::move(spec));
    }
  }
  if (chosen.empty()) return absl::InvalidArgumentError("--mmu: no backend named");
  return chosen;
}

/// "auto" is the caches of the processor whose TLBs are modelled, none where only TLBs are known.
absl::StatusOr<std::string> chosen_caches(const Arguments& arguments, const std::string& tlb) {
  std::string name = arguments.text("--caches");
  if (name == "auto") name = find_cache_preset(tlb).ok() ? tlb : "none";
  if (const auto preset = find_cache_preset(name); !preset.ok()) {
    return prefixed("--caches", preset.status());
  }
  return name;
}

absl::StatusOr<CostModel> chosen_cost(const Arguments& arguments) {
  absl::StatusOr<CostModel> model = find_cost_model(arguments.text("--cost"));
  if (!model.ok()) return prefixed("--cost", model.status());
  for (const std::string& price : arguments.all("--price")) {
    if (price.empty()) continue;
    const std::pair<std::string, std::string> parts = absl::StrSplit(price, absl::MaxSplits('=', 1));
    if (absl::Status s = model->set(parts.first, parts.second); !s.ok()) return prefixed("--price", s);
  }
  return model;
}

}  // namespace

absl::Status check_backend_option(absl::string_view option, const std::string& spec) {
  const absl::Status s = check_backend(spec);
  return s.ok() ? s : prefixed(option, s);
}

absl::StatusOr<PageSize> host_page(const Arguments& arguments) {
  const absl::StatusOr<uint64_t> bytes = arguments.bytes("--host-page");
  if (!bytes.ok()) return bytes.status();
  for (const PageSize size : {PageSize::k4K, PageSize::k2M, PageSize::k1G}) {
    if (bytes_of(size) == *bytes) return size;
  }
  return absl::InvalidArgumentError(absl::StrCat("--host-page: '", arguments.text("--host-page"), "' is none of 4K, 2M and 1G"));
}

bool reads_once(const std::string& trace) {
  struct stat status {};
  return trace == "-" || (stat(trace.c_str(), &status) == 0 && !S_ISREG(status.st_mode));
}

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

absl::StatusOr<ReplayPlan> replay_plan(const Arguments& arguments) {
  ReplayPlan plan;
  ReplaySetup& setup = plan.setup;
  MachineOptions& machine = setup.machine;
  if (arguments.find("TRACE") != nullptr) {
    if (arguments.given("TRACE")) setup.traces = arguments.all("TRACE");
    absl::StatusOr<std::vector<std::string>> chosen = chosen_backends(arguments);
    if (!chosen.ok()) return chosen.status();
    plan.backends = *std::move(chosen);
  }
  if (std::count(setup.traces.begin(), setup.traces.end(), "-") > 1) {
    return absl::InvalidArgumentError("standard input (-) is named twice");
  }
  machine.tlb = arguments.text("--tlb");
  if (const auto preset = find_tlb_preset(machine.tlb); !preset.ok()) {
    return prefixed("--tlb", preset.status());
  }
  absl::StatusOr<std::string> caches = chosen_caches(arguments, machine.tlb);
  if (!caches.ok()) return caches.status();
  machine.caches = *std::move(caches);
  absl::StatusOr<CostModel> cost = chosen_cost(arguments);
  if (!cost.ok()) return cost.status();
  setup.cost = *std::move(cost);
  const absl::StatusOr<PageSize> page = host_page(arguments);
  if (!page.ok()) return page.status();
  machine.host_page = *page;
  const bool has_image = !images_of(arguments).empty();
  for (const std::string& text : arguments.all("--guest")) {
    const bool setting = absl::StrContains(text, '=');
    if (has_image && !setting) continue;
    const absl::StatusOr<GuestOptions> guest = parse_guest_options(text, machine.guest);
    if (!guest.ok()) {
      const absl::Status s = prefixed("--guest", guest.status());
      return setting ? s : absl::InvalidArgumentError(absl::StrCat(s.message(), "; an image takes the place of traces"));
    }
    machine.guest = *guest;
  }
  // A paravirtual guest's large pages need host pages as large, so its kernel maps itself in 4K pages
  // where there are none; all backends get the same guest.
  const bool paravirtual = std::any_of(plan.backends.begin(), plan.backends.end(),
                                       [](const std::string& b) { return absl::StartsWith(b, "direct"); });
  if (paravirtual && machine.host_page == PageSize::k4K) machine.guest.kernel_large = false;

  uint64_t copies = 0, vcpus = 0;
  const struct {
    uint64_t& target;
    absl::StatusOr<uint64_t> value;
  } numbers[] = {
      {machine.guest.memory_bytes, within({"--mem", kLeastMemory, kMostMemory, true}, arguments.bytes("--mem"))},
      {vcpus, within({"--vcpus", 1, MachineOptions::kMaxVcpus}, arguments.count("--vcpus"))},
      {machine.tick, arguments.count("--tick")},
      {copies, within({"--copies", 1, kMostCopies}, arguments.count("--copies"))},
      {setup.slice, within({"--slice", 1, kNoBound}, arguments.count("--slice"))},
      {setup.skip, arguments.count("--skip")},
      {setup.warmup, arguments.count("--warmup")},
      {setup.limit, arguments.count("--limit")},
  };
  for (const auto& [target, value] : numbers) {
    if (!value.ok()) return value.status();
    target = *value;
  }
  setup.copies = static_cast<unsigned>(copies);
  machine.vcpus = static_cast<unsigned>(vcpus);
  machine.guest.memory_bytes &= ~offset_mask(PageSize::k4K);
  setup.roi = arguments.given("--roi");
  setup.format = arguments.text("--format");
  if (!setup.format.empty()) {
    const auto format = find_trace_format(setup.format);
    if (!format.ok()) return prefixed("--format", format.status());
  }
  setup.mode = arguments.given("--lenient") ? ReadMode::kLenient : ReadMode::kStrict;
  if (arguments.find("TRACE") != nullptr) {
    if (absl::Status s = plan_image(arguments, plan); !s.ok()) return s;
  }
  setup.audit = arguments.find("--audit") != nullptr && arguments.given("--audit");
  return plan;
}

absl::StatusOr<ReportPlan> report_plan(const Arguments& arguments) {
  ReportPlan r;
  if (arguments.given("--json") && arguments.given("--csv")) {
    return absl::InvalidArgumentError("--json and --csv exclude each other");
  }
  r.form = arguments.given("--json")  ? ReportForm::kJson
           : arguments.given("--csv") ? ReportForm::kCsv
                                      : ReportForm::kText;
  r.quiet = arguments.given("--quiet");
  r.verbose = arguments.given("--verbose");
  r.html = arguments.text("--export-html");
  r.json = arguments.text("--export-json");
  r.csv = arguments.text("--export-csv");
  r.trace = arguments.text("--export-trace");
  r.guest_trace = arguments.text("--export-guest");
  return r;
}

absl::Status apply_setting(Arguments& arguments, absl::string_view key, const std::string& value) {
  if (key == kTraceKey) {
    arguments.set("TRACE", value);
    return absl::OkStatus();
  }
  for (const absl::string_view list : {"guest", "price"}) {
    if (absl::StartsWith(key, absl::StrCat(list, "."))) {
      arguments.add(absl::StrCat("--", list), absl::StrCat(key.substr(list.size() + 1), "=", value));
      return absl::OkStatus();
    }
  }
  std::vector<absl::string_view> known = sweep_keys(arguments.verb().options);
  if (std::find(known.begin(), known.end(), key) == known.end()) {
    for (const absl::string_view list : {"guest.", "price."}) known.push_back(list);
    const std::string hint = did_you_mean(key, known);
    return absl::InvalidArgumentError(absl::StrCat(
        "no setting '", key, "'",
        hint.empty() ? absl::StrCat("; there are ", absl::StrJoin(known, ", ")) : hint));
  }
  arguments.set(absl::StrCat("--", key), value);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SweepAxis>> sweep_axes(const Arguments& arguments) {
  std::vector<SweepAxis> axes;
  size_t points = 1;
  if (arguments.given("--each")) {
    axes.push_back({std::string(kTraceKey), arguments.all("TRACE")});
    points = axes.back().values.size();
  }
  for (const std::string& text : arguments.all("--sweep")) {
    if (text.empty()) continue;
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
      return absl::InvalidArgumentError(absl::StrCat("--sweep: \"", text, "\" is not KEY=A,B,C"));
    }
    SweepAxis axis{text.substr(0, equals), {}};
    const std::string list = text.substr(equals + 1);
    axis.values = axis.key == "mmu" ? split_backends(list) : absl::StrSplit(list, ',');
    if (axis.values.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("--sweep: \"", text, "\" names no backend"));
    }
    for (const SweepAxis& other : axes) {
      if (other.key == axis.key) {
        return absl::InvalidArgumentError(absl::StrCat("--sweep: ", axis.key, " is swept twice"));
      }
    }
    points *= axis.values.size();
    if (points > kMostSweepPoints) {
      return absl::InvalidArgumentError(absl::StrCat("--sweep: more than ", kMostSweepPoints, " points"));
    }
    axes.push_back(std::move(axis));
  }
  return axes;
}

std::vector<absl::string_view> sweep_keys(absl::Span<const OptionSpec> options) {
  constexpr absl::string_view kNotSettings[] = {"--config", "--sweep", "--jobs", "--guest", "--price"};
  std::vector<absl::string_view> keys;
  for (const OptionSpec& o : options) {
    if (o.positional() || o.value.empty() || o.value == kFileValue) continue;
    if (absl::c_linear_search(kNotSettings, o.name)) continue;
    keys.push_back(o.name.substr(2));
  }
  return keys;
}

std::vector<SweepPoint> sweep_points(absl::Span<const SweepAxis> axes) {
  std::vector<SweepPoint> points = {{}};
  for (const SweepAxis& axis : axes) {
    std::vector<SweepPoint> more;
    for (const SweepPoint& point : points) {
      for (const std::string& value : axis.values) {
        more.push_back(point);
        more.back().emplace_back(axis.key, value);
      }
    }
    points = std::move(more);
  }
  return points;
}

}  // namespace gnomon::tools
