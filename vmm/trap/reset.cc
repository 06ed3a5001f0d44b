// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/control_registers.h"
#include "vmm/trap/cpuid.h"
#include "vmm/trap/trap.h"

namespace gnomon::vmm {

void reset_processor(Cpu& cpu) {
  constexpr uint64_t kCr0 = trap::control::kCD | trap::control::kNW | trap::control::kET;
  CpuState s;
  constexpr uint16_t kData = seg::kP | seg::kS | seg::kWritable | seg::kAccessed;
  for (Segment& segment : s.segments) segment = {0, kData, 0xffff, 0};
  s.segments[kCs] = {0xf000, kData, 0xffff, 0xffff'0000};
  s.ldtr = {0, seg::kP | 2, 0xffff, 0};
  s.tr = {0, seg::kP | 11, 0xffff, 0};
  s.gdtr = s.idtr = {0, 0xffff};
  s.gpr[kRdx] = trap::kSignature;
  // Paging goes first, as long mode is left only with it.
  const Controls c = cpu.controls();
  if ((c.cr0 & cr0::kPG) != 0) {
    cpu.memory.write_controls(c.cr0 & ~cr0::kPG, c.cr4 & ~cr4::kPCIDE, c.efer);
  }
  cpu.memory.write_controls(kCr0, 0, 0);
  cpu.memory.write_cr3(0);
  cpu.mmu().write_pkru(0);
  // The counter goes on, but what a processor was told of it is forgotten.
  cpu.restore(s);
}

void start_processor(Cpu& cpu, uint8_t vector) {
  Segment& cs = cpu.state.segments[kCs];
  cs.selector = static_cast<uint16_t>(vector << 8);
  cs.base = uint64_t{vector} << 12;
  cpu.rip = 0;
  cpu.state.waits_for_startup = false;
  cpu.state.halted = false;
  cpu.mode_changed();
}

}  // namespace gnomon::vmm
