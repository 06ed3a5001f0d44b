// SPDX-License-Identifier: Apache-2.0
#include "tools/run_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tools/json_text.h"
#include "tools/table.h"
#include "tools/units.h"

namespace gnomon::tools {
namespace {

using Json = nlohmann::ordered_json;
using vmm::Machine;
using vmm::RunEnd;

absl::string_view name_of_end(RunEnd::Reason reason) {
  switch (reason) {
    case RunEnd::Reason::kLimit: return "limit";
    case RunEnd::Reason::kExit: return "exit";
    case RunEnd::Reason::kReset: return "reset";
    case RunEnd::Reason::kShutdown: return "triple_fault";
    case RunEnd::Reason::kHalted: return "halted";
    case RunEnd::Reason::kBreakpoint: return "breakpoint";
    case RunEnd::Reason::kHostFailed: return "host_memory";
    case RunEnd::Reason::kRefused: return "page_tables_refused";
    case RunEnd::Reason::kBroken: return "broken_invariant";
  }
  return "";
}

}  // namespace

bool ended_well(const RunEnd& end) {
  return (end.reason == RunEnd::Reason::kExit && end.status == 0) ||
         end.reason == RunEnd::Reason::kLimit || end.reason == RunEnd::Reason::kHalted;
}

bool RunResult::good() const { return by_user || ended_well(end); }

std::string run_json(Machine& machine, const RunResult& result, absl::string_view console,
                     const std::optional<std::string>& monitor) {
  const RunEnd& end = result.end;
  Json counters = Json::object();
  const Counters c = machine.counters();
  for (const CounterInfo& row : counter_table()) counters[std::string(row.name)] = c[row.id];
  Json exits = Json::object();
  for (const vmm::ExitCount& e : machine.exit_counts()) exits[std::string(e.name)] = e.count;
  Json document = {{"schema", "gnomon.run/1"},
                   {"image", machine.options().load.image},
                   {"format", machine.guest().format},
                   {"mmu", machine.options().backend},
                   {"end", result.by_user ? "user" : std::string(name_of_end(end.reason))},
                   {"status", end.status},
                   {"text", end.text},
                   {"instructions", machine.instructions()},
                   {"guest_ns", machine.clock().now()},
                   {"trace_hash", absl::StrFormat("%#018x", machine.trace_hash())},
                   {"memory_hash", absl::StrFormat("%#018x", machine.memory_hash())},
                   {"exits", exits},
                   {"counters", counters},
                   {"screen", machine.board().text_screen(machine.memory())},
                   {"console", std::string(console)}};
  if (end.reason == RunEnd::Reason::kShutdown)
    document["registers"] = machine.registers_text(end.cpu);
  if (monitor) document["monitor"] = *monitor;
  return json_text(document);
}

std::string run_stats(Machine& machine, double seconds) {
  Table table;
  table.add_heading("guest");
  const auto row = [&](absl::string_view name, uint64_t n) {
    if (n != 0) table.add_row({absl::StrCat("  ", name), with_separators(n)});
  };
  row("instructions", machine.instructions());
  row("guest time, microseconds", machine.clock().now() / 1000);
  table.add_heading("exits to the VMM by the guest's instructions and events");
  for (const vmm::ExitCount& e : machine.exit_counts()) row(e.name, e.count);
  table.add_heading(absl::StrCat("memory, --mmu ", machine.options().backend));
  const Counters c = machine.counters();
  for (const CounterInfo& info : counter_table()) row(info.name, c[info.id]);
  return absl::StrCat(
      table.to_string(),
      absl::StrFormat(
          "trace hash %#018x, memory hash %#018x\n%.1f million instructions a second\n",
          machine.trace_hash(), machine.memory_hash(),
          1e-6 * static_cast<double>(machine.instructions()) / std::max(seconds, 1e-9)));
}

std::string screen_text(Machine& machine) {
  return absl::StrCat(absl::StrJoin(machine.board().text_screen(machine.memory()), "\n"), "\n");
}

}  // namespace gnomon::tools
