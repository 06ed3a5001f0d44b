// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "gnomon/version.h"
#include "gnomon/vmm/machine.h"
#include "tools/html/report_html.h"
#include "tools/json_text.h"
#include "tools/replay_report.h"
#include "tools/report_rows.h"

namespace gnomon::tools {
namespace {

using Json = nlohmann::ordered_json;

std::string text(absl::string_view s) { return std::string(s); }

Json traces_to_json(const SessionResult& r) {
  Json traces = Json::array();
  for (const TraceSummary& t : r.traces) {
    Json trace = {{"name", t.name},
                  {"format", t.info.format},
                  {"program", t.info.program},
                  {"recorder", t.info.recorder},
                  {"machine", t.info.machine},
                  {"note", t.info.note},
                  {"bytes", t.stats.bytes},
                  {"records", t.stats.records},
                  {"events", t.stats.events},
                  {"left_out", t.stats.left_out},
                  {"rejected", t.rejected}};
    if (!t.stats.warning.empty()) trace["warning"] = t.stats.warning;
    if (!t.stats.first_fault.empty()) trace["first_fault"] = t.stats.first_fault;
    if (!t.first_rejected.empty()) trace["first_rejected"] = t.first_rejected;
    traces.push_back(std::move(trace));
  }
  return traces;
}

Json cost_model_to_json(const CostModel& model) {
  Json prices = Json::array();
  for (const PriceInfo& row : price_table()) {
    prices.push_back({{"name", text(row.name)},
                      {"unit", text(row.unit)},
                      {"value", model[row.id]},
                      {"source", model.sources[static_cast<size_t>(row.id)]},
                      {"description", text(row.description)}});
  }
  return {{"name", model.name}, {"prices", std::move(prices)}};
}

Json cost_to_json(const CostBreakdown& cost) {
  Json groups = Json::object();
  for (const CostGroupInfo& g : cost_group_table()) {
    groups[text(g.name)] = cost.groups[static_cast<size_t>(g.id)];
  }
  Json items = Json::array();
  for (const CostItem& item : cost.items) {
    items.push_back({{"name", item.name},
                     {"group", text(cost_group_table()[static_cast<size_t>(item.group)].name)},
                     {"count", item.count},
                     {"cycles", item.cycles}});
  }
  return {{"total", cost.total}, {"exits", cost.exits}, {"groups", std::move(groups)}, {"items", std::move(items)}};
}

Json backend_to_json(const ReportEntry& e, size_t i) {
  const SessionResult& r = *e.result;
  const ReplayResult& b = r.machines[i];
  Json counters = Json::object();
  for (const CounterInfo& row : counter_table()) counters[text(row.name)] = b.counters[row.id];
  Json derived = Json::object();
  for (const ReportGroup& group : report_groups()) {
    for (const ReportRow& row : group.rows) {
      if (row.is_counted() || group.key == "caches") continue;
      if (row.is_ratio()) {
        derived[text(row.name())] = row.ratio(b);
      } else {
        derived[text(row.name())] = row.whole(b);
      }
    }
  }
  Json guest = Json::object();
  for (const GuestStatInfo& row : guest_stat_table()) guest[text(row.name)] = b.guest[row.id];
  Json backend = {{"spec", b.spec},
                  {"counters", std::move(counters)},
                  {"derived", std::move(derived)},
                  {"guest", std::move(guest)}};
  if (b.has_caches) {
    backend["caches"] = {{"guest", b.caches.guest},
                         {"host", b.caches.host},
                         {"shadow", b.caches.shadow},
                         {"data", b.caches.data}};
  }
  backend["cost"] = cost_to_json(b.cost);
  const double first = r.machines.front().cost.total;
  if (first > 0) backend["relative"] = b.cost.total / first;
  if (!e.problems.empty()) {
    backend["audit"] = {{"passed", e.problems[i].empty()}, {"problems", e.problems[i]}};
  }
  return backend;
}

Json break_even_to_json(const SessionResult& r) {
  Json pairs = Json::array();
  for (size_t i = 0; i < r.machines.size(); ++i) {
    for (size_t k = i + 1; k < r.machines.size(); ++k) {
      const auto factor = break_even(r.machines[i].cost, r.machines[k].cost);
      pairs.push_back({{"a", r.machines[i].spec},
                       {"b", r.machines[k].spec},
                       {"factor", factor ? Json(*factor) : Json(nullptr)}});
    }
  }
  return pairs;
}

Json series_to_json(const SessionResult& r) {
  Json names = Json::array();
  for (const absl::string_view name : Series::names()) names.push_back(text(name));
  Json backends = Json::array();
  for (const ReplayResult& b : r.machines) {
    backends.push_back({{"spec", b.spec}, {"points", b.series.points()}});
  }
  return {{"interval", r.machines.front().series.interval()},
          {"names", std::move(names)},
          {"backends", std::move(backends)}};
}

Json counter_info() {
  Json rows = Json::array();
  for (const ReportGroup& group : report_groups()) {
    for (const ReportRow& row : group.rows) {
      const Counter* counter = std::get_if<Counter>(&row.source);
      const GuestStat* guest = std::get_if<GuestStat>(&row.source);
      if (counter == nullptr && guest == nullptr) continue;
      const absl::string_view description =
          counter != nullptr ? info(*counter).description
                             : guest_stat_table()[static_cast<size_t>(*guest)].description;
      rows.push_back({{"name", text(row.name())},
                      {"unit", text(row.unit_name())},
                      {"group", text(group.key)},
                      {"guest", guest != nullptr},
                      {"description", text(description)}});
    }
  }
  return rows;
}

/// The settings of a plan; of a guest that is run, with what was booted.
Json options_to_json(const ReplayPlan& plan) {
  Json options = settings_to_json(plan.setup);
  if (plan.guest != nullptr) {
    options["image"] = {{"name", plan.guest_name},
                        {"append", plan.guest->load.command_line},
                        {"modules", plan.guest->load.modules},
                        {"disks", plan.guest->board.disks}};
  }
  return options;
}

Json compare_document(const ReportEntry& e) {
  const SessionResult& r = *e.result;
  Json groups = Json::array();
  for (const CostGroupInfo& g : cost_group_table()) {
    groups.push_back({{"name", text(g.name)}, {"description", text(g.description)}});
  }
  Json backends = Json::array();
  for (size_t i = 0; i < r.machines.size(); ++i) backends.push_back(backend_to_json(e, i));
  return {{"schema", "gnomon.compare/2"},
          {"gnomon", text(version())},
          {"traces", traces_to_json(r)},
          {"options", options_to_json(*e.plan)},
          {"references",
           {{"fetch", r.references[static_cast<size_t>(AccessOp::kFetch)]},
            {"load", r.references[static_cast<size_t>(AccessOp::kRead)]},
            {"store", r.references[static_cast<size_t>(AccessOp::kWrite)]},
            {"skipped", r.skipped},
            {"warmed_up", r.warmed_up}}},
          {"cost_model", cost_model_to_json(e.plan->setup.cost)},
          {"cost_groups", std::move(groups)},
          {"backends", std::move(backends)},
          {"break_even", break_even_to_json(r)},
          {"series", series_to_json(r)},
          {"counter_info", counter_info()}};
}

Json document_of(absl::Span<const ReportEntry> entries) {
  if (entries.size() == 1 && entries.front().point.empty()) return compare_document(entries.front());
  Json keys = Json::array();
  for (const auto& [key, value] : entries.front().point) keys.push_back(key);
  Json points = Json::array();
  for (const ReportEntry& e : entries) {
    Json values = Json::object();
    for (const auto& [key, value] : e.point) values[key] = value;
    points.push_back({{"values", std::move(values)}, {"result", compare_document(e)}});
  }
  return {{"schema", "gnomon.sweep/1"},
          {"gnomon", text(version())},
          {"keys", std::move(keys)},
          {"points", std::move(points)}};
}

}  // namespace

std::string to_json(absl::Span<const ReportEntry> entries) { return json_text(document_of(entries)); }
std::string to_html(absl::Span<const ReportEntry> entries) {
  return html_report(nlohmann::json(document_of(entries)));
}

}  // namespace gnomon::tools
