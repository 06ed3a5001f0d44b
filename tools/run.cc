// SPDX-License-Identifier: Apache-2.0
//
// The verb `run`: a guest in a virtual machine.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "gnomon/traces/trace_writer.h"
#include "gnomon/version.h"
#include "gnomon/vmm/machine.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/debugging.h"
#include "tools/copy_trace.h"
#include "tools/guest_files.h"
#include "tools/json_text.h"
#include "tools/output.h"
#include "tools/run_machine.h"
#include "tools/signals.h"
#include "tools/table.h"
#include "tools/units.h"
#include "tools/words.h"

namespace gnomon::tools {
namespace {

using Json = nlohmann::ordered_json;
using vmm::Machine;
using vmm::MachineOptions;
using vmm::RunEnd;

/// Guest instructions between two looks at standard input.
constexpr uint64_t kSlice = 1'000'000;
/// The same while a script is typed: a byte in the time that one takes at 100000 baud.
constexpr uint64_t kScriptSlice = 10'000;
/// Of --record: the level of compression, and the TLBs unless --tlb says otherwise.
constexpr int kRecordLevel = 9;
constexpr absl::string_view kRecordTlb = "zen4";
/// What is kept of the console for --json.
constexpr size_t kMostConsole = 4u << 20;


/// Where the guest's serial port goes.
struct Output {
  bool keep = false;
  std::string kept;
  bool failed = false;

  void take(absl::string_view bytes) {
    if (keep) {
      if (kept.size() < kMostConsole) kept.append(bytes.data(), bytes.size());
      return;
    }
    while (!bytes.empty() && !failed) {
      const ssize_t n = write(STDOUT_FILENO, bytes.data(), bytes.size());
      if (n <= 0) {
        failed = true;
        if (errno == EPIPE) note_reader_gone();
        return;
      }
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
};

/// One line for each exit of the guest.
class EventLog final : public vmm::MachineObserver {
 public:
  explicit EventLog(std::ofstream& file) : file_(file) {}
  void on_exit(const vmm::ExitEvent& e) override {
    file_ << absl::StrFormat("%d cpu%d %#x %s\n", e.instructions, e.cpu, e.rip, e.what);
  }

 private:
  std::ofstream& file_;
};

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

/// The machine until it ends, or the user ends it, or it has run for `limit` instructions (0: without limit).
RunEnd run_machine(Machine& machine, Console& console, Debugging& debugging, uint64_t limit,
                   bool& ended_by_user) {
  uint64_t run = 0;
  while (true) {
    const bool types = console.scripted() && !console.pending.empty();
    const uint64_t most = types ? kScriptSlice : kSlice;
    const uint64_t slice = limit == 0 ? most : std::min(most, limit - run);
    if (slice == 0) return RunEnd{RunEnd::Reason::kLimit, 0, 0, "the limit of instructions is reached"};
    const uint64_t before = machine.instructions();
    RunEnd end;
    bool ran = true;
    if (!debugging.run(slice, end, ran)) {
      ended_by_user = true;
      return end;
    }
    if (ran) run += slice;
    const bool waits = end.reason == RunEnd::Reason::kHalted;
    const bool breaks = end.reason == RunEnd::Reason::kBreakpoint && console.terminal();
    if (end.reason != RunEnd::Reason::kLimit && !waits && !breaks) return end;
    // A guest that sleeps lets us sleep, where somebody sits before the screen.
    const bool idle = machine.instructions() - before < slice / 8;
    const int patience = waits ? 1000 : idle && console.terminal() ? 10 : 0;
    const Console::Command command = breaks ? Console::Command::kMonitor : console.read(patience);
    if (command == Console::Command::kExit) {
      ended_by_user = true;
      return end;
    }
    if (command == Console::Command::kMonitor) {
      RunEnd stepped = end;
      if (!debugging.converse(console, end, stepped, ended_by_user)) return stepped;
    }
    const size_t taken = console.type_into(machine.board());
    if (waits && taken == 0 && !console.open() && !debugging.attached()) return end;
  }
}

/// What the board has to say of its disks.
void print_notes(Machine& machine) {
  for (const std::string& note : machine.board().notes()) print_warning(note);
}

Json to_json(Machine& machine, const RunEnd& end, const Output& output) {
  Json counters = Json::object();
  const Counters c = machine.counters();
  for (const CounterInfo& row : counter_table()) counters[std::string(row.name)] = c[row.id];
  Json exits = Json::object();
  for (const vmm::ExitCount& e : machine.exit_counts()) exits[std::string(e.name)] = e.count;
  return {{"schema", "gnomon.run/1"},
          {"image", machine.options().load.image},
          {"format", machine.guest().format},
          {"mmu", machine.options().backend},
          {"end", std::string(name_of_end(end.reason))},
          {"status", end.status},
          {"text", end.text},
          {"instructions", machine.instructions()},
          {"guest_ns", machine.clock().now()},
          {"trace_hash", absl::StrFormat("%#018x", machine.trace_hash())},
          {"memory_hash", absl::StrFormat("%#018x", machine.memory_hash())},
          {"exits", exits},
          {"counters", counters},
          {"screen", machine.board().text_screen(machine.memory())},
          {"console", output.kept}};
}

std::string stats_text(Machine& machine, double seconds) {
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
  return absl::StrCat(table.to_string(),
                      absl::StrFormat("trace hash %#018x, memory hash %#018x\n%.1f million instructions a second\n",
                                      machine.trace_hash(), machine.memory_hash(),
                                      1e-6 * static_cast<double>(machine.instructions()) /
                                          std::max(seconds, 1e-9)));
}

absl::StatusOr<int> run_guest(const Arguments& a) {
  const bool json = a.given("--json");
  const bool quiet = a.given("--quiet");
  auto options = parse_run_machine(a);
  if (!options.ok()) return options.status();
  const auto limit = a.count("--limit");
  if (!limit.ok()) return limit.status();
  std::unique_ptr<TraceWriter> trace;
  if (a.given("--record")) {
    TraceInfo about;
    about.program = absl::StrCat(options->load.image, options->load.command_line.empty() ? "" : " ",
                                 options->load.command_line);
    about.recorder = absl::StrCat("gnomon ", version());
    about.guest = true;
    auto writer = create_trace({a.text("--record"), "gtrace", kRecordLevel}, about);
    if (!writer.ok()) {
      return absl::Status(writer.status().code(), absl::StrCat("--record: ", writer.status().message()));
    }
    trace = *std::move(writer);
    options->trace = trace.get();
    if (!a.given("--tlb")) options->tlb = std::string(kRecordTlb);
  }
  Output output;
  output.keep = json;
  options->board.console_output = [&](absl::string_view bytes) { output.take(bytes); };
  std::ofstream events;
  if (a.given("--events")) {
    events.open(a.text("--events"));
    if (!events) return absl::InvalidArgumentError(absl::StrCat("--events: cannot write ", a.text("--events")));
  }
  auto machine = Machine::create(*options);
  if (!machine.ok()) return machine.status();
  std::unique_ptr<EventLog> log;
  if (a.given("--events")) {
    log = std::make_unique<EventLog>(events);
    (*machine)->set_observer(log.get());
  }
  if (!quiet) print_message((*machine)->guest().description);
  if (!quiet) print_notes(**machine);

  auto debugging = Debugging::create(**machine, a);
  if (!debugging.ok()) return debugging.status();
  std::string script;
  if (a.given("--input")) {
    auto text = read_script(a.text("--input"));
    if (!text.ok()) return absl::Status(text.status().code(), absl::StrCat("--input: ", text.status().message()));
    script = *std::move(text);
  }
  bool ended_by_user = false;
  RunEnd end;
  const auto start = std::chrono::steady_clock::now();
  {
    const auto console = a.given("--input") ? std::make_unique<Console>(std::move(script))
                                            : std::make_unique<Console>(/*use_input=*/!json);
    end = run_machine(**machine, *console, **debugging, *limit, ended_by_user);
    (*debugging)->finish(end);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (output.failed) return kFailure;
  if (trace != nullptr) {
    if (absl::Status s = (*machine)->finish_trace(); !s.ok()) return s;
    if (absl::Status s = trace->finish(); !s.ok()) return s;
  }
  if (log != nullptr && !events.flush()) {
    return absl::InternalError(absl::StrCat(a.text("--events"), ": cannot write all of it; is the disk full?"));
  }
  if (ended_by_user) return kSuccess;
  const bool good = (end.reason == RunEnd::Reason::kExit && end.status == 0) ||
                    end.reason == RunEnd::Reason::kLimit || end.reason == RunEnd::Reason::kHalted;
  const int code = good ? kSuccess : kMismatch;
  const std::string answers = a.given("--monitor") ? (*debugging)->answer(a.text("--monitor")) : "";
  if (json) {
    Json result = to_json(**machine, end, output);
    if (a.given("--monitor")) result["monitor"] = answers;
    return write_result(json_text(result), code);
  }
  if (a.given("--monitor")) {
    if (const int written = write_result(answers, code); written == kFailure) return written;
  }
  if (a.given("--screen")) {
    const std::string screen =
        absl::StrCat(absl::StrJoin((*machine)->board().text_screen((*machine)->memory()), "\n"), "\n");
    if (const int written = write_result(screen, code); written == kFailure) return written;
  }
  if (!quiet || !good) print_message(end.text);
  if (!good && end.reason == RunEnd::Reason::kShutdown) {
    std::fputs((*machine)->registers_text(end.cpu).c_str(), stderr);
  }
  if (a.given("--stats")) std::fputs(stats_text(**machine, took.count()).c_str(), stderr);
  return code;
}

int run_run(const Arguments& arguments) {
  const absl::StatusOr<int> code = run_guest(arguments);
  return code.ok() ? *code : report_failure(code.status());
}

constexpr OptionSpec kRunOptions[] = {
    {"IMAGE", 0, kFileValue, "", "a kernel, boot sector or program to boot (docs/loaders.md); or the name of a guest that comes with gnomon: teach32, teach64, popf, ..."},
    {"--format", 0, "NAME", "", "what the image is; by default that is told by its content", false, loader_words},
    {"--append", 'a', "TEXT", "", "command line of the kernel"},
    {"--module", 0, "FILE", "", "a module, or the initial RAM disk of Linux; may be repeated"},
    {"--disk", 'd', "FILE", "", "disk image; may be repeated, up to four; a disk given as IMAGE comes first"},
    {"--input", 0, "FILE", "", "type this on the serial port, at most a byte in 100 microseconds of guest time, in place of standard input"},
    {"--write-disks", 0, "", "", "stores to disks go to their files; otherwise they are forgotten at the end"},
    {"--mmu", 'm', "BACKEND", "shadow", "how memory is virtualized; `gnomon backends` lists the ways", false, backend_words},
    {"--mem", 0, "SIZE", "64M", "guest memory, 2M to 32G"},
    {"--cpus", 0, "N", "1", "processors, 1 to 64"},
    {"--board", 0, "NAME", "pc", "the devices: pc or minimal (docs/boards.md)", false, board_words},
    {"--tlb", 't', "PRESET", "off", "TLBs and walk caches to model, access by access; off: faster, and TLBs are not counted",
     false, tlb_words},
    {"--host-page", 0, "SIZE", "4K", "largest host page behind guest memory: 4K, 2M or 1G", false, page_words},
    {"--limit", 0, "N", "0", "stop after the guest time of N instructions; 0: no limit"},
    {"--stats", 0, "", "", "at the end, print what was counted on standard error"},
    {"--events", 0, "FILE", "", "write a line for each exit to the VMM"},
    {"--record", 0, "FILE", "", "write what the guest does as a .gtrace, which replays to the same counts; models --tlb (zen4 if off)"},
    {"--monitor", 0, "COMMANDS", "", "at the end, print what the monitor answers to them; ; between them (docs/debugging.md)"},
    {"--gdb", 0, "PORT", "", "wait for GDB on this port of 127.0.0.1; 0: one that is free (docs/debugging.md)"},
    {"--gdb-registers", 0, "NAME", "auto", "what GDB is told the processor is: i386, x86-64, or auto", false, gdb_register_words},
    {"--screen", 0, "", "", "at the end, print the text screen"},
    {"--naive", 0, "", "", "trap only what traps on a processor at privilege level 3 (docs/virtualization-holes.md)"},
    {"--audit", 0, "", "", "check the backend's tables after every exit; slow"},
    kJsonOption,
    kQuietOption,
};
constexpr Example kRunExamples[] = {
    {"gnomon run kernel.elf", "a kernel under shadow paging; Ctrl-A x ends it"},
    {"gnomon run disk.img --cpus 2 --mmu nested", "a disk with a boot sector, two processors, EPT"},
    {"gnomon run boot.img --disk root.img --input commands.txt --limit 2e9", "two disks, and commands typed as if by a user: every run is the same"},
    {"gnomon run vmlinuz --module initrd.gz --append console=ttyS0 --mem 256M", "Linux"},
};

}  // namespace

const Verb kRunVerb = {
    "run", "run a guest in a virtual machine",
    "The guest's instructions are interpreted; its memory is virtualized by --mmu. The first serial port is\n"
    "the console: standard input and output. On a terminal Ctrl-A x ends the machine, and Ctrl-A c opens the\n"
    "monitor.\n"
    "Exits with 0 if the guest ended with success (it wrote 0 to the debug-exit port, or powered off), or --limit\n"
    "was reached; with 1 if it ended otherwise: another status, a triple fault, a reset.",
    kRunExamples, kRunOptions, run_run};

}  // namespace gnomon::tools
