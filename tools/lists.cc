// SPDX-License-Identifier: Apache-2.0
//
// The verbs that print what there is: counters, presets, backends, version.
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "gnomon/backend.h"
#include "gnomon/base/counters.h"
#include "gnomon/cache/hierarchy.h"
#include "gnomon/cost/model.h"
#include "gnomon/tlb/presets.h"
#include "gnomon/version.h"
#include "tools/commit.h"
#include "tools/commands.h"
#include "tools/json_text.h"
#include "tools/output.h"
#include "tools/table.h"

namespace gnomon::tools {
namespace {

/// Rows of named fields, as a table or as JSON.
class Listing {
 public:
  Listing(absl::string_view kind, std::vector<std::string> fields)
      : kind_(kind), fields_(std::move(fields)) {}

  void add(std::vector<absl::string_view> values) {
    rows_.emplace_back(values.begin(), values.end());
  }

  int print(const Arguments& arguments) const {
    return write_result(arguments.given("--json") ? to_json() : to_text(), kSuccess);
  }

 private:
  std::string to_text() const {
    Table table(Table::Align::kLeft);
    for (const std::vector<std::string>& row : rows_) table.add_row(row);
    return table.to_string();
  }
  std::string to_json() const {
    using Json = nlohmann::ordered_json;
    Json items = Json::array();
    for (const std::vector<std::string>& row : rows_) {
      Json item = Json::object();
      for (size_t i = 0; i < row.size(); ++i) item[fields_[i]] = row[i];
      items.push_back(std::move(item));
    }
    return json_text({{"schema", absl::StrCat("gnomon.", kind_, "/1")}, {kind_, items}});
  }

  std::string kind_;
  std::vector<std::string> fields_;
  std::vector<std::vector<std::string>> rows_;
};

absl::string_view kind_name(CounterKind kind) {
  switch (kind) {
    case CounterKind::kSum: return "sum";
    case CounterKind::kLevel: return "level";
    case CounterKind::kPeak: return "peak";
  }
  return "?";
}

int run_counters(const Arguments& arguments) {
  Listing list("counters", {"name", "unit", "kind", "description"});
  for (const CounterInfo& row : counter_table()) {
    list.add({row.name, row.unit, kind_name(row.kind), row.description});
  }
  return list.print(arguments);
}

int run_presets(const Arguments& arguments) {
  Listing list("presets", {"option", "name", "description", "source"});
  for (const TlbPreset& preset : tlb_presets()) {
    list.add({"--tlb", preset.name, preset.description, preset.source});
  }
  for (const CachePreset& preset : cache_presets()) {
    list.add({"--caches", preset.name, preset.description, preset.source});
  }
  for (const CostPreset& preset : cost_presets()) {
    list.add({"--cost", preset.name, preset.description, "`gnomon config show` has one for each number"});
  }
  return list.print(arguments);
}

int run_backends(const Arguments& arguments) {
  Listing list("backends", {"name", "description"});
  for (const BackendInfo& backend : backends()) list.add({backend.name, backend.description});
  return list.print(arguments);
}

int run_version(const Arguments& arguments) {
#ifdef NDEBUG
  constexpr absl::string_view kAssertions = "off";
#else
  constexpr absl::string_view kAssertions = "on";
#endif
#ifdef GNOMON_DEFECTS
  constexpr absl::string_view kDefects = "compiled in";
#else
  constexpr absl::string_view kDefects = "none";
#endif
  Listing list("version", {"name", "value"});
  list.add({"gnomon", version()});
  if (source_commit()[0] != '\0') list.add({"commit", source_commit()});
  list.add({"build type", GNOMON_BUILD_TYPE});
  list.add({"compiler", __VERSION__});
  list.add({"assertions", kAssertions});
  list.add({"deliberate bugs", kDefects});
  return list.print(arguments);
}

constexpr OptionSpec kOptions[] = {kJsonOption};
constexpr Example kCountersExamples[] = {{"gnomon counters", "name, unit, kind and meaning of each"}};
constexpr Example kPresetsExamples[] = {{"gnomon presets", "what --tlb, --caches and --cost take, and where it is from"}};
constexpr Example kBackendsExamples[] = {{"gnomon backends", "what --mmu takes"}};
constexpr Example kVersionExamples[] = {{"gnomon version", "for a bug report"}};

}  // namespace

constexpr Verb kCountersVerb = {"counters", "list every counter with its unit and meaning", "",
                            kCountersExamples, kOptions, run_counters};
constexpr Verb kPresetsVerb = {"presets", "list the presets of TLBs, caches and costs", "", kPresetsExamples,
                           kOptions, run_presets};
constexpr Verb kBackendsVerb = {"backends", "list the MMU backends", "", kBackendsExamples, kOptions,
                            run_backends};
constexpr Verb kVersionVerb = {"version", "print version, commit, compiler and build type", "",
                           kVersionExamples, kOptions, run_version};

}  // namespace gnomon::tools
