// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "vmm/trap/control_registers.h"
#include "vmm/trap/instructions.h"
#include "vmm/trap/time.h"

// RDMSR and WRMSR (SDM vol. 4, chapter 2): one row for each register or range. What is not here
// raises #GP.

namespace gnomon::vmm::trap {
namespace {

using Read = uint64_t (*)(Instruction& in, uint32_t index);
// False: #GP.
using Write = bool (*)(Instruction& in, uint32_t index, uint64_t value);

struct Row {
  uint32_t first, last;
  Read read;
  Write write;
};

constexpr unsigned kVariableRanges = 8;

Msrs& msrs(Instruction& in) { return in.cpu.state.msrs; }

template <uint64_t Msrs::*field>
uint64_t get(Instruction& in, uint32_t) {
  return msrs(in).*field;
}
template <uint64_t Msrs::*field>
bool set(Instruction& in, uint32_t, uint64_t value) {
  msrs(in).*field = value;
  return true;
}
template <uint64_t Msrs::*field>
bool set_address(Instruction& in, uint32_t, uint64_t value) {
  return canonical(in.cpu, value) && set<field>(in, 0, value);
}
template <uint64_t Msrs::*field>
bool set32(Instruction& in, uint32_t, uint64_t value) {
  return value >> 32 == 0 && set<field>(in, 0, value);
}
template <uint64_t value>
uint64_t constant(Instruction&, uint32_t) {
  return value;
}
bool refuse(Instruction&, uint32_t, uint64_t) { return false; }
bool ignore(Instruction&, uint32_t, uint64_t) { return true; }

bool set_efer(Instruction& in, uint32_t, uint64_t value) {
  constexpr uint64_t kWritable = control::kSCE | efer::kLME | efer::kNXE;
  if ((value & ~(kWritable | efer::kLMA)) != 0) return false;
  const Controls& c = in.cpu.controls();
  return set_controls(in.cpu, c.cr0, c.cr4, value & kWritable);
}
uint64_t get_efer(Instruction& in, uint32_t) { return in.cpu.controls().efer; }

template <unsigned reg>
uint64_t get_base(Instruction& in, uint32_t) {
  return in.cpu.state.segments[reg].base;
}
template <unsigned reg>
bool set_base(Instruction& in, uint32_t, uint64_t value) {
  if (!canonical(in.cpu, value)) return false;
  in.cpu.state.segments[reg].base = value;
  in.cpu.mode_changed();
  return true;
}

uint64_t get_time(Instruction& in, uint32_t) { return time_now(in); }
bool set_time(Instruction& in, uint32_t, uint64_t value) {
  msrs(in).tsc_offset += value - time_now(in);
  return true;
}

uint64_t get_apic_base(Instruction& in, uint32_t) {
  return in.environment.board().apic_base(in.cpu.id);
}
bool set_apic_base(Instruction& in, uint32_t, uint64_t value) {
  Board& board = in.environment.board();
  return board.apic_base(in.cpu.id) != 0 && board.set_apic_base(in.cpu.id, value);
}

bool memory_type(uint64_t type) { return type <= 7 && type != 2 && type != 3; }

bool set_pat(Instruction& in, uint32_t, uint64_t value) {
  for (unsigned i = 0; i < 8; ++i) {
    if (!memory_type(value >> 8 * i & 0xff)) return false;
  }
  msrs(in).pat = value;
  return true;
}

// 7, uncached and overridable, is a type of PAT entries only.
bool range_type(uint64_t type) { return memory_type(type) && type != 7; }

uint64_t get_variable(Instruction& in, uint32_t index) {
  return msrs(in).mtrr_variable[index - 0x200];
}
bool set_variable(Instruction& in, uint32_t index, uint64_t value) {
  if (value >> in.cpu.mmu().state().cpu.maxphyaddr != 0) return false;
  const bool base = index % 2 == 0;
  if (base ? (value & 0xf00) != 0 || !range_type(value & 0xff) : (value & 0x7ff) != 0) return false;
  msrs(in).mtrr_variable[index - 0x200] = value;
  return true;
}

unsigned fixed_number(uint32_t index) {
  if (index == 0x250) return 0;
  return index < 0x268 ? index - 0x258 + 1 : index - 0x268 + 3;
}
uint64_t get_fixed(Instruction& in, uint32_t index) {
  return msrs(in).mtrr_fixed[fixed_number(index)];
}
bool set_fixed(Instruction& in, uint32_t index, uint64_t value) {
  for (unsigned i = 0; i < 8; ++i) {
    if (!range_type(value >> 8 * i & 0xff)) return false;
  }
  msrs(in).mtrr_fixed[fixed_number(index)] = value;
  return true;
}
bool set_default_type(Instruction& in, uint32_t, uint64_t value) {
  if ((value & ~uint64_t{0xcff}) != 0 || !range_type(value & 0xff)) return false;
  msrs(in).mtrr_default = value;
  return true;
}

bool set_misc_enable(Instruction& in, uint32_t, uint64_t value) {
  // Fast strings; the rest (limits of CPUID, MONITOR, …) is not there.
  if ((value & ~uint64_t{1}) != 0) return false;
  msrs(in).misc_enable = value;
  return true;
}

// What this processor is not prey to, as it does not speculate: RDCL_NO, SKIP_L1DFL, SSB_NO,
// MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, PBRSB_NO, GDS_NO, RFDS_NO.
constexpr uint64_t kCapabilities = 1u << 0 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 8 |
                                   1u << 13 | 1u << 14 | 1u << 15 | 1u << 24 | 1u << 26 | 1u << 27;

constexpr Row kRows[] = {
    {0x10, 0x10, get_time, set_time},
    {0x17, 0x17, constant<0>, refuse},  // PLATFORM_ID
    {0x1b, 0x1b, get_apic_base, set_apic_base},
    {0x8b, 0x8b, constant<uint64_t{1} << 32>, ignore},  // BIOS_SIGN_ID: microcode revision 1
    {0xce, 0xce, constant<uint64_t{10} << 8>, refuse},  // PLATFORM_INFO: 10 times 100 MHz
    {0xfe, 0xfe, constant<0x500 | kVariableRanges>,
     refuse},                                         // MTRRCAP: fixed ranges, write combining
    {0x10a, 0x10a, constant<kCapabilities>, refuse},  // ARCH_CAPABILITIES
    {0x174, 0x174, get<&Msrs::sysenter_cs>, set32<&Msrs::sysenter_cs>},
    {0x175, 0x175, get<&Msrs::sysenter_esp>, set_address<&Msrs::sysenter_esp>},
    {0x176, 0x176, get<&Msrs::sysenter_eip>, set_address<&Msrs::sysenter_eip>},
    {0x1a0, 0x1a0, get<&Msrs::misc_enable>, set_misc_enable},
    {0x200, 0x200 + 2 * kVariableRanges - 1, get_variable, set_variable},
    {0x250, 0x250, get_fixed, set_fixed},
    {0x258, 0x259, get_fixed, set_fixed},
    {0x268, 0x26f, get_fixed, set_fixed},
    {0x277, 0x277, get<&Msrs::pat>, set_pat},
    {0x2ff, 0x2ff, get<&Msrs::mtrr_default>, set_default_type},
    {0xc0000080, 0xc0000080, get_efer, set_efer},
    {0xc0000081, 0xc0000081, get<&Msrs::star>, set<&Msrs::star>},
    {0xc0000082, 0xc0000082, get<&Msrs::lstar>, set_address<&Msrs::lstar>},
    {0xc0000083, 0xc0000083, get<&Msrs::cstar>, set_address<&Msrs::cstar>},
    {0xc0000084, 0xc0000084, get<&Msrs::sfmask>, set32<&Msrs::sfmask>},
    {0xc0000100, 0xc0000100, get_base<kFs>, set_base<kFs>},
    {0xc0000101, 0xc0000101, get_base<kGs>, set_base<kGs>},
    {0xc0000102, 0xc0000102, get<&Msrs::kernel_gs_base>, set_address<&Msrs::kernel_gs_base>},
    {0xc0000103, 0xc0000103, get<&Msrs::tsc_aux>, set32<&Msrs::tsc_aux>},
};

const Row* find(uint32_t index) {
  const auto* row = std::upper_bound(std::begin(kRows), std::end(kRows), index,
                                     [](uint32_t i, const Row& r) { return i < r.first; });
  if (row == std::begin(kRows)) return nullptr;
  --row;
  return index <= row->last ? row : nullptr;
}

}  // namespace

bool read_msr(Instruction& in) {
  const auto index = static_cast<uint32_t>(in.cpu.gpr[kRcx]);
  const Row* row = find(index);
  if (row == nullptr) return general_protection(in.cpu);
  const uint64_t value = row->read(in, index);
  in.cpu.gpr[kRax] = value & 0xffff'ffff;
  in.cpu.gpr[kRdx] = value >> 32;
  return true;
}

bool write_msr(Instruction& in) {
  const auto index = static_cast<uint32_t>(in.cpu.gpr[kRcx]);
  const Row* row = find(index);
  const uint64_t value = (in.cpu.gpr[kRax] & 0xffff'ffff) | in.cpu.gpr[kRdx] << 32;
  return (row != nullptr && row->write(in, index, value)) || general_protection(in.cpu);
}

}  // namespace gnomon::vmm::trap
