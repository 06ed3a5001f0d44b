// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "vmm/cpu/cpu.h"
#include "vmm/monitor/context.h"

namespace gnomon::vmm {
namespace {

using Then = MonitorAnswer::Then;
using Answer = absl::StatusOr<std::string>;

constexpr uint64_t kMostSteps = 1'000'000;

const MonitorCommand* find(absl::Span<const MonitorCommand> table, absl::string_view name) {
  for (const MonitorCommand& c : table) {
    if (name == c.name || (!c.alias.empty() && name == c.alias)) return &c;
  }
  return nullptr;
}

void append_help(std::string& text, absl::string_view prefix, const MonitorCommand& c) {
  const std::string usage = absl::StrCat(prefix, c.name, c.alias.empty() ? "" : "|", c.alias,
                                         c.arguments.empty() ? "" : " ", c.arguments);
  absl::StrAppendFormat(&text, "%-26s %s\n", usage, c.description);
}

Answer help(MonitorContext&, absl::string_view arguments) {
  std::string text;
  const absl::string_view name = take_word(arguments);
  if (name.empty() || name == "info") {
    if (name.empty()) {
      for (const MonitorCommand& c : monitor_commands()) append_help(text, "", c);
    }
    for (const MonitorCommand& c : info_commands()) append_help(text, "info ", c);
    return text;
  }
  const MonitorCommand* c = find(monitor_commands(), name);
  if (c == nullptr)
    return absl::InvalidArgumentError(absl::StrCat("unknown command \"", name.substr(0, 40), "\""));
  append_help(text, "", *c);
  return text;
}

Answer info(MonitorContext& context, absl::string_view arguments) {
  const absl::string_view name = take_word(arguments);
  const MonitorCommand* c = find(info_commands(), name);
  if (c == nullptr) {
    return absl::InvalidArgumentError(name.empty()
                                          ? "info about what? help info lists it"
                                          : absl::StrCat("no info about \"", name.substr(0, 40),
                                                         "\"; help info lists what there is"));
  }
  return c->run(context, arguments);
}

Answer cpu(MonitorContext& context, absl::string_view arguments) {
  const auto number = evaluate(context, arguments);
  if (!number.ok()) return number.status();
  if (*number >= context.machine.cpus()) {
    return absl::InvalidArgumentError(absl::StrCat("there is no processor ", *number));
  }
  context.cpu = static_cast<unsigned>(*number);
  return std::string();
}

Answer print(MonitorContext& context, absl::string_view arguments) {
  const auto value = evaluate(context, arguments);
  if (!value.ok()) return value.status();
  return absl::StrFormat("%#x\n", *value);
}

Answer gva2gpa(MonitorContext& context, absl::string_view arguments) {
  const auto linear = evaluate(context, arguments);
  if (!linear.ok()) return linear.status();
  const auto gpa = context.view().find(*linear);
  if (!gpa) return std::string("Unmapped\n");
  return absl::StrFormat("gpa: %#x\n", gpa->value());
}

absl::StatusOr<Hpa> host_address(MonitorContext& context, absl::string_view arguments, Gpa& gpa) {
  const auto value = evaluate(context, arguments);
  if (!value.ok()) return value.status();
  gpa = Gpa(*value);
  const P2mEntry e = context.machine.p2m().lookup(gpa);
  if (e.is_ram()) return e.frame().with_offset(PageSize::k4K, *value);
  return absl::FailedPreconditionError(absl::StrFormat(
      "no host frame at %#x: %s", *value,
      e.state() == FrameState::kLazy ? "RAM that was never used" : name_of(e.state())));
}

Answer gpa2hpa(MonitorContext& context, absl::string_view arguments) {
  Gpa gpa;
  const auto hpa = host_address(context, arguments, gpa);
  if (!hpa.ok()) return hpa.status();
  return absl::StrFormat("Host physical address for %#x is %#x\n", gpa.value(), hpa->value());
}

Answer gpa2hva(MonitorContext& context, absl::string_view arguments) {
  Gpa gpa;
  const auto hpa = host_address(context, arguments, gpa);
  if (!hpa.ok()) return hpa.status();
  return absl::StrFormat("Host virtual address for %#x is %#x\n", gpa.value(),
                         context.machine.p2m().host().hva(*hpa).value());
}

Answer audit(MonitorContext& context, absl::string_view arguments) {
  if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
  std::string text;
  for (const AuditFinding& f : context.machine.backend().audit()) {
    absl::StrAppendFormat(&text, "invariant %d is broken: %s\n", f.invariant, f.text);
  }
  return text.empty() ? "sound\n" : text;
}

Answer stop(MonitorContext&, absl::string_view arguments) {
  if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
  return std::string();  // it stands still while the monitor is asked
}

/// One instruction; false: the machine ended in it.
bool step_once(MonitorContext& context, unsigned number, std::string& text) {
  const RunEnd end = context.machine.step(number);
  switch (end.reason) {
    case RunEnd::Reason::kLimit:
    case RunEnd::Reason::kBreakpoint: return true;
    case RunEnd::Reason::kHalted: absl::StrAppend(&text, end.text, "\n"); return false;
    default:
      absl::StrAppend(&text, end.text, "\n");
      context.then = Then::kEnded;
      context.end = end;
      return false;
  }
}

Answer step(MonitorContext& context, absl::string_view arguments) {
  uint64_t count = 1;
  if (!arguments.empty()) {
    const auto value = evaluate(context, arguments);
    if (!value.ok()) return value.status();
    count = *value;
  }
  if (count > kMostSteps)
    return absl::InvalidArgumentError(absl::StrCat("not more than ", kMostSteps, " steps at once"));
  std::string text;
  while (count-- != 0) {
    if (!step_once(context, context.cpu, text)) return text;
  }
  return text + disassemble(context, context.view().linear_pc(), 1);
}

Answer go_on(MonitorContext& context, absl::string_view arguments) {
  if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
  std::string text;
  context.then = Then::kContinue;
  for (unsigned i = 0; i < context.machine.cpus() && context.then == Then::kContinue; ++i) {
    const uint64_t pc = GuestView(context.machine, i).linear_pc();
    const bool waits =
        context.machine.cpu(i).state.halted || context.machine.cpu(i).state.waits_for_startup;
    if (!waits && context.breakpoints.contains(pc)) step_once(context, i, text);
  }
  return text;
}

Answer set_break(MonitorContext& context, absl::string_view arguments) {
  const auto at = evaluate(context, arguments);
  if (!at.ok()) return at.status();
  context.machine.set_breakpoint(*at, true);
  context.breakpoints.insert(*at);
  return std::string();
}

Answer delete_break(MonitorContext& context, absl::string_view arguments) {
  const auto at = evaluate(context, arguments);
  if (!at.ok()) return at.status();
  if (context.breakpoints.erase(*at) == 0) {
    return absl::NotFoundError(absl::StrFormat("no breakpoint at %#x", *at));
  }
  context.machine.set_breakpoint(*at, false);
  return std::string();
}

struct KeyName {
  absl::string_view name;
  char character;
};
constexpr KeyName kKeys[] = {
    {"ret", '\n'},        {"spc", ' '},          {"tab", '\t'},          {"esc", '\x1b'},
    {"backspace", '\b'},  {"minus", '-'},        {"equal", '='},         {"comma", ','},
    {"dot", '.'},         {"slash", '/'},        {"backslash", '\\'},    {"semicolon", ';'},
    {"apostrophe", '\''}, {"bracket_left", '['}, {"bracket_right", ']'}, {"grave_accent", '`'},
    {"asterisk", '*'},
};

Answer send_key(MonitorContext& context, absl::string_view arguments) {
  absl::string_view name = take_word(arguments);
  if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
  const absl::string_view given = name.substr(0, 40);
  const bool shift = absl::ConsumePrefix(&name, "shift-");
  char c = name.size() == 1 ? name[0] : '\0';
  for (const KeyName& k : kKeys) {
    if (name == k.name) c = k.character;
  }
  if (shift && c >= 'a' && c <= 'z') {
    c = static_cast<char>(c - 'a' + 'A');
  } else if (shift) {
    c = '\0';
  }
  if (c == '\0') return absl::InvalidArgumentError(absl::StrCat("unknown key \"", given, "\""));
  if (context.machine.board().keyboard_input(absl::string_view(&c, 1)) == 0) {
    return absl::FailedPreconditionError("no keyboard takes the key");
  }
  return std::string();
}

Answer quit(MonitorContext& context, absl::string_view arguments) {
  if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
  context.then = Then::kQuit;
  return std::string();
}

constexpr MonitorCommand kCommands[] = {
    {"audit", "", "", "check the invariants of the backend's tables", audit},
    {"break", "b", "ADDR", "stop before the instruction at this linear address", set_break},
    {"cont", "c", "", "let the machine run", go_on},
    {"cpu", "", "N", "commands are about processor N from now on", cpu},
    {"delete", "d", "ADDR", "forget a breakpoint", delete_break},
    {"gpa2hpa", "", "ADDR", "host-physical address of a guest-physical one", gpa2hpa},
    {"gpa2hva", "", "ADDR", "where this process has a guest-physical address", gpa2hva},
    {"gva2gpa", "", "ADDR", "guest-physical address of a virtual one", gva2gpa},
    {"help", "?", "[COMMAND]", "what there is", help},
    {"info", "i", "WHAT", "one of those below", info},
    {"print", "p", "EXPR", "value of an expression: numbers, $registers, + - * ( )", print},
    {"quit", "q", "", "end the machine", quit},
    {"sendkey", "", "KEY", "press a key: a, 1, ret, spc, shift-a, ...", send_key},
    {"step", "s", "[N]", "execute one instruction, or N, of this processor", step},
    {"stop", "", "", "stop the machine; it stands still while the monitor is open", stop},
    {"x", "", "/FMT ADDR", "memory at a virtual address; FMT: count, x d u o c i s, b h w g",
     dump_virtual},
    {"xp", "", "/FMT ADDR", "memory at a physical address", dump_physical},
};

}  // namespace

absl::Span<const MonitorCommand> monitor_commands() { return kCommands; }

}  // namespace gnomon::vmm
