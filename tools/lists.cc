// SPDX-License-Identifier: Apache-2.0
//
// The verbs that print what there is: counters, presets, backends, version.
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "gnomon/backend.h"
#include "gnomon/base/counters.h"
#include "gnomon/tlb/presets.h"
#include "gnomon/version.h"
#include "tools/commands.h"
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
    return Json({{"schema", 1}, {"kind", kind_}, {kind_, items}}).dump(2) + "\n";
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

}  // namespace

int run_counters(const Arguments& arguments) {
  Listing list("counters", {"name", "unit", "kind", "description"});
  for (const CounterInfo& row : counter_table()) {
    list.add({row.name, row.unit, kind_name(row.kind), row.description});
  }
  return list.print(arguments);
}

int run_presets(const Arguments& arguments) {
  Listing list("presets", {"name", "description", "source"});
  for (const TlbPreset& preset : tlb_presets()) {
    list.add({preset.name, preset.description, preset.source});
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
  list.add({"compiler", __VERSION__});
  list.add({"assertions", kAssertions});
  list.add({"deliberate bugs", kDefects});
  return list.print(arguments);
}

}  // namespace gnomon::tools
