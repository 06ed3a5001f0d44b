// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "vmm/trap/instructions.h"

// Which function emulates which instruction, what it is counted as, and what it needs in the first
// place.

namespace gnomon::vmm {
namespace {

using namespace trap;

// Needs. An instruction that is not there in a mode is undefined before its privilege is looked at.
constexpr uint8_t kProtected = 1;  // protected mode, else #UD
constexpr uint8_t kLong = 2;       // 64-bit mode, else #UD
constexpr uint8_t kKernel = 4;     // level 0, else #GP(0)
constexpr uint8_t kHidden = 8;     // level 0, else #UD
constexpr uint8_t kNotReal = 16;   // protected mode, else #GP(0)

struct Row {
  ZydisMnemonic mnemonic;
  Emulate run;
  ExitClass counted;
  uint8_t needs = 0;
};

constexpr Row kRows[] = {
    {ZYDIS_MNEMONIC_CLTS, clear_task_switched, ExitClass::kControl, kKernel},
    {ZYDIS_MNEMONIC_LMSW, load_machine_status, ExitClass::kControl, kKernel},
    {ZYDIS_MNEMONIC_SMSW, store_machine_status, ExitClass::kControl},
    {ZYDIS_MNEMONIC_INVLPG, invalidate_page, ExitClass::kInvalidate, kKernel},
    {ZYDIS_MNEMONIC_INVPCID, invalidate_context, ExitClass::kInvalidate, kKernel},
    {ZYDIS_MNEMONIC_INVD, write_back_caches, ExitClass::kCache, kKernel},
    {ZYDIS_MNEMONIC_WBINVD, write_back_caches, ExitClass::kCache, kKernel},
    {ZYDIS_MNEMONIC_CLI, interrupt_flag, ExitClass::kInterruptFlag},
    {ZYDIS_MNEMONIC_STI, interrupt_flag, ExitClass::kInterruptFlag},
    {ZYDIS_MNEMONIC_HLT, halt, ExitClass::kHalt, kKernel},
    {ZYDIS_MNEMONIC_PUSHF, push_flags, ExitClass::kFlags},
    {ZYDIS_MNEMONIC_PUSHFD, push_flags, ExitClass::kFlags},
    {ZYDIS_MNEMONIC_PUSHFQ, push_flags, ExitClass::kFlags},
    {ZYDIS_MNEMONIC_POPF, pop_flags, ExitClass::kFlags},
    {ZYDIS_MNEMONIC_POPFD, pop_flags, ExitClass::kFlags},
    {ZYDIS_MNEMONIC_POPFQ, pop_flags, ExitClass::kFlags},
    {ZYDIS_MNEMONIC_CLAC, access_check_flag, ExitClass::kFlags, kHidden},
    {ZYDIS_MNEMONIC_STAC, access_check_flag, ExitClass::kFlags, kHidden},
    {ZYDIS_MNEMONIC_INT, software_interrupt, ExitClass::kSoftwareInterrupt},
    {ZYDIS_MNEMONIC_INT1, software_interrupt, ExitClass::kSoftwareInterrupt},
    {ZYDIS_MNEMONIC_INT3, software_interrupt, ExitClass::kSoftwareInterrupt},
    {ZYDIS_MNEMONIC_INTO, software_interrupt, ExitClass::kSoftwareInterrupt},
    {ZYDIS_MNEMONIC_IRET, interrupt_return, ExitClass::kInterruptReturn},
    {ZYDIS_MNEMONIC_IRETD, interrupt_return, ExitClass::kInterruptReturn},
    {ZYDIS_MNEMONIC_IRETQ, interrupt_return, ExitClass::kInterruptReturn},
    {ZYDIS_MNEMONIC_SYSCALL, system_call, ExitClass::kSystemCall},
    {ZYDIS_MNEMONIC_SYSENTER, sysenter, ExitClass::kSystemCall, kNotReal},
    {ZYDIS_MNEMONIC_SYSRET, system_return, ExitClass::kSystemReturn},
    {ZYDIS_MNEMONIC_SYSEXIT, sysexit, ExitClass::kSystemReturn, kNotReal | kKernel},
    {ZYDIS_MNEMONIC_SWAPGS, swap_gs, ExitClass::kSegmentBase, kLong | kKernel},
    {ZYDIS_MNEMONIC_RDFSBASE, segment_base, ExitClass::kSegmentBase, kLong},
    {ZYDIS_MNEMONIC_RDGSBASE, segment_base, ExitClass::kSegmentBase, kLong},
    {ZYDIS_MNEMONIC_WRFSBASE, segment_base, ExitClass::kSegmentBase, kLong},
    {ZYDIS_MNEMONIC_WRGSBASE, segment_base, ExitClass::kSegmentBase, kLong},
    {ZYDIS_MNEMONIC_VMCALL, hypercall, ExitClass::kHypercall, kKernel},
    {ZYDIS_MNEMONIC_VMMCALL, hypercall, ExitClass::kHypercall, kKernel},
    {ZYDIS_MNEMONIC_IN, port_in, ExitClass::kPort},
    {ZYDIS_MNEMONIC_OUT, port_out, ExitClass::kPort},
    {ZYDIS_MNEMONIC_INSB, port_in_string, ExitClass::kPortString},
    {ZYDIS_MNEMONIC_INSW, port_in_string, ExitClass::kPortString},
    {ZYDIS_MNEMONIC_INSD, port_in_string, ExitClass::kPortString},
    {ZYDIS_MNEMONIC_OUTSB, port_out_string, ExitClass::kPortString},
    {ZYDIS_MNEMONIC_OUTSW, port_out_string, ExitClass::kPortString},
    {ZYDIS_MNEMONIC_OUTSD, port_out_string, ExitClass::kPortString},
    {ZYDIS_MNEMONIC_RDMSR, read_msr, ExitClass::kMsr, kKernel},
    {ZYDIS_MNEMONIC_WRMSR, write_msr, ExitClass::kMsr, kKernel},
    {ZYDIS_MNEMONIC_CPUID, cpuid, ExitClass::kCpuid},
    {ZYDIS_MNEMONIC_RDTSC, time_stamp, ExitClass::kTime},
    {ZYDIS_MNEMONIC_RDTSCP, time_stamp, ExitClass::kTime},
    {ZYDIS_MNEMONIC_RDPMC, no_performance_counter, ExitClass::kTime},
    {ZYDIS_MNEMONIC_RDPID, read_processor_id, ExitClass::kTime},
    {ZYDIS_MNEMONIC_MONITOR, no_such_instruction, ExitClass::kUndefined},
    {ZYDIS_MNEMONIC_MWAIT, no_such_instruction, ExitClass::kUndefined},
    {ZYDIS_MNEMONIC_XGETBV, no_such_instruction, ExitClass::kUndefined},
    {ZYDIS_MNEMONIC_XSETBV, no_such_instruction, ExitClass::kUndefined},
    {ZYDIS_MNEMONIC_RDPKRU, keys, ExitClass::kKeys},
    {ZYDIS_MNEMONIC_WRPKRU, keys, ExitClass::kKeys},
    {ZYDIS_MNEMONIC_LGDT, load_table, ExitClass::kDescriptorTable, kKernel},
    {ZYDIS_MNEMONIC_LIDT, load_table, ExitClass::kDescriptorTable, kKernel},
    {ZYDIS_MNEMONIC_LLDT, load_local_table, ExitClass::kDescriptorTable, kProtected | kKernel},
    {ZYDIS_MNEMONIC_LTR, load_task, ExitClass::kDescriptorTable, kProtected | kKernel},
    {ZYDIS_MNEMONIC_SGDT, store_table, ExitClass::kDescriptorTable},
    {ZYDIS_MNEMONIC_SIDT, store_table, ExitClass::kDescriptorTable},
    {ZYDIS_MNEMONIC_SLDT, store_system_selector, ExitClass::kDescriptorTable, kProtected},
    {ZYDIS_MNEMONIC_STR, store_system_selector, ExitClass::kDescriptorTable, kProtected},
    {ZYDIS_MNEMONIC_LAR, query_descriptor, ExitClass::kDescriptorQuery, kProtected},
    {ZYDIS_MNEMONIC_LSL, query_descriptor, ExitClass::kDescriptorQuery, kProtected},
    {ZYDIS_MNEMONIC_VERR, verify_segment, ExitClass::kDescriptorQuery, kProtected},
    {ZYDIS_MNEMONIC_VERW, verify_segment, ExitClass::kDescriptorQuery, kProtected},
    {ZYDIS_MNEMONIC_ARPL, adjust_level, ExitClass::kDescriptorQuery, kProtected},
    {ZYDIS_MNEMONIC_LDS, load_far_pointer, ExitClass::kSegmentLoad},
    {ZYDIS_MNEMONIC_LES, load_far_pointer, ExitClass::kSegmentLoad},
    {ZYDIS_MNEMONIC_LFS, load_far_pointer, ExitClass::kSegmentLoad},
    {ZYDIS_MNEMONIC_LGS, load_far_pointer, ExitClass::kSegmentLoad},
    {ZYDIS_MNEMONIC_LSS, load_far_pointer, ExitClass::kSegmentLoad},
    {ZYDIS_MNEMONIC_PUSH, push_segment, ExitClass::kSegmentLoad},
    {ZYDIS_MNEMONIC_POP, pop_segment, ExitClass::kSegmentLoad},
    {ZYDIS_MNEMONIC_JMP, jump_far, ExitClass::kFarTransfer},
    {ZYDIS_MNEMONIC_CALL, call_far, ExitClass::kFarTransfer},
    {ZYDIS_MNEMONIC_RET, return_far, ExitClass::kFarTransfer},
};

// MOV, by its kind of register.
constexpr Row kMoveSegment = {ZYDIS_MNEMONIC_MOV, move_segment, ExitClass::kSegmentLoad};
constexpr Row kMoveControl = {ZYDIS_MNEMONIC_MOV, move_control, ExitClass::kControl};
constexpr Row kMoveDebug = {ZYDIS_MNEMONIC_MOV, move_debug, ExitClass::kDebugRegister};
constexpr Row kUnknown = {ZYDIS_MNEMONIC_INVALID, no_such_instruction, ExitClass::kUndefined};

const Row& row_of(const Op& op) {
  static const auto table = [] {
    std::array<const Row*, ZYDIS_MNEMONIC_MAX_VALUE + 1> rows;
    rows.fill(&kUnknown);
    for (const Row& row : kRows) rows[row.mnemonic] = &row;
    return rows;
  }();
  if (op.code == ZYDIS_MNEMONIC_MOV) {
    if ((op.r3 & sensitive_form::kControl) != 0) return kMoveControl;
    if ((op.r3 & sensitive_form::kDebug) != 0) return kMoveDebug;
    return kMoveSegment;
  }
  return op.code < table.size() ? *table[op.code] : kUnknown;
}

bool has_needs(Cpu& cpu, uint8_t needs) {
  if ((needs & kProtected) != 0 && cpu.real_mode()) return undefined(cpu);
  if ((needs & kLong) != 0 && !cpu.code64()) return undefined(cpu);
  if ((needs & kHidden) != 0 && cpu.state.cpl != 0) return undefined(cpu);
  if ((needs & kNotReal) != 0 && cpu.real_mode()) return general_protection(cpu);
  if ((needs & kKernel) != 0 && cpu.state.cpl != 0) return general_protection(cpu);
  return true;
}

}  // namespace

Emulated emulate(Cpu& cpu, const Op& op, TrapEnvironment& environment, const TrapPolicy& policy) {
  const Row& row = row_of(op);
  ++cpu.exits[row.counted];
  Instruction in{cpu, op, environment, policy, (cpu.rip + op.length) & cpu.ip_mask()};
  in.steps = (cpu.state.rflags & flag::kTF) != 0;
  const bool shadow = cpu.state.interrupt_shadow;
  cpu.state.interrupt_shadow = false;
  if (!has_needs(cpu, row.needs) || !row.run(in)) {
    cpu.state.interrupt_shadow = shadow;
    return Emulated::kFault;
  }
  ++cpu.instructions;
  if (!in.repeats) cpu.rip = in.next;
  if (!in.keeps_rf) cpu.state.rflags &= ~flag::kRF;
  if (in.steps && !in.no_step) return deliver(cpu, Event{Event::Kind::kTrap, kDebug, false, 0, 0});
  return in.halts ? Emulated::kHalted : Emulated::kDone;
}

}  // namespace gnomon::vmm
