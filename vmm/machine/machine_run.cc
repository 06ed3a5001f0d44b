// SPDX-License-Identifier: Apache-2.0
#include <Zydis/Mnemonic.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/machine/machine_impl.h"
#include "vmm/trap/hypercalls.h"

namespace gnomon::vmm {
namespace {

/// Instructions of a processor before the next one has its turn.
constexpr uint64_t kQuantum = 5'000;
constexpr uint64_t kAloneQuantum = 10'000'000;
/// A guest whose handlers fault at their first instruction executes none, for ever: from so many
/// exits on, each counts as one, so that time goes on.
constexpr unsigned kMostStuck = 32;

}  // namespace

uint64_t MachineImpl::executed() const {
  return instructions_ + (current_ != nullptr ? current_->instructions - turn_started_ : 0);
}

uint64_t MachineImpl::instructions_until(uint64_t ns) const {
  const uint64_t at = now();
  if (ns <= at) return 0;
  const uint64_t n = (ns - at) / ns_per_instruction_;
  return n + ((ns - at) % ns_per_instruction_ != 0 ? 1 : 0);
}

bool MachineImpl::can_run(const Cpu& cpu) const {
  const CpuState& s = cpu.state;
  if (s.waits_for_startup) return false;
  if (!s.halted || (s.nmi_pending && !s.nmi_blocked)) return true;
  return (s.rflags & flag::kIF) != 0 && board_->interrupt_pending(cpu.id);
}

void MachineImpl::pass_turn() {
  next_turn_ = (next_turn_ + 1) % processors_.size();
  quantum_left_ = 0;
}

RunEnd MachineImpl::run(uint64_t instructions) {
  end_.reset();
  const uint64_t stop = now() + instructions * ns_per_instruction_;
  while (!end_ && now() < stop) {
    bool ran = false;
    for (size_t tried = 0; tried < processors_.size() && !ran; ++tried) {
      Processor& p = *processors_[next_turn_];
      if (!can_run(*p.cpu)) {
        pass_turn();
        continue;
      }
      if (quantum_left_ == 0) quantum_left_ = processors_.size() == 1 ? kAloneQuantum : kQuantum;
      const uint64_t before = instructions_;
      const bool goes_on = turn(p, std::min(quantum_left_, instructions_until(stop)));
      quantum_left_ -= instructions_ - before;
      // Where a run ends is no reason for another processor to go on: a run in slices is like one
      // in one piece.
      if (!goes_on || quantum_left_ == 0) pass_turn();
      ran = true;
    }
    if (ran || end_) continue;
    const uint64_t deadline = clock_.next_deadline();
    if (deadline == Clock::kNever) {
      return RunEnd{RunEnd::Reason::kHalted, 0, 0, "all processors wait, and no timer runs"};
    }
    idle_ns_ += std::min(std::max(deadline, now() + 1), stop) - now();
    move_clock();
  }
  return end_ ? *end_ : RunEnd{};
}

RunEnd MachineImpl::step(unsigned number) {
  end_.reset();
  Processor& p = *processors_[number];
  if (!can_run(*p.cpu)) return RunEnd{RunEnd::Reason::kHalted, 0, number, "the processor waits"};
  p.interp->skip_breakpoint();
  turn(p, 1);
  p.interp->skip_breakpoint(false);  // there may have been none to skip
  return end_ ? *end_ : RunEnd{};
}

bool MachineImpl::turn(Processor& p, uint64_t budget) {
  Cpu& cpu = *p.cpu;
  bool waits = false;
  current_ = &cpu;
  turn_started_ = cpu.instructions;
  while (!end_ && cpu.instructions - turn_started_ < budget) {
    // An exit may have set a timer, or a device access let one become due.
    const uint64_t timer = instructions_until(clock_.next_deadline());
    if (timer == 0) break;
    deliver_pending(cpu);
    waits = cpu.state.halted || cpu.state.waits_for_startup;
    if (end_ || waits) break;
    cpu.attention = false;
    const bool shadow = cpu.state.interrupt_shadow;
    const uint64_t left = std::min(budget - (cpu.instructions - turn_started_), timer);
    p.interp->run(cpu, cpu.instructions + (shadow ? 1 : left));
    cpu.state.interrupt_shadow = false;
    handle_exit(p);
    if (p.init) stop_processor(p);
    note_progress(p);
  }
  const uint64_t done = executed();
  current_ = nullptr;
  instructions_ = done;
  const bool timer_due = instructions_until(clock_.next_deadline()) == 0;
  move_clock();
  return !waits && !timer_due;
}

void MachineImpl::note_progress(Processor& p) {
  uint64_t& done = p.cpu->instructions;
  p.stuck = done == p.progress ? p.stuck + 1 : 0;
  if (p.stuck > kMostStuck) ++done;
  p.progress = done;
}

void MachineImpl::deliver_pending(Cpu& cpu) {
  CpuState& s = cpu.state;
  if (s.interrupt_shadow) return;
  Event event{Event::Kind::kInterrupt, kNmi, false, 0, 0};
  if (s.nmi_pending && !s.nmi_blocked) {
    s.nmi_pending = false;
    s.nmi_blocked = true;
  } else {
    if ((s.rflags & flag::kIF) == 0 || !board_->interrupt_pending(cpu.id)) return;
    const std::optional<uint8_t> vector = board_->acknowledge_interrupt(cpu.id);
    if (!vector) return;
    event.vector = *vector;
  }
  s.halted = false;
  note_exit(cpu, 0x100u + event.vector);
  tell(cpu, "interrupt", event.vector);
  settle(cpu, deliver(cpu, event));
}

void MachineImpl::handle_exit(Processor& p) {
  Cpu& cpu = *p.cpu;
  const Exit exit = cpu.exit;
  switch (exit.reason) {
    case ExitReason::kNone:
    case ExitReason::kBudget:
    case ExitReason::kDevice:
    case ExitReason::kAttention: return;
    case ExitReason::kInstruction:
      note_exit(cpu, 0x1000u + exit.op->code);
      tell(cpu, "instruction", exit.op->code);
      settle(cpu, emulate(cpu, *exit.op, *this, TrapPolicy{options_.naive}));
      break;
    case ExitReason::kFault:
      note_exit(cpu, 0x200u + exit.fault.vector);
      tell(cpu, "fault", exit.fault.vector);
      settle(cpu, deliver(cpu, exit.fault));
      break;
    case ExitReason::kTrap:
      note_exit(cpu, 0x300u);
      settle(cpu, deliver(cpu, Event{Event::Kind::kTrap, kDebug, false, 0, 0}));
      break;
    case ExitReason::kBreakpoint: ended(RunEnd::Reason::kBreakpoint, cpu.id, "breakpoint"); return;
    case ExitReason::kHostFailed: host_failed(cpu); return;
  }
  if (!options_.audit || end_) return;
  for (const AuditFinding& f : backend_->audit()) {
    return ended(RunEnd::Reason::kBroken, cpu.id,
                 absl::StrFormat("invariant %d is broken: %s", f.invariant, f.text));
  }
}

void MachineImpl::settle(Cpu& cpu, Emulated what) {
  // What delivery of a fault answers is never another fault to deliver.
  if (what == Emulated::kFault) what = deliver(cpu, cpu.exit.fault);
  if (cpu.memory.host_failed) return host_failed(cpu);
  if (what == Emulated::kShutdown) {
    ended(RunEnd::Reason::kShutdown, cpu.id,
          absl::StrFormat("triple fault of processor %d at %#x", cpu.id, cpu.rip));
  }
}

void MachineImpl::host_failed(const Cpu& cpu) {
  if (!cpu.memory.refusal) {
    return ended(RunEnd::Reason::kHostFailed, cpu.id, "the host has no memory left for the guest");
  }
  const auto [level, root] = *cpu.memory.refusal;
  if (level == 0) {
    const absl::string_view mode = name_of(cpu.memory.mmu().state().rules.mode);
    return ended(
        RunEnd::Reason::kRefused, cpu.id,
        absl::StrFormat("%s paging has no %s page tables, only 4-level ones (docs/hypercalls.md)",
                        backend_->name(), mode));
  }
  ended(RunEnd::Reason::kRefused, cpu.id,
        absl::StrFormat(
            "%s paging refuses the guest's page tables at level %d, gpa %#x: the guest must use "
            "hypercalls (docs/hypercalls.md)",
            backend_->name(), level, root.value()));
}

void MachineImpl::ended(RunEnd::Reason reason, unsigned cpu, std::string text, int status) {
  if (!end_) end_ = RunEnd{reason, status, cpu, std::move(text)};
}

void MachineImpl::tell(const Cpu& cpu, absl::string_view what, unsigned number) {
  if (observer_ == nullptr) return;
  std::string text = what == "instruction"
                         ? ZydisMnemonicGetString(static_cast<ZydisMnemonic>(number))
                         : absl::StrFormat("%s %d", what, number);
  if (what == "instruction" &&
      (number == ZYDIS_MNEMONIC_VMCALL || number == ZYDIS_MNEMONIC_VMMCALL)) {
    absl::StrAppend(&text, " ", trap::hypercall_name(trap::hypercall_number(cpu)));
  }
  observer_->on_exit({cpu.id, cpu.instructions, cpu.rip, std::move(text)});
}

void MachineImpl::note_exit(const Cpu& cpu, uint64_t what) {
  const auto fold = [this](uint64_t v) {
    hash_ = (hash_ ^ v) * 0x9e3779b97f4a7c15;
    hash_ ^= hash_ >> 32;
  };
  fold(what << 8 | cpu.id);
  fold(cpu.instructions);
  fold(cpu.rip);
  for (const unsigned r : {kRax, kRcx, kRdx, kRbx, kRsp, kRsi, kRdi}) fold(cpu.gpr[r]);
  fold(cpu.rflags());
}

}  // namespace gnomon::vmm
