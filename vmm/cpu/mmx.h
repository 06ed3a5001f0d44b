// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_MMX_H_
#define VMM_CPU_MMX_H_

#include <cstdint>
#include <cstring>

#include "vmm/cpu/softsse.h"

// MMX registers: the low 64 bits of the physical x87 registers (SDM vol. 1, 9.2).

namespace gnomon::vmm {

/// May an MMX instruction run? If not, it has raised its fault. An exception that an x87
/// instruction left is raised first.
inline bool mmx_ready(Cpu& cpu, const Op* op) {
  constexpr uint16_t kErrorSummary = 0x80;
  constexpr uint64_t kNumericError = 1u << 5;  // CR0.NE
  if (cpu.mmx_fault != 0) [[unlikely]] {
    fault(cpu, op, Fault::plain(cpu.mmx_fault));
    return false;
  }
  if ((cpu.state.x87.status & kErrorSummary) != 0 && (cpu.controls().cr0 & kNumericError) != 0)
      [[unlikely]] {
    fault(cpu, op, Fault::plain(kX87Error));
    return false;
  }
  return true;
}

/// What every MMX instruction but EMMS does to the x87: TOP is 0, all registers valid.
inline void enter_mmx(Cpu& cpu) {
  constexpr uint16_t kTop = 7u << 11;
  cpu.state.x87.status &= static_cast<uint16_t>(~kTop);
  cpu.state.x87.tags = 0xff;
}

inline uint64_t mm(const Cpu& cpu, uint8_t number) {
  uint64_t value;
  std::memcpy(&value, cpu.state.x87.r[number].data(), 8);
  return value;
}
inline void set_mm(Cpu& cpu, uint8_t number, uint64_t value) {
  auto& r = cpu.state.x87.r[number];
  std::memcpy(r.data(), &value, 8);
  r[8] = r[9] = 0xff;
}

inline bool is_mmx(const Decoded& d, unsigned operand) {
  return d.is_register(operand) &&
         ZydisRegisterGetClass(d.operand(operand).reg.value) == ZYDIS_REGCLASS_MMX;
}
inline bool is_xmm(const Decoded& d, unsigned operand) {
  return d.is_register(operand) &&
         ZydisRegisterGetClass(d.operand(operand).reg.value) == ZYDIS_REGCLASS_XMM;
}

}  // namespace gnomon::vmm

#endif  // VMM_CPU_MMX_H_
