// SPDX-License-Identifier: Apache-2.0
//
// The verb `config`: what a replay with these options would go by.
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/commands.h"
#include "tools/json_text.h"
#include "tools/output.h"
#include "tools/replay_plan.h"
#include "tools/replay_report.h"
#include "tools/table.h"
#include "tools/words.h"

namespace gnomon::tools {
namespace {

using Json = nlohmann::ordered_json;

void add_settings(Table& table, const std::string& prefix, const Json& settings) {
  for (const auto& [key, value] : settings.items()) {
    if (value.is_object()) {
      add_settings(table, absl::StrCat(prefix, key, "."), value);
    } else {
      table.add_row({absl::StrCat("  ", prefix, key), setting_text(value)});
    }
  }
}

std::string to_text(const ReplaySetup& setup) {
  Table settings(Table::Align::kLeft);
  settings.add_heading("settings");
  Json shown = settings_to_json(setup);
  shown.erase("price");  // the prices follow, all of them
  add_settings(settings, "", shown);
  Table prices(Table::Align::kLeft);
  prices.add_heading(absl::StrCat("prices: ", setup.cost.name));
  for (const PriceInfo& row : price_table()) {
    prices.add_row({absl::StrCat("  ", row.name), absl::StrFormat("%g", setup.cost[row.id]),
                    std::string(row.unit), std::string(row.description),
                    setup.cost.sources[static_cast<size_t>(row.id)]});
  }
  return absl::StrCat(settings.to_string(), "\n", prices.to_string());
}

absl::StatusOr<std::string> show(Arguments arguments) {
  if (const std::string action = arguments.text("ACTION"); action != "show") {
    return absl::InvalidArgumentError(absl::StrCat("config: no action '", action, "'; there is only show"));
  }
  if (absl::Status s = apply_config(arguments); !s.ok()) return s;
  const absl::StatusOr<ReplayPlan> plan = replay_plan(arguments);
  if (!plan.ok()) return plan.status();
  if (!arguments.given("--json")) return to_text(plan->setup);
  Json document = {{"schema", "gnomon.config/1"}};
  document.update(settings_to_json(plan->setup));
  return json_text(document);
}

int run_config(const Arguments& arguments) {
  const absl::StatusOr<std::string> text = show(arguments);
  return text.ok() ? write_result(*text, kSuccess) : report_failure(text.status());
}

const std::vector<OptionSpec>& config_options() {
  static const std::vector<OptionSpec>* const options = [] {
    auto* all = new std::vector<OptionSpec>{{"ACTION", 0, "", "", "show", false, action_words}};
    for (const OptionSpec& o : machine_options()) all->push_back(o);
    all->push_back(kJsonOption);
    return all;
  }();
  return *options;
}

constexpr Example kConfigExamples[] = {
    {"gnomon config show", "every setting and every price, with its source"},
    {"gnomon config show --tlb skylake --price exit=2000 --json >mine.json",
     "a file for --config of compare and replay"},
};

}  // namespace

const Verb kConfigVerb = {"config", "show the settings and prices that a replay goes by",
                          "The only ACTION is show. Takes the options of compare that set up the machine, and shows what they\n"
                          "come to.",
                          kConfigExamples, config_options(), run_config};

}  // namespace gnomon::tools
