// SPDX-License-Identifier: Apache-2.0
//
// The verb `run`: a guest in a virtual machine.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gnomon/traces/trace_writer.h"
#include "gnomon/version.h"
#include "gnomon/vmm/machine.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/copy_trace.h"
#include "tools/debugging.h"
#include "tools/export_paths.h"
#include "tools/output.h"
#include "tools/run_machine.h"
#include "tools/run_output.h"
#include "tools/run_report.h"
#include "tools/words.h"

namespace gnomon::tools {
namespace {

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

/// The machine until it ends, or the user ends it, or it has run for `limit` instructions (0:
/// without limit), or what it writes has nowhere to go.
RunEnd run_machine(Machine& machine, Console& console, Debugging& debugging, uint64_t limit,
                   bool& ended_by_user, const std::function<bool()>& can_write) {
  uint64_t run = 0;
  while (true) {
    const bool types = console.scripted() && !console.pending.empty();
    const uint64_t most = types ? kScriptSlice : kSlice;
    const uint64_t slice = limit == 0 ? most : std::min(most, limit - run);
    if (slice == 0)
      return RunEnd{RunEnd::Reason::kLimit, 0, 0, "the limit of instructions is reached"};
    const uint64_t before = machine.instructions();
    RunEnd end;
    bool ran = true;
    if (!debugging.run(slice, end, ran)) {
      ended_by_user = true;
      return end;
    }
    // No guest time passes while it waits for the user.
    if (ran && end.reason != RunEnd::Reason::kHalted) run += slice;
    if (!can_write()) return end;
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
    const bool more = console.open() && !console.full();
    if (waits && taken == 0 && !more && !debugging.attached()) return end;
  }
}

/// What is made of a run beside the console: files that appear when it is over.
struct Files {
  std::unique_ptr<TraceWriter> trace;
  std::unique_ptr<EventLog> events;
};

/// No output over an input, or over the other one, or into the console.
absl::Status check_files(const Arguments& a, const MachineOptions& options) {
  std::vector<ExportPath> outputs;
  for (const absl::string_view option : {"--events", "--record"}) {
    if (!a.given(option)) continue;
    if (a.text(option) == "-") {
      return absl::InvalidArgumentError(
          absl::StrCat(option, ": standard output is the guest's console; name a file"));
    }
    outputs.emplace_back(option, a.text(option));
  }
  std::vector<std::string> inputs = files_of(options);
  if (a.given("--input")) inputs.push_back(a.text("--input"));
  return check_export_paths(outputs, inputs, "read by the guest");
}

absl::Status named(absl::string_view option, const absl::Status& s) {
  return absl::Status(s.code(), absl::StrCat(option, ": ", s.message()));
}

absl::StatusOr<Files> create_files(const Arguments& a, MachineOptions& options) {
  Files files;
  if (a.given("--record")) {
    TraceInfo about;
    about.program = a.text("IMAGE");
    if (!options.load.command_line.empty())
      absl::StrAppend(&about.program, " ", options.load.command_line);
    about.recorder = absl::StrCat("gnomon ", version());
    about.guest = true;
    auto writer = create_trace({a.text("--record"), "gtrace", kRecordLevel}, about);
    if (!writer.ok()) return named("--record", writer.status());
    files.trace = *std::move(writer);
    options.trace = files.trace.get();
    if (!a.given("--tlb")) options.tlb = std::string(kRecordTlb);
  }
  if (a.given("--events")) {
    auto sink = create_sink(a.text("--events"));
    if (!sink.ok()) return named("--events", sink.status());
    files.events = std::make_unique<EventLog>(*std::move(sink));
  }
  return files;
}

/// The first error of what is written while the guest runs.
absl::Status written(Machine& machine, const Files& files, const ConsoleOutput& console) {
  if (!console.status().ok()) return console.status();
  if (files.events != nullptr && !files.events->status().ok()) return files.events->status();
  return machine.finish_trace();
}

/// What the board has to say of its disks, but for the first `known` notes. How many there are.
size_t print_notes(Machine& machine, size_t known) {
  const std::vector<std::string> notes = machine.board().notes();
  for (size_t i = known; i < notes.size(); ++i) print_warning(notes[i]);
  return notes.size();
}

/// What is printed of a guest whose run is over.
int report(const Arguments& a, Machine& machine, Debugging& debugging, const RunResult& result,
           absl::string_view console) {
  const int code = result.good() ? kSuccess : kMismatch;
  std::optional<std::string> answers;
  if (a.given("--monitor")) answers = debugging.answer(a.text("--monitor"));
  if (a.given("--json")) {
    if (write_result(run_json(machine, result, console, answers), code) == kFailure)
      return kFailure;
  } else {
    const std::string shown =
        absl::StrCat(answers.value_or(""), a.given("--screen") ? screen_text(machine) : "");
    if (write_result(shown, code) == kFailure) return kFailure;
    if (!result.by_user && (!a.given("--quiet") || code != kSuccess))
      print_message(result.end.text);
    if (!result.by_user && result.end.reason == RunEnd::Reason::kShutdown) {
      std::fputs(machine.registers_text(result.end.cpu).c_str(), stderr);
      if (!a.given("--mem")) {
        print_message(absl::StrCat("if it takes more memory for granted than the ",
                                   a.text("--mem"), " that it had: --mem"));
      }
    }
  }
  if (a.given("--stats")) std::fputs(run_stats(machine, result.seconds).c_str(), stderr);
  return code;
}

absl::StatusOr<int> run_guest(const Arguments& a) {
  auto options = parse_run_machine(a);
  if (!options.ok()) return options.status();
  const auto limit = a.count("--limit");
  if (!limit.ok()) return limit.status();
  const bool json = a.given("--json");
  absl::StatusOr<std::string> script = a.given("--input") ? read_script(a.text("--input")) : "";
  if (!script.ok()) return script.status();
  if (absl::Status s = check_files(a, *options); !s.ok()) return s;
  auto files = create_files(a, *options);
  if (!files.ok()) return files.status();
  ConsoleOutput output(/*keep=*/json);
  options->board.console_output = [&](absl::string_view bytes) { output.take(bytes); };
  auto machine = Machine::create(*options);
  if (!machine.ok()) return machine.status();
  (*machine)->set_observer(files->events.get());
  if (!a.given("--quiet")) print_message((*machine)->guest().description);
  const size_t notes = print_notes(**machine, 0);

  auto debugging = Debugging::create(**machine, a);
  if (!debugging.ok()) return debugging.status();
  RunResult result;
  const auto start = std::chrono::steady_clock::now();
  {
    const auto console = a.given("--input") ? std::make_unique<Console>(*std::move(script))
                                            : std::make_unique<Console>(/*use_input=*/!json);
    result.end = run_machine(**machine, *console, **debugging, *limit, result.by_user,
                             [&] { return written(**machine, *files, output).ok(); });
    (*debugging)->finish(result.end);
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  print_notes(**machine, notes);
  if (absl::Status s = written(**machine, *files, output); !s.ok()) return s;
  if (files->trace != nullptr) {
    if (absl::Status s = files->trace->finish(); !s.ok()) return s;
  }
  if (files->events != nullptr) {
    if (absl::Status s = files->events->finish(); !s.ok()) return s;
  }
  return report(a, **machine, **debugging, result, output.kept());
}

int run_run(const Arguments& arguments) {
  const absl::StatusOr<int> code = run_guest(arguments);
  return code.ok() ? *code : report_failure(code.status());
}

constexpr OptionSpec kRunOptions[] = {
    {"IMAGE", 0, kFileValue, "",
     "a kernel, boot sector or program to boot (docs/loaders.md); or the name of a guest that "
     "comes with gnomon: teach32, teach64, popf, ..."},
    {"--format", 0, "NAME", "", "what the image is; by default that is told by its content", false,
     loader_words},
    {"--append", 'a', "TEXT", "", "command line of the kernel"},
    {"--module", 0, "FILE", "", "a module, or the initial RAM disk of Linux; may be repeated"},
    {"--disk", 'd', "FILE", "",
     "disk image; may be repeated, up to four; a disk given as IMAGE comes first"},
    {"--input", 0, "FILE", "",
     "type this on the serial port, at most a byte in 100 microseconds of guest time, in place of "
     "standard input"},
    {"--write-disks", 0, "", "",
     "stores to disks go to their files; otherwise they are forgotten at the end"},
    {"--mmu", 'm', "BACKEND", "shadow",
     "how memory is virtualized; `gnomon backends` lists the ways", false, backend_words},
    {"--mem", 0, "SIZE", "64M", "guest memory, 2M to 32G"},
    {"--cpus", 0, "N", "1", "processors, 1 to 64"},
    {"--board", 0, "NAME", "pc", "the devices: pc or minimal (docs/boards.md)", false, board_words},
    {"--tlb", 't', "PRESET", "off",
     "TLBs and walk caches to model, access by access; off: faster, and TLBs are not counted",
     false, tlb_words},
    {"--host-page", 0, "SIZE", "4K", "largest host page behind guest memory: 4K, 2M or 1G", false,
     page_words},
    {"--limit", 0, "N", "0", "stop after the guest time of N instructions; 0: no limit"},
    {"--stats", 0, "", "", "at the end, print what was counted on standard error"},
    {"--events", 0, "FILE", "",
     "write a line for each exit to the VMM; the file appears at the end"},
    {"--record", 0, "FILE", "",
     "write what the guest does as a .gtrace, which replays to the same counts; models --tlb (zen4 "
     "if off)"},
    {"--monitor", 0, "COMMANDS", "",
     "at the end, print what the monitor answers to them; ; between them (docs/debugging.md)"},
    {"--gdb", 0, "PORT", "",
     "wait for GDB on this port of 127.0.0.1; 0: one that is free (docs/debugging.md)"},
    {"--gdb-registers", 0, "NAME", "auto",
     "what GDB is told the processor is: i386, x86-64, or auto", false, gdb_register_words},
    {"--screen", 0, "", "", "at the end, print the text screen"},
    {"--naive", 0, "", "",
     "trap only what traps on a processor at privilege level 3 (docs/virtualization-holes.md)"},
    {"--audit", 0, "", "", "check the backend's tables after every exit; slow"},
    kJsonOption,
    kQuietOption,
};
constexpr Example kRunExamples[] = {
    {"gnomon run kernel.elf", "a kernel under shadow paging; Ctrl-A x ends it"},
    {"gnomon run disk.img --cpus 2 --mmu nested", "a disk with a boot sector, two processors, EPT"},
    {"gnomon run boot.img --disk root.img --input commands.txt --limit 2G",
     "two disks, and commands typed as if by a user: every run is the same"},
    {"gnomon run vmlinuz --module initrd.gz --append console=ttyS0 --mem 256M", "Linux"},
};

}  // namespace

const Verb kRunVerb = {"run",
                       "run a guest in a virtual machine",
                       "The guest's instructions are interpreted; its memory is virtualized by "
                       "--mmu. The first serial port is\n"
                       "the console: standard input and output. On a terminal Ctrl-A x ends the "
                       "machine, and Ctrl-A c opens the\n"
                       "monitor.\n"
                       "Exits with 0 if the guest ended with success (it wrote 0 to the debug-exit "
                       "port, or powered off), if --limit\n"
                       "was reached, or if all processors wait for what cannot come; with 1 if it "
                       "ended otherwise: another status, a\n"
                       "triple fault, a reset.",
                       kRunExamples,
                       kRunOptions,
                       run_run};

}  // namespace gnomon::tools
