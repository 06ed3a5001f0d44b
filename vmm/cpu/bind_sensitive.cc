// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/decode.h"

// What goes to the VMM (vmm/trap): privileged instructions, those that show or change what only the VMM
// may know (Popek and Goldberg's sensitive ones), and those that may change how code is decoded.

namespace gnomon::vmm {
namespace {

bool to_vmm(const Decoded&, Op& op) {
  op.run = handlers::sensitive;
  op.flags |= op_flag::kEnds;
  op.flags &= static_cast<uint8_t>(~op_flag::kMemory);  // the VMM checks segments itself
  return true;
}

constexpr Binding kBindings[] = {
    // Control and debug registers; MOV with them is bound with the other moves.
    {ZYDIS_MNEMONIC_CLTS, to_vmm}, {ZYDIS_MNEMONIC_LMSW, to_vmm}, {ZYDIS_MNEMONIC_SMSW, to_vmm},
    {ZYDIS_MNEMONIC_INVLPG, to_vmm}, {ZYDIS_MNEMONIC_INVPCID, to_vmm},
    {ZYDIS_MNEMONIC_INVD, to_vmm}, {ZYDIS_MNEMONIC_WBINVD, to_vmm},
    // Flags, interrupts and their ends.
    {ZYDIS_MNEMONIC_CLI, to_vmm}, {ZYDIS_MNEMONIC_STI, to_vmm}, {ZYDIS_MNEMONIC_HLT, to_vmm},
    {ZYDIS_MNEMONIC_PUSHF, to_vmm}, {ZYDIS_MNEMONIC_PUSHFD, to_vmm}, {ZYDIS_MNEMONIC_PUSHFQ, to_vmm},
    {ZYDIS_MNEMONIC_POPF, to_vmm}, {ZYDIS_MNEMONIC_POPFD, to_vmm}, {ZYDIS_MNEMONIC_POPFQ, to_vmm},
    {ZYDIS_MNEMONIC_INT, to_vmm}, {ZYDIS_MNEMONIC_INT1, to_vmm}, {ZYDIS_MNEMONIC_INT3, to_vmm},
    {ZYDIS_MNEMONIC_INTO, to_vmm}, {ZYDIS_MNEMONIC_IRET, to_vmm}, {ZYDIS_MNEMONIC_IRETD, to_vmm},
    {ZYDIS_MNEMONIC_IRETQ, to_vmm}, {ZYDIS_MNEMONIC_CLAC, to_vmm}, {ZYDIS_MNEMONIC_STAC, to_vmm},
    // System calls.
    {ZYDIS_MNEMONIC_SYSCALL, to_vmm}, {ZYDIS_MNEMONIC_SYSRET, to_vmm},
    {ZYDIS_MNEMONIC_SYSENTER, to_vmm}, {ZYDIS_MNEMONIC_SYSEXIT, to_vmm},
    {ZYDIS_MNEMONIC_SWAPGS, to_vmm}, {ZYDIS_MNEMONIC_VMCALL, to_vmm}, {ZYDIS_MNEMONIC_VMMCALL, to_vmm},
    // Ports.
    {ZYDIS_MNEMONIC_IN, to_vmm}, {ZYDIS_MNEMONIC_OUT, to_vmm}, {ZYDIS_MNEMONIC_INSB, to_vmm},
    {ZYDIS_MNEMONIC_INSW, to_vmm}, {ZYDIS_MNEMONIC_INSD, to_vmm}, {ZYDIS_MNEMONIC_OUTSB, to_vmm},
    {ZYDIS_MNEMONIC_OUTSW, to_vmm}, {ZYDIS_MNEMONIC_OUTSD, to_vmm},
    // What the processor is, and its time.
    {ZYDIS_MNEMONIC_RDMSR, to_vmm}, {ZYDIS_MNEMONIC_WRMSR, to_vmm}, {ZYDIS_MNEMONIC_CPUID, to_vmm},
    {ZYDIS_MNEMONIC_RDTSC, to_vmm}, {ZYDIS_MNEMONIC_RDTSCP, to_vmm}, {ZYDIS_MNEMONIC_RDPMC, to_vmm},
    {ZYDIS_MNEMONIC_RDPID, to_vmm}, {ZYDIS_MNEMONIC_MONITOR, to_vmm}, {ZYDIS_MNEMONIC_MWAIT, to_vmm},
    {ZYDIS_MNEMONIC_XGETBV, to_vmm}, {ZYDIS_MNEMONIC_XSETBV, to_vmm},
    {ZYDIS_MNEMONIC_RDPKRU, to_vmm}, {ZYDIS_MNEMONIC_WRPKRU, to_vmm},
    {ZYDIS_MNEMONIC_RDFSBASE, to_vmm}, {ZYDIS_MNEMONIC_RDGSBASE, to_vmm},
    {ZYDIS_MNEMONIC_WRFSBASE, to_vmm}, {ZYDIS_MNEMONIC_WRGSBASE, to_vmm},
    // Segments and descriptor tables. Far transfers and moves to segment registers are bound with the
    // other branches, moves and stack instructions.
    {ZYDIS_MNEMONIC_LGDT, to_vmm}, {ZYDIS_MNEMONIC_LIDT, to_vmm}, {ZYDIS_MNEMONIC_LLDT, to_vmm},
    {ZYDIS_MNEMONIC_LTR, to_vmm}, {ZYDIS_MNEMONIC_SGDT, to_vmm}, {ZYDIS_MNEMONIC_SIDT, to_vmm},
    {ZYDIS_MNEMONIC_SLDT, to_vmm}, {ZYDIS_MNEMONIC_STR, to_vmm}, {ZYDIS_MNEMONIC_LAR, to_vmm},
    {ZYDIS_MNEMONIC_LSL, to_vmm}, {ZYDIS_MNEMONIC_VERR, to_vmm}, {ZYDIS_MNEMONIC_VERW, to_vmm},
    {ZYDIS_MNEMONIC_ARPL, to_vmm}, {ZYDIS_MNEMONIC_LDS, to_vmm}, {ZYDIS_MNEMONIC_LES, to_vmm},
    {ZYDIS_MNEMONIC_LFS, to_vmm}, {ZYDIS_MNEMONIC_LGS, to_vmm}, {ZYDIS_MNEMONIC_LSS, to_vmm},
};

}  // namespace

bool bind_sensitive(const Decoded& d, Op& op) { return to_vmm(d, op); }

absl::Span<const Binding> sensitive_bindings() { return kBindings; }

}  // namespace gnomon::vmm
