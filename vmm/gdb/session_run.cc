// SPDX-License-Identifier: Apache-2.0
// How a machine runs under a debugger, and what it tells when it stops.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/cpu/cpu.h"
#include "vmm/gdb/packet.h"
#include "vmm/gdb/session.h"
#include "vmm/monitor/guest_view.h"

namespace gnomon::vmm::gdb {
namespace {

// Signals, as GDB knows them.
constexpr absl::string_view kInterrupted = "02", kTrap = "05", kAborted = "06",
                            kSegmentation = "0b";
/// An instruction may take some calls: a timer that is due only moves the clock.
constexpr int kMostTries = 64;

}  // namespace

std::string Session::stop(unsigned cpu, absl::string_view signal, bool of_breakpoint) {
  state_ = State::kStopped;
  stopped_ = cpu_ = control_ = cpu;
  return absl::StrFormat("T%sthread:%x;%s", signal, cpu + 1,
                         of_breakpoint && says_swbreak_ ? "swbreak:;" : "");
}

std::vector<std::string> Session::interrupt() {
  if (state_ != State::kRunning) return {};
  return {stop(stopped_, kInterrupted)};
}

std::string Session::ending(const RunEnd& end) {
  switch (end.reason) {
    case RunEnd::Reason::kExit: return absl::StrFormat("W%02x", end.status & 0xff);
    case RunEnd::Reason::kShutdown:
    case RunEnd::Reason::kBroken:
    case RunEnd::Reason::kRefused:
    case RunEnd::Reason::kHostFailed: return absl::StrCat("X", kAborted);
    default: return "W00";
  }
}

bool Session::at_breakpoint(unsigned cpu) const {
  const uint64_t pc = GuestView(machine_, cpu).linear_pc();
  return breakpoints_[0].contains(pc) || breakpoints_[1].contains(pc);
}

// One instruction of a processor; one that waits is given time. False: it still waits.
bool Session::step(unsigned number, uint64_t instructions, RunEnd& end) {
  const Cpu& cpu = machine_.cpu(number);
  const uint64_t before = cpu.instructions, pc = cpu.rip;
  end = RunEnd{};
  for (int tries = 0; tries < kMostTries; ++tries) {
    end = machine_.step(number);
    if (end.reason == RunEnd::Reason::kHalted) break;
    if (end.reason != RunEnd::Reason::kLimit || cpu.instructions != before || cpu.rip != pc)
      return true;
  }
  if (end.reason != RunEnd::Reason::kHalted) return true;
  for (uint64_t i = 0; i < instructions && cpu.instructions == before; ++i) {
    end = machine_.run(1);
    if (end.reason != RunEnd::Reason::kLimit) return end.reason != RunEnd::Reason::kHalted;
  }
  return cpu.instructions != before;
}

// Some processors step, or only some run: in turns of an instruction each. False: nothing to tell
// yet.
bool Session::step_some(uint64_t instructions, RunEnd& end) {
  const bool stepping =
      std::find(actions_.begin(), actions_.end(), Action::kStep) != actions_.end();
  uint64_t rounds = stepping ? 1 : instructions;
  while (rounds-- != 0) {
    bool stepped = false;
    for (unsigned i = 0; i < actions_.size(); ++i) {
      if (actions_[i] != Action::kStep) continue;
      if (!step(i, instructions, end)) return false;
      end.cpu = i;
      if (end.reason != RunEnd::Reason::kLimit) return true;
      stepped = true;
      stopped_ = i;
    }
    for (unsigned i = 0; i < actions_.size(); ++i) {
      if (actions_[i] != Action::kContinue) continue;
      if (at_breakpoint(i)) {
        end = RunEnd{RunEnd::Reason::kBreakpoint, 0, i, ""};
        return true;
      }
      end = machine_.step(i);
      if (end.reason != RunEnd::Reason::kLimit && end.reason != RunEnd::Reason::kHalted)
        return true;
    }
    if (stepped) {
      end = RunEnd{RunEnd::Reason::kLimit, 0, stopped_, ""};
      return true;
    }
  }
  return false;
}

// What became of a slice. True: the machine has ended.
bool Session::settle(const RunEnd& end, RunEnd& out, Packets& packets) {
  switch (end.reason) {
    case RunEnd::Reason::kLimit: return false;
    case RunEnd::Reason::kHalted: idle_ = true; return false;
    case RunEnd::Reason::kBreakpoint:
      packets.push_back(stop(end.cpu, kTrap, /*of_breakpoint=*/true));
      return false;
    case RunEnd::Reason::kExit:
    case RunEnd::Reason::kReset: out = end; return true;
    default:
      // It cannot go on, but somebody may want to know why.
      packets.push_back(absl::StrCat("O", to_hex(absl::StrCat(end.text, "\n"))));
      packets.push_back(
          stop(end.cpu, end.reason == RunEnd::Reason::kShutdown ? kSegmentation : kAborted));
      fatal_ = end;
      return false;
  }
}

bool Session::run(uint64_t instructions, RunEnd& end, Packets& packets) {
  idle_ = false;
  if (fatal_) {
    end = *fatal_;
    return true;
  }
  const bool all = std::all_of(actions_.begin(), actions_.end(),
                               [](Action a) { return a == Action::kContinue; });
  if (all) return settle(machine_.run(instructions), end, packets);
  RunEnd stepped;
  if (!step_some(instructions, stepped)) {
    idle_ = stepped.reason == RunEnd::Reason::kHalted;
    return false;
  }
  if (stepped.reason == RunEnd::Reason::kLimit) {
    packets.push_back(stop(stepped.cpu, kTrap));
    return false;
  }
  return settle(stepped, end, packets);
}

}  // namespace gnomon::vmm::gdb
