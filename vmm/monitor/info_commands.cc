// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "vmm/cpu/cpu.h"
#include "vmm/monitor/context.h"

namespace gnomon::vmm {
namespace {

absl::StatusOr<std::string> info_registers(MonitorContext& context, absl::string_view arguments) {
  if (arguments != "-a") {
    if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
    return registers_like_qemu(context, context.cpu);
  }
  std::string text;
  for (unsigned i = 0; i < context.machine.cpus(); ++i) {
    absl::StrAppendFormat(&text, "%sCPU#%d\n%s", i == 0 ? "" : "\n", i,
                          registers_like_qemu(context, i));
  }
  return text;
}

absl::StatusOr<std::string> info_cpus(MonitorContext& context, absl::string_view arguments) {
  if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
  std::string text;
  for (unsigned i = 0; i < context.machine.cpus(); ++i) {
    const Cpu& cpu = context.machine.cpu(i);
    absl::StrAppendFormat(&text, "%c CPU #%d: pc=%#018x%s instructions=%d\n",
                          i == context.cpu ? '*' : ' ', i, cpu.linear(kCs, cpu.rip),
                          cpu.state.waits_for_startup ? " (waits for start-up)"
                          : cpu.state.halted          ? " (halted)"
                                                      : "",
                          cpu.instructions);
  }
  return text;
}

absl::StatusOr<std::string> info_status(MonitorContext& context, absl::string_view arguments) {
  if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
  return absl::StrFormat("VM status: paused\ninstructions: %d, guest time: %d ns\n",
                         context.machine.instructions(), context.machine.clock().now());
}

absl::StatusOr<std::string> info_memory(MonitorContext& context, absl::string_view arguments) {
  if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
  struct Row {
    uint64_t first, bytes;
    std::string what;
  };
  std::vector<Row> rows;
  Machine& machine = context.machine;
  machine.p2m().for_each_slot([&](Gpa first, uint64_t frames) {
    uint64_t backed = 0;
    for (uint64_t i = 0; i < frames; ++i) {
      backed += machine.p2m().lookup(Gpa(first.value() + i * 4096)).is_ram();
    }
    rows.push_back({first.value(), frames * 4096,
                    absl::StrFormat("ram, %d of %d frames backed", backed, frames)});
  });
  for (const IoBus::Region& r : machine.board().device_memory().regions()) {
    rows.push_back({r.base, r.bytes, "device"});
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.first < b.first; });
  std::string text;
  for (const Row& r : rows) {
    absl::StrAppendFormat(&text, "%016x-%016x %s\n", r.first, r.first + r.bytes - 1, r.what);
  }
  absl::StrAppend(&text, "firmware's map:\n");
  for (const MemoryRange& r : machine.board().memory_map()) {
    absl::StrAppendFormat(&text, "%016x-%016x %s\n", r.base, r.base + r.bytes - 1,
                          r.kind == MemoryRange::Kind::kUsable ? "usable" : "reserved");
  }
  return text;
}

absl::StatusOr<std::string> info_counters(MonitorContext& context, absl::string_view arguments) {
  if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
  const Counters counters = context.machine.counters();
  std::string text;
  for (const CounterInfo& row : counter_table()) {
    if (counters[row.id] == 0) continue;
    absl::StrAppendFormat(&text, "%-26s %14d  %s\n", row.name, counters[row.id], row.description);
  }
  return text;
}

absl::StatusOr<std::string> info_exits(MonitorContext& context, absl::string_view arguments) {
  if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
  std::string text;
  for (const ExitCount& e : context.machine.exit_counts()) {
    if (e.count != 0)
      absl::StrAppendFormat(&text, "%-26s %14d  %s\n", e.name, e.count, e.description);
  }
  return text.empty() ? "no exits to the VMM so far\n" : text;
}

absl::StatusOr<std::string> info_screen(MonitorContext& context, absl::string_view arguments) {
  if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
  const auto lines = context.machine.board().text_screen(context.machine.memory());
  if (lines.empty()) return absl::FailedPreconditionError("this board has no text screen");
  return absl::StrCat(absl::StrJoin(lines, "\n"), "\n");
}

absl::StatusOr<std::string> info_breakpoints(MonitorContext& context, absl::string_view arguments) {
  if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
  std::string text;
  for (const uint64_t at : context.breakpoints) absl::StrAppendFormat(&text, "%#x\n", at);
  return text.empty() ? "no breakpoints\n" : text;
}

constexpr MonitorCommand kInfo[] = {
    {"breakpoints", "", "", "addresses set with break", info_breakpoints},
    {"counters", "", "", "what the MMU counted, as far as it is not zero", info_counters},
    {"cpus", "", "", "the processors; * marks the one that commands are about", info_cpus},
    {"exits", "", "", "why processors came to the VMM, and how often", info_exits},
    {"mem", "", "", "ranges that the guest's tables map, with user, read, write", list_ranges},
    {"memory", "mtree", "", "guest-physical memory: RAM and devices", info_memory},
    {"registers", "", "[-a]", "registers of this processor; -a: of all", info_registers},
    {"screen", "", "", "the text screen", info_screen},
    {"shadow", "", "[ADDR]", "shadow tables; of an address: the guest's walk and the processor's",
     shadow_text},
    {"status", "", "", "does it run, and how far has it come", info_status},
    {"tlb", "", "", "each page that the guest's tables map: virtual, physical, flags", list_pages},
};

}  // namespace

absl::Span<const MonitorCommand> info_commands() { return kInfo; }

}  // namespace gnomon::vmm
