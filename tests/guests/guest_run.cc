// SPDX-License-Identifier: Apache-2.0
#include "tests/guests/guest_run.h"

#include <cctype>

#include "absl/strings/str_cat.h"

#ifndef GNOMON_TEST_GUESTS
#define GNOMON_TEST_GUESTS "."
#endif

namespace gnomon::vmm::guests_test {
namespace {

/// No guest of ours runs longer.
constexpr uint64_t kMostInstructions = 400'000'000;

}  // namespace

const std::vector<std::string>& backends() {
  static const std::vector<std::string> kAll = {
      "native",
      "shadow",
      "shadow:unsync=off",
      "shadow:directory=full-trap",
      "shadow:prefetch=64",
      "shadow:budget=256K",
      "shadow:directory=full-trap,flags=lazy",
      "shadow:unsync=off,flood=0",
      "vtlb",
      "nested",
      "nested:ad=off",
      "npt",
      "agile",
  };
  return kAll;
}

absl::string_view short_work() { return "n=4000 size=24 rounds=12 forks=12"; }
absl::string_view tiny_work() { return "n=200 size=8 rounds=2 forks=3 hz=1000"; }

MachineOptions options_for(absl::string_view guest, absl::string_view backend,
                           absl::string_view command_line) {
  MachineOptions o;
  o.load.image = absl::StrCat(GNOMON_TEST_GUESTS, "/", guest, ".elf");
  o.load.command_line = std::string(command_line);
  o.backend = std::string(backend);
  o.board.memory_bytes = 32u << 20;
  return o;
}

RunEnd run_at_once(Machine& machine) { return machine.run(kMostInstructions); }

Outcome run_guest(MachineOptions options, const Driver& drive) {
  Outcome out;
  options.board.console_output = [&](absl::string_view bytes) {
    out.console.append(bytes.data(), bytes.size());
  };
  const auto machine = Machine::create(options);
  EXPECT_TRUE(machine.ok()) << machine.status();
  if (!machine.ok()) {
    out.end = RunEnd{RunEnd::Reason::kBroken, 0, 0, machine.status().ToString()};
    return out;
  }
  Machine& m = **machine;
  out.end = drive(m);
  const absl::Status finished = m.finish_trace();
  EXPECT_TRUE(finished.ok()) << finished;
  out.counters = m.counters();  // before anybody reads the guest's memory, which counts
  out.trace_hash = m.trace_hash();
  out.memory_hash = m.memory_hash();
  out.instructions = m.instructions();
  out.guest_ns = m.clock().now();
  out.registers = m.registers_text(out.end.cpu);
  return out;
}

Outcome run_audited(MachineOptions options) {
  options.audit = true;
  options.board.memory_bytes = 8u << 20;
  const Outcome audited = run_guest(options);
  options.audit = false;
  options.backend = "native";
  expect_same(audited, run_guest(options));
  return audited;
}

void expect_success(const Outcome& o) {
  EXPECT_EQ(o.end.reason, RunEnd::Reason::kExit) << o.end.text << "\n" << o.console << o.registers;
  EXPECT_EQ(o.end.status, 0) << o.console;
}

void expect_same(const Outcome& a, const Outcome& b) {
  EXPECT_EQ(a.console, b.console);
  EXPECT_EQ(a.end.reason, b.end.reason) << a.end.text << "\n" << b.end.text;
  EXPECT_EQ(a.end.status, b.end.status);
  EXPECT_EQ(a.instructions, b.instructions);
  EXPECT_EQ(a.guest_ns, b.guest_ns);
  EXPECT_EQ(a.trace_hash, b.trace_hash);
  EXPECT_EQ(a.memory_hash, b.memory_hash);
  EXPECT_EQ(a.registers, b.registers);
}

void expect_same_counters(const Counters& a, const Counters& b) {
  for (const CounterInfo& row : counter_table()) EXPECT_EQ(a[row.id], b[row.id]) << row.name;
}

std::string as_name(absl::string_view text) {
  std::string name;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) name.push_back(c);
  }
  return name;
}

}  // namespace gnomon::vmm::guests_test
