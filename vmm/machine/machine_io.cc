// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_format.h"
#include "vmm/machine/machine_impl.h"
#include "vmm/trap/hypercalls.h"

namespace gnomon::vmm {

uint64_t MachineImpl::device_read(Gpa at, unsigned size) {
  if (current_ == nullptr) return ~uint64_t{0};
  move_clock();
  current_->attention = true;
  return board_->device_memory().read(at.value(), size, current_->id);
}

void MachineImpl::device_write(Gpa at, unsigned size, uint64_t value) {
  if (current_ == nullptr) return;
  move_clock();
  current_->attention = true;
  board_->device_memory().write(at.value(), size, value, current_->id);
}

uint64_t MachineImpl::time_stamp(const Cpu&) { return now(); }

uint64_t MachineImpl::port_read(Cpu& cpu, uint16_t port, unsigned size) {
  move_clock();
  return board_->ports().read(port, size, cpu.id);
}

void MachineImpl::port_write(Cpu& cpu, uint16_t port, unsigned size, uint64_t value) {
  move_clock();
  board_->ports().write(port, size, value, cpu.id);
}

bool MachineImpl::hypercall(Cpu& cpu) {
  trap::do_hypercall(cpu, *this, options_.board.console_output);
  return true;
}

void MachineImpl::send_init(unsigned cpu) {
  if (cpu >= processors_.size()) return;
  Processor& p = *processors_[cpu];
  p.init = p.cpu.get() == current_;
  if (!p.init) stop_processor(p);
}

void MachineImpl::stop_processor(Processor& p) {
  p.init = false;
  reset_processor(*p.cpu);
  p.cpu->state.waits_for_startup = true;
}

void MachineImpl::send_startup(unsigned cpu, uint8_t vector) {
  if (cpu >= processors_.size() || !processors_[cpu]->cpu->state.waits_for_startup) return;
  processors_[cpu]->cpu->state.waits_for_startup = false;
  start_processor(*processors_[cpu]->cpu, vector);
}

void MachineImpl::send_nmi(unsigned cpu) {
  if (cpu < processors_.size()) processors_[cpu]->cpu->state.nmi_pending = true;
}

void MachineImpl::request_reset() {
  ended(RunEnd::Reason::kReset, current_ != nullptr ? current_->id : 0,
        "the guest asked for a reset");
}

void MachineImpl::request_exit(int status) {
  ended(RunEnd::Reason::kExit, current_ != nullptr ? current_->id : 0,
        absl::StrFormat("the guest ended the machine with status %d", status), status);
}

}  // namespace gnomon::vmm
