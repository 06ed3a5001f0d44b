// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/cpu.h"
#include "vmm/cpu/decode.h"
#include "vmm/cpu/sensitive.h"

// What goes to the VMM (vmm/trap): privileged instructions, those that show or change what only the
// VMM may know (Popek and Goldberg's sensitive ones), and those that may change how code is
// decoded.

namespace gnomon::vmm {
namespace {

// The effective operand size by prefixes and mode alone.
uint8_t effective_size(const Decoded& d) {
  const unsigned bits = d.mode & code_mode::kBits;
  const bool prefix = (d.i.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) != 0;
  if (bits == code_mode::k64 && (d.i.attributes & ZYDIS_ATTRIB_HAS_REX) != 0 && d.i.raw.rex.W != 0)
    return 8;
  if (bits == code_mode::k16) return prefix ? 4 : 2;
  return prefix ? 2 : 4;
}

uint8_t operand_size(const Decoded& d) {
  const bool long64 = (d.mode & code_mode::kBits) == code_mode::k64;
  const uint8_t effective = effective_size(d);
  switch (d.i.mnemonic) {
    case ZYDIS_MNEMONIC_IN: return static_cast<uint8_t>(d.bytes(0));
    case ZYDIS_MNEMONIC_OUT: return static_cast<uint8_t>(d.bytes(1));
    case ZYDIS_MNEMONIC_INSB:
    case ZYDIS_MNEMONIC_OUTSB: return 1;
    case ZYDIS_MNEMONIC_INSW:
    case ZYDIS_MNEMONIC_OUTSW:
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_IRET: return 2;
    case ZYDIS_MNEMONIC_INSD:
    case ZYDIS_MNEMONIC_OUTSD:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_IRETD: return 4;
    case ZYDIS_MNEMONIC_PUSHFQ:
    case ZYDIS_MNEMONIC_POPFQ:
    case ZYDIS_MNEMONIC_IRETQ: return 8;
    case ZYDIS_MNEMONIC_PUSH:
    case ZYDIS_MNEMONIC_POP: return long64 && effective == 4 ? 8 : effective;
    default: return effective;
  }
}

uint8_t kind_of_register(ZydisRegister r) {
  switch (ZydisRegisterGetClass(r)) {
    case ZYDIS_REGCLASS_SEGMENT: return sensitive_form::kSegment;
    case ZYDIS_REGCLASS_CONTROL: return sensitive_form::kControl;
    case ZYDIS_REGCLASS_DEBUG: return sensitive_form::kDebug;
    default: return 0;
  }
}

bool to_vmm(const Decoded& d, Op& op) {
  op.run = handlers::sensitive;
  op.flags |= op_flag::kEnds;
  op.flags &= static_cast<uint8_t>(~op_flag::kMemory);  // the VMM checks segments itself
  op.r3 = 0;
  for (unsigned n = 0; n < d.visible(); ++n) {
    const ZydisDecodedOperand& o = d.operand(n);
    switch (o.type) {
      case ZYDIS_OPERAND_TYPE_MEMORY: op.r3 |= sensitive_form::kMemory; break;
      case ZYDIS_OPERAND_TYPE_IMMEDIATE: op.r3 |= sensitive_form::kImmediate; break;
      case ZYDIS_OPERAND_TYPE_POINTER:
        op.r3 |= sensitive_form::kPointer;
        op.imm = o.ptr.offset;
        op.disp = o.ptr.segment;
        break;
      case ZYDIS_OPERAND_TYPE_REGISTER: {
        const uint8_t kind = kind_of_register(o.reg.value);
        op.r3 |= kind;
        if (kind != 0 && n == 1) op.r3 |= sensitive_form::kFrom;
        break;
      }
      default: break;
    }
  }
  op.size = operand_size(d);
  return true;
}

constexpr Binding kBindings[] = {
    // Control and debug registers; MOV with them is bound with the other moves.
    {ZYDIS_MNEMONIC_CLTS, to_vmm},
    {ZYDIS_MNEMONIC_LMSW, to_vmm},
    {ZYDIS_MNEMONIC_SMSW, to_vmm},
    {ZYDIS_MNEMONIC_INVLPG, to_vmm},
    {ZYDIS_MNEMONIC_INVPCID, to_vmm},
    {ZYDIS_MNEMONIC_INVD, to_vmm},
    {ZYDIS_MNEMONIC_WBINVD, to_vmm},
    // Flags, interrupts and their ends.
    {ZYDIS_MNEMONIC_CLI, to_vmm},
    {ZYDIS_MNEMONIC_STI, to_vmm},
    {ZYDIS_MNEMONIC_HLT, to_vmm},
    {ZYDIS_MNEMONIC_PUSHF, to_vmm},
    {ZYDIS_MNEMONIC_PUSHFD, to_vmm},
    {ZYDIS_MNEMONIC_PUSHFQ, to_vmm},
    {ZYDIS_MNEMONIC_POPF, to_vmm},
    {ZYDIS_MNEMONIC_POPFD, to_vmm},
    {ZYDIS_MNEMONIC_POPFQ, to_vmm},
    {ZYDIS_MNEMONIC_INT, to_vmm},
    {ZYDIS_MNEMONIC_INT1, to_vmm},
    {ZYDIS_MNEMONIC_INT3, to_vmm},
    {ZYDIS_MNEMONIC_INTO, to_vmm},
    {ZYDIS_MNEMONIC_IRET, to_vmm},
    {ZYDIS_MNEMONIC_IRETD, to_vmm},
    {ZYDIS_MNEMONIC_IRETQ, to_vmm},
    {ZYDIS_MNEMONIC_CLAC, to_vmm},
    {ZYDIS_MNEMONIC_STAC, to_vmm},
    // System calls.
    {ZYDIS_MNEMONIC_SYSCALL, to_vmm},
    {ZYDIS_MNEMONIC_SYSRET, to_vmm},
    {ZYDIS_MNEMONIC_SYSENTER, to_vmm},
    {ZYDIS_MNEMONIC_SYSEXIT, to_vmm},
    {ZYDIS_MNEMONIC_SWAPGS, to_vmm},
    {ZYDIS_MNEMONIC_VMCALL, to_vmm},
    {ZYDIS_MNEMONIC_VMMCALL, to_vmm},
    // Ports.
    {ZYDIS_MNEMONIC_IN, to_vmm},
    {ZYDIS_MNEMONIC_OUT, to_vmm},
    {ZYDIS_MNEMONIC_INSB, to_vmm},
    {ZYDIS_MNEMONIC_INSW, to_vmm},
    {ZYDIS_MNEMONIC_INSD, to_vmm},
    {ZYDIS_MNEMONIC_OUTSB, to_vmm},
    {ZYDIS_MNEMONIC_OUTSW, to_vmm},
    {ZYDIS_MNEMONIC_OUTSD, to_vmm},
    // What the processor is, and its time.
    {ZYDIS_MNEMONIC_RDMSR, to_vmm},
    {ZYDIS_MNEMONIC_WRMSR, to_vmm},
    {ZYDIS_MNEMONIC_CPUID, to_vmm},
    {ZYDIS_MNEMONIC_RDTSC, to_vmm},
    {ZYDIS_MNEMONIC_RDTSCP, to_vmm},
    {ZYDIS_MNEMONIC_RDPMC, to_vmm},
    {ZYDIS_MNEMONIC_RDPID, to_vmm},
    {ZYDIS_MNEMONIC_MONITOR, to_vmm},
    {ZYDIS_MNEMONIC_MWAIT, to_vmm},
    {ZYDIS_MNEMONIC_XGETBV, to_vmm},
    {ZYDIS_MNEMONIC_XSETBV, to_vmm},
    {ZYDIS_MNEMONIC_RDPKRU, to_vmm},
    {ZYDIS_MNEMONIC_WRPKRU, to_vmm},
    {ZYDIS_MNEMONIC_RDFSBASE, to_vmm},
    {ZYDIS_MNEMONIC_RDGSBASE, to_vmm},
    {ZYDIS_MNEMONIC_WRFSBASE, to_vmm},
    {ZYDIS_MNEMONIC_WRGSBASE, to_vmm},
    // Segments and descriptor tables. Far transfers and moves to segment registers are bound with
    // the
    // other branches, moves and stack instructions.
    {ZYDIS_MNEMONIC_LGDT, to_vmm},
    {ZYDIS_MNEMONIC_LIDT, to_vmm},
    {ZYDIS_MNEMONIC_LLDT, to_vmm},
    {ZYDIS_MNEMONIC_LTR, to_vmm},
    {ZYDIS_MNEMONIC_SGDT, to_vmm},
    {ZYDIS_MNEMONIC_SIDT, to_vmm},
    {ZYDIS_MNEMONIC_SLDT, to_vmm},
    {ZYDIS_MNEMONIC_STR, to_vmm},
    {ZYDIS_MNEMONIC_LAR, to_vmm},
    {ZYDIS_MNEMONIC_LSL, to_vmm},
    {ZYDIS_MNEMONIC_VERR, to_vmm},
    {ZYDIS_MNEMONIC_VERW, to_vmm},
    {ZYDIS_MNEMONIC_ARPL, to_vmm},
    {ZYDIS_MNEMONIC_LDS, to_vmm},
    {ZYDIS_MNEMONIC_LES, to_vmm},
    {ZYDIS_MNEMONIC_LFS, to_vmm},
    {ZYDIS_MNEMONIC_LGS, to_vmm},
    {ZYDIS_MNEMONIC_LSS, to_vmm},
};

}  // namespace

bool bind_sensitive(const Decoded& d, Op& op) { return to_vmm(d, op); }

absl::Span<const Binding> sensitive_bindings() { return kBindings; }

}  // namespace gnomon::vmm
