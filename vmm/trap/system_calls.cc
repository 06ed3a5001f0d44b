// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/descriptors.h"
#include "vmm/trap/instructions.h"

// Fast system calls (SDM vol. 2). SYSCALL and SYSRET are those of 64-bit mode, where all processors
// agree, with a return to compatibility mode; elsewhere they are undefined, as on Intel's. SYSENTER
// and SYSEXIT work in every protected mode.

namespace gnomon::vmm::trap {
namespace {

constexpr uint64_t kSyscallEnable = 1;  // of EFER
constexpr uint64_t kReturnedFlags = flag::kArithmetic | flag::kTF | flag::kIF | flag::kDF |
                                    flag::kIOPL | flag::kNT | flag::kAC | flag::kID;

uint16_t with_level(uint64_t selector, unsigned rpl) {
  return static_cast<uint16_t>((selector & 0xfffc) | rpl);
}

void enter_level(Cpu& cpu, uint64_t cs, uint64_t ss, unsigned cpl, bool code64) {
  cpu.state.segments[kCs] = flat_code(with_level(cs, cpl), cpl, code64);
  cpu.state.segments[kSs] = flat_stack(with_level(ss, cpl), cpl);
  cpu.set_cpl(cpl);
  cpu.mode_changed();
}

bool enabled(const Cpu& cpu) { return cpu.code64() && (cpu.controls().efer & kSyscallEnable) != 0; }

}  // namespace

bool system_call(Instruction& in) {
  Cpu& cpu = in.cpu;
  if (!enabled(cpu)) return undefined(cpu);
  const Msrs& msrs = cpu.state.msrs;
  const uint64_t flags = cpu.rflags() & ~flag::kRF;
  cpu.gpr[kRcx] = in.next;
  cpu.gpr[kR11] = flags;
  const uint64_t cs = msrs.star >> 32 & 0xfffc;
  enter_level(cpu, cs, cs + 8, 0, true);
  cpu.set_rflags((flags & ~msrs.sfmask) | flag::kOne);
  in.next = msrs.lstar;
  in.no_step = (msrs.sfmask & flag::kTF) != 0;
  return true;
}

bool system_return(Instruction& in) {
  Cpu& cpu = in.cpu;
  if (!enabled(cpu)) return undefined(cpu);
  if (cpu.state.cpl != 0) return general_protection(cpu);
  const bool to64 = in.op.size == 8;
  // Checked here, at level 0, as Intel's processors do.
  if (to64 && !canonical(cpu, cpu.gpr[kRcx])) return general_protection(cpu);
  const uint64_t star = cpu.state.msrs.star >> 48;
  enter_level(cpu, to64 ? star + 16 : star, star + 8, 3, to64);
  cpu.set_rflags((cpu.gpr[kR11] & kReturnedFlags) | flag::kOne);
  in.next = to64 ? cpu.gpr[kRcx] : cpu.gpr[kRcx] & 0xffff'ffff;
  // Unlike that of POPF and IRET, a TF that it loads counts at once: the trap is before the first
  // instruction at level 3.
  in.steps |= (cpu.state.rflags & flag::kTF) != 0;
  return true;
}

bool sysenter(Instruction& in) {
  Cpu& cpu = in.cpu;
  const Msrs& msrs = cpu.state.msrs;
  if (is_null(static_cast<uint16_t>(msrs.sysenter_cs))) return general_protection(cpu);
  const bool wide = cpu.long_mode();
  cpu.state.rflags &= ~(flag::kVM | flag::kIF);
  enter_level(cpu, msrs.sysenter_cs, msrs.sysenter_cs + 8, 0, wide);
  cpu.gpr[kRsp] = wide ? msrs.sysenter_esp : msrs.sysenter_esp & 0xffff'ffff;
  in.next = wide ? msrs.sysenter_eip : msrs.sysenter_eip & 0xffff'ffff;
  return true;
}

bool sysexit(Instruction& in) {
  Cpu& cpu = in.cpu;
  const uint64_t cs = cpu.state.msrs.sysenter_cs;
  if (is_null(static_cast<uint16_t>(cs))) return general_protection(cpu);
  const bool to64 = cpu.code64() && in.op.size == 8;
  const uint64_t rip = cpu.gpr[kRdx];
  const uint64_t rsp = cpu.gpr[kRcx];
  if (to64 && (!canonical(cpu, rip) || !canonical(cpu, rsp))) return general_protection(cpu);
  enter_level(cpu, to64 ? cs + 32 : cs + 16, to64 ? cs + 40 : cs + 24, 3, to64);
  cpu.gpr[kRsp] = to64 ? rsp : rsp & 0xffff'ffff;
  in.next = to64 ? rip : rip & 0xffff'ffff;
  return true;
}

bool swap_gs(Instruction& in) {
  Cpu& cpu = in.cpu;
  std::swap(cpu.state.segments[kGs].base, cpu.state.msrs.kernel_gs_base);
  cpu.mode_changed();
  return true;
}

bool segment_base(Instruction& in) {
  Cpu& cpu = in.cpu;
  constexpr uint64_t kFsGsBase = 1u << 16;  // of CR4
  if ((cpu.controls().cr4 & kFsGsBase) == 0) return undefined(cpu);
  const bool fs = in.op.code == ZYDIS_MNEMONIC_RDFSBASE || in.op.code == ZYDIS_MNEMONIC_WRFSBASE;
  Segment& s = cpu.state.segments[fs ? kFs : kGs];
  if (in.op.code == ZYDIS_MNEMONIC_RDFSBASE || in.op.code == ZYDIS_MNEMONIC_RDGSBASE) {
    set_register(cpu, in.op.r1, in.op.size, s.base);
    return true;
  }
  const uint64_t base = get_register(cpu, in.op.r1, in.op.size);
  if (!canonical(cpu, base)) return general_protection(cpu);
  s.base = base;
  cpu.mode_changed();
  return true;
}

}  // namespace gnomon::vmm::trap
