// SPDX-License-Identifier: Apache-2.0
//
// The verb `demo`: small guests that show what virtualization has to do.
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gnomon/vmm/machine.h"
#include "tools/commands.h"
#include "tools/guest_files.h"
#include "tools/json_text.h"
#include "tools/output.h"
#include "tools/replay_plan.h"
#include "tools/words.h"

namespace gnomon::tools {
namespace {

using Json = nlohmann::ordered_json;

/// A guest is run in two ways; in the first it is to fail its own checks, in the second to pass
/// them.
struct Demo {
  absl::string_view name;  ///< also the guest's
  absl::string_view question;
  absl::string_view naive;   ///< what is done first, and why it goes wrong
  absl::string_view proper;  ///< what is done then
};

constexpr Demo kDemos[] = {
    {"popf", "Does a kernel get back the interrupt flag that it put away with PUSHF, by POPF?",
     "Naive trap and emulate: the guest's kernel runs at privilege level 3 of the processor, and "
     "whatever traps there "
     "is emulated. CLI and STI trap. PUSHF and POPF do not: PUSHF shows the processor's own IF, "
     "which is 1, and POPF "
     "leaves IF as it is and says nothing.",
     "Sensitive instructions go to the VMM whether they trap or not, as a binary translator or "
     "hardware with its own "
     "guest mode has it. PUSHF shows the guest's IF, and POPF sets it."},
    {"holes", "Does the machine look to its kernel like the one it was written for?",
     "Naive trap and emulate: reading CS shows privilege level 3; SGDT, SIDT and STR show the "
     "host's tables; LAR, VERR "
     "and IRET to the same level do as at level 3. None of them traps.",
     "They go to the VMM, which answers with the guest's own state."},
};

/// A demonstration takes well under a second of guest time; a guest that went astray is not waited
/// for.
constexpr uint64_t kMostInstructions = 50'000'000;

struct Run {
  std::string console;
  vmm::RunEnd end;
  std::vector<vmm::ExitCount> exits;
  bool passed() const { return end.reason == vmm::RunEnd::Reason::kExit && end.status == 0; }
};

absl::StatusOr<Run> run_guest(const std::string& file, const std::string& backend, bool naive) {
  Run run;
  vmm::MachineOptions o;
  o.load.image = file;
  o.backend = backend;
  o.naive = naive;
  o.board.console_output = [&run](absl::string_view bytes) {
    absl::StrAppend(&run.console, bytes);
  };
  auto machine = vmm::Machine::create(o);
  if (!machine.ok()) return machine.status();
  run.end = (*machine)->run(kMostInstructions);
  run.exits = (*machine)->exit_counts();
  return run;
}

Json to_json(const Run& run) {
  Json exits = Json::object();
  for (const vmm::ExitCount& e : run.exits) {
    if (e.count != 0) exits[std::string(e.name)] = e.count;
  }
  return {{"passed", run.passed()}, {"console", run.console}, {"exits", exits}};
}

std::string to_text(absl::string_view heading, absl::string_view what, const Run& run) {
  std::string text = absl::StrCat(heading, "\n", what, "\n\n");
  for (const absl::string_view line : absl::StrSplit(run.console, '\n', absl::SkipEmpty())) {
    absl::StrAppend(&text, "    ", line, "\n");
  }
  std::vector<std::string> exits;
  for (const vmm::ExitCount& e : run.exits) {
    if (e.count != 0) exits.push_back(absl::StrCat(e.name, " ", e.count));
  }
  absl::StrAppend(&text, "\n    exits to the VMM: ", absl::StrJoin(exits, ", "), "\n\n");
  return text;
}

absl::StatusOr<int> demonstrate(const Arguments& a) {
  if (absl::Status s = check_backend_option("--mmu", a.text("--mmu")); !s.ok()) return s;
  const std::string name = a.text("NAME");
  const Demo* demo = nullptr;
  std::vector<absl::string_view> known;
  for (const Demo& d : kDemos) {
    if (d.name == name) demo = &d;
    known.push_back(d.name);
  }
  if (demo == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("demo: no demonstration '", name,
                                                   "'; there are ", absl::StrJoin(known, " and ")));
  }
  const auto file = find_guest(name);
  if (!file.ok()) return file.status();
  const auto naive = run_guest(*file, a.text("--mmu"), true);
  if (!naive.ok()) return naive.status();
  const auto proper = run_guest(*file, a.text("--mmu"), false);
  if (!proper.ok()) return proper.status();
  const bool shown = !naive->passed() && proper->passed();
  if (a.given("--json")) {
    const Json document = {{"schema", "gnomon.demo/1"},
                           {"demo", name},
                           {"question", std::string(demo->question)},
                           {"naive", to_json(*naive)},
                           {"proper", to_json(*proper)},
                           {"shown", shown}};
    return write_result(json_text(document), shown ? kSuccess : kMismatch);
  }
  const std::string text =
      absl::StrCat(demo->question, "\n\n", to_text("1. Naive", demo->naive, *naive),
                   to_text("2. As it should be", demo->proper, *proper),
                   shown ? "The guest went wrong in the first machine, and not in the second.\n"
                         : "The guest did not do what this demonstration is about.\n");
  return write_result(text, shown ? kSuccess : kMismatch);
}

int run_demo(const Arguments& arguments) {
  const absl::StatusOr<int> code = demonstrate(arguments);
  return code.ok() ? *code : report_failure(code.status());
}

constexpr OptionSpec kDemoOptions[] = {
    {"NAME", 0, "NAME", "", "which: popf or holes", false, demo_words},
    {"--mmu", 'm', "BACKEND", "shadow", "how memory is virtualized", false, backend_words},
    kJsonOption,
};
constexpr Example kDemoExamples[] = {
    {"gnomon demo popf", "a guest whose kernel loses its interrupt flag, and why"},
    {"gnomon demo holes", "what else a guest can see under naive trap and emulate"},
};

}  // namespace

std::vector<std::string> demo_words() {
  std::vector<std::string> names;
  for (const Demo& d : kDemos) names.emplace_back(d.name);
  return names;
}

const Verb kDemoVerb = {
    "demo",
    "show what virtualization has to do, on a small guest",
    "Runs a small guest twice: under naive trap and emulate, where it goes wrong, and under the "
    "real VMM.\n"
    "docs/virtualization-holes.md has the whole list of what x86 lets a guest see and do.\n"
    "Exits with 1 if the guest did not go wrong in the first run, or did in the second.",
    kDemoExamples,
    kDemoOptions,
    run_demo};

}  // namespace gnomon::tools
