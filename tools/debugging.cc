// SPDX-License-Identifier: Apache-2.0
#include "tools/debugging.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/output.h"

namespace gnomon::tools {
namespace {

using vmm::GdbOptions;
using vmm::MonitorAnswer;
using vmm::RunEnd;

/// Of one of gdb_register_words().
GdbOptions::Registers registers_of(absl::string_view name) {
  if (name == "i386") return GdbOptions::Registers::kI386;
  if (name == "x86-64") return GdbOptions::Registers::kX86_64;
  return GdbOptions::Registers::kAuto;
}

/// A line of standard input, which is a terminal that gives whole lines. Nullopt: its end.
std::optional<std::string> read_line() {
  std::string line;
  char c = 0;
  while (true) {
    const ssize_t n = read(STDIN_FILENO, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return line.empty() ? std::nullopt : std::optional(line);
    // A return that was typed before the terminal gave lines is none yet.
    if (c == '\n' || c == '\r') return line;
    line += c;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Debugging>> Debugging::create(vmm::Machine& machine,
                                                             const Arguments& arguments) {
  std::unique_ptr<Debugging> made(new Debugging(machine));
  if (!arguments.given("--gdb")) return made;
  const auto port = arguments.count("--gdb");
  if (!port.ok()) return port.status();
  GdbOptions options;
  options.port = static_cast<uint16_t>(*port);
  options.registers = registers_of(arguments.text("--gdb-registers"));
  options.say = [](absl::string_view line) { print_message(line); };
  auto server = vmm::GdbServer::create(machine, options);
  if (!server.ok()) return server.status();
  made->gdb_ = *std::move(server);
  print_message(absl::StrFormat("waiting for GDB: target remote 127.0.0.1:%d", made->gdb_->port()));
  return made;
}

bool Debugging::run(uint64_t instructions, RunEnd& end, bool& ran) {
  ran = true;
  if (gdb_ == nullptr) {
    end = machine_.run(instructions);
    return true;
  }
  end = RunEnd{};
  const vmm::GdbServer::Turn turn = gdb_->run(instructions, end);
  ran = turn == vmm::GdbServer::Turn::kRan;
  return turn != vmm::GdbServer::Turn::kKilled;
}

void Debugging::finish(const RunEnd& end) {
  if (gdb_ != nullptr) gdb_->finish(end);
}

bool Debugging::converse(Console& console, const RunEnd& why, RunEnd& end, bool& by_user) {
  constexpr absl::string_view kBack =
      "\x01"
      "c";  // Ctrl-A c, as the terminal hands it on
  console.suspend();
  if (why.reason == RunEnd::Reason::kBreakpoint) monitor_.set_cpu(why.cpu);
  std::fputs("\n", stdout);
  bool goes_on = true;
  for (bool asks = true; asks;) {
    std::fputs("(gnomon) ", stdout);
    std::fflush(stdout);
    const std::optional<std::string> line = read_line();
    const bool back = !line || absl::string_view(*line).substr(0, kBack.size()) == kBack;
    const MonitorAnswer answer = monitor_.run(back ? "cont" : *line);
    std::fputs(answer.text.c_str(), stdout);
    asks = answer.then == MonitorAnswer::Then::kStay;
    by_user = answer.then == MonitorAnswer::Then::kQuit;
    if (answer.end) end = *answer.end;
    goes_on = answer.then == MonitorAnswer::Then::kContinue;
  }
  std::fflush(stdout);
  console.resume();
  return goes_on;
}

}  // namespace gnomon::tools
