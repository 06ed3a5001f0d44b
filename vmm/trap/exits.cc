// SPDX-License-Identifier: Apache-2.0
#include "gnomon/vmm/exits.h"

namespace gnomon::vmm {
namespace {

using enum ExitClass;

constexpr std::array<ExitClassInfo, kExitClassCount> kTable = {{
    {kControl, "control_register", "MOV to and from CR0 to CR8, CLTS, LMSW, SMSW"},
    {kDebugRegister, "debug_register", "MOV to and from debug registers"},
    {kInvalidate, "invalidation", "INVLPG and INVPCID"},
    {kCache, "cache", "INVD and WBINVD"},
    {kMsr, "msr", "RDMSR and WRMSR"},
    {kPort, "port", "IN and OUT"},
    {kPortString, "port_string", "INS and OUTS; with a prefix, each bounded run of them"},
    {kHalt, "halt", "HLT"},
    {kCpuid, "cpuid", "CPUID"},
    {kTime, "time", "RDTSC, RDTSCP, RDPMC, RDPID"},
    {kInterruptFlag, "interrupt_flag", "CLI and STI"},
    {kFlags, "flags", "PUSHF, POPF, CLAC, STAC"},
    {kSoftwareInterrupt, "software_interrupt", "INT n, INT3, INTO, INT1"},
    {kInterruptReturn, "interrupt_return", "IRET"},
    {kSystemCall, "system_call", "SYSCALL and SYSENTER"},
    {kSystemReturn, "system_return", "SYSRET and SYSEXIT"},
    {kSegmentBase, "segment_base", "SWAPGS, RDFSBASE and relatives"},
    {kDescriptorTable, "descriptor_table", "LGDT, LIDT, LLDT, LTR, SGDT, SIDT, SLDT, STR"},
    {kDescriptorQuery, "descriptor_query", "LAR, LSL, VERR, VERW, ARPL"},
    {kSegmentLoad, "segment_load", "loads of segment registers, and reads of CS"},
    {kFarTransfer, "far_transfer", "far JMP, CALL and RET"},
    {kKeys, "protection_keys", "RDPKRU and WRPKRU"},
    {kHypercall, "hypercall", "VMCALL and VMMCALL"},
    {kUndefined, "undefined", "instructions that this processor does not have"},
    {kFault, "fault", "faults delivered to the guest"},
    {kTrap, "trap", "debug traps delivered to the guest"},
    {kInterrupt, "interrupt", "external interrupts delivered to the guest"},
}};

constexpr bool in_order() {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<size_t>(kTable[i].id) != i) return false;
  }
  return true;
}
static_assert(in_order());

}  // namespace

const std::array<ExitClassInfo, kExitClassCount>& exit_class_table() { return kTable; }

}  // namespace gnomon::vmm
