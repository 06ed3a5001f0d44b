// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/control_registers.h"

#include "vmm/trap/descriptors.h"
#include "vmm/trap/instructions.h"

// MOV to and from control registers, CLTS, LMSW, SMSW (SDM vol. 2; vol. 3, 2.5).

namespace gnomon::vmm::trap {
namespace {

constexpr uint64_t kCr0Writable = cr0::kPE | control::kMP | control::kEM | control::kTS |
                                  control::kNE | cr0::kWP | control::kAM | control::kNW |
                                  control::kCD | cr0::kPG;
constexpr uint64_t kCr4Writable = cr4::kPSE | cr4::kPAE | cr4::kPGE | cr4::kPCIDE | cr4::kSMEP |
                                  cr4::kSMAP | cr4::kPKE | control::kTSD | control::kDE |
                                  control::kPCE | control::kOSFXSR | control::kOSXMMEXCPT |
                                  control::kUMIP | control::kFSGSBASE;

constexpr uint16_t kHostCr0 = 0x33;  // what SMSW shows of a host: ET, NE, MP, PE

// Going into and out of long mode.
bool long_mode_change_allowed(const Cpu& cpu, uint64_t cr0, uint64_t efer) {
  const bool before = cpu.long_mode();
  const bool after = (cr0 & cr0::kPG) != 0 && (efer & efer::kLME) != 0;
  if (before == after) return true;
  if ((cpu.state.segments[kCs].attributes & seg::kL) != 0) return false;
  const unsigned task = cpu.state.tr.attributes & seg::kTypeMask;
  return !after || (task != system_type::kTss16 && task != system_type::kTss16Busy);
}

bool write_cr0(Instruction& in, uint64_t value) {
  Cpu& cpu = in.cpu;
  if (value >> 32 != 0) return general_protection(cpu);
  value = (value & kCr0Writable) | control::kET;
  if ((value & (control::kNW | control::kCD)) == control::kNW) return general_protection(cpu);
  const Controls& c = cpu.controls();
  return set_controls(cpu, value, c.cr4, c.efer) || general_protection(cpu);
}

bool write_cr4(Instruction& in, uint64_t value) {
  Cpu& cpu = in.cpu;
  if ((value & ~kCr4Writable) != 0) return general_protection(cpu);
  const Controls& c = cpu.controls();
  return set_controls(cpu, c.cr0, value, c.efer) || general_protection(cpu);
}

bool write_cr8(Instruction& in, uint64_t value) {
  if (value > 15) return general_protection(in.cpu);
  in.cpu.state.cr8 = static_cast<uint8_t>(value);
  in.environment.board().set_task_priority(in.cpu.id, in.cpu.state.cr8);
  return true;
}

}  // namespace

bool set_controls(Cpu& cpu, uint64_t cr0, uint64_t cr4, uint64_t efer) {
  if (!long_mode_change_allowed(cpu, cr0, efer)) return false;
  if (!cpu.memory.write_controls(cr0, cr4, efer)) return false;
  const Controls& after = cpu.controls();
  if ((after.cr0 & cr0::kPE) == 0) cpu.set_cpl(0);
  cpu.mode_changed();
  return true;
}

bool load_cr3(Cpu& cpu, uint64_t value) {
  const bool keeps = (value & cr3::kNoFlush) != 0;
  if (keeps && (cpu.controls().cr4 & cr4::kPCIDE) == 0) return false;
  return cpu.memory.write_cr3(value);
}

bool move_control(Instruction& in) {
  Cpu& cpu = in.cpu;
  const bool from = in.form(sensitive_form::kFrom);
  const unsigned number = from ? in.op.r2 : in.op.r1;
  const uint8_t reg = from ? in.op.r1 : in.op.r2;
  const unsigned size = cpu.code64() ? 8 : 4;
  if (number == 8 ? !cpu.code64() : number == 1 || number > 4) return undefined(cpu);
  if (cpu.state.cpl != 0) return general_protection(cpu);
  const Controls& c = cpu.controls();
  if (from) {
    uint64_t value = 0;
    switch (number) {
      case 0: value = c.cr0; break;
      case 2: value = cpu.state.cr2; break;
      case 3: value = c.cr3; break;
      case 4: value = c.cr4; break;
      default:
        value = in.environment.board().apic_base(cpu.id) != 0
                    ? in.environment.board().task_priority(cpu.id)
                    : cpu.state.cr8;
    }
    set_register(cpu, reg, size, value);
    return true;
  }
  const uint64_t value = get_register(cpu, reg, size);
  switch (number) {
    case 0: return write_cr0(in, value);
    case 2: cpu.state.cr2 = value; return true;
    case 3: return load_cr3(cpu, value) || general_protection(cpu);
    case 4: return write_cr4(in, value);
    default: return write_cr8(in, value);
  }
}

bool clear_task_switched(Instruction& in) {
  const Controls& c = in.cpu.controls();
  return set_controls(in.cpu, c.cr0 & ~control::kTS, c.cr4, c.efer) || general_protection(in.cpu);
}

bool load_machine_status(Instruction& in) {
  uint64_t value = 0;
  if (!load_rm(in, in.op.r1, 2, value)) return false;
  constexpr uint64_t kStatus = cr0::kPE | control::kMP | control::kEM | control::kTS;
  const Controls& c = in.cpu.controls();
  // PE can be set but not cleared.
  return write_cr0(in, (c.cr0 & ~(kStatus & ~cr0::kPE)) | (value & kStatus));
}

bool store_machine_status(Instruction& in) {
  if (prevented(in.cpu)) return general_protection(in.cpu);
  const uint64_t shown = in.policy.naive ? kHostCr0 : in.cpu.controls().cr0;
  return store_rm16(in, in.op.r1, shown);
}

}  // namespace gnomon::vmm::trap
