// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/cpu.h"

#include <algorithm>

namespace gnomon::vmm {
namespace {

// A data segment in which no access can go wrong.
bool flat_data(const Segment& s) {
  const bool writable = (s.attributes & (seg::kCode | seg::kWritable)) == seg::kWritable;
  return s.base == 0 && s.limit == 0xffff'ffff && s.present() && writable &&
         (s.attributes & seg::kExpandDown) == 0;
}

bool flat_code(const Segment& s) { return s.base == 0 && s.limit == 0xffff'ffff && s.present(); }

constexpr uint64_t kMonitor = 1u << 1, kEmulate = 1u << 2,
                   kTaskSwitched = 1u << 3;  // CR0.MP, EM, TS
constexpr uint64_t kFxsr = 1u << 9;          // CR4.OSFXSR

// What instructions of the x87, MMX and SSE raise before they do anything (SDM vol. 3, tables 2-1,
// 12-1 and 13-1).
void find_unit_faults(Cpu& cpu) {
  const uint64_t cr0 = cpu.controls().cr0;
  const bool emulate = (cr0 & kEmulate) != 0;
  const bool switched = (cr0 & kTaskSwitched) != 0;
  constexpr uint8_t kNone = 0, kNotAvailable = kDeviceNotAvailable, kUndefined = kInvalidOpcode;
  const uint8_t when_switched = switched ? kNotAvailable : kNone;
  cpu.x87_fault = emulate ? kNotAvailable : when_switched;
  cpu.wait_fault = (cr0 & kMonitor) != 0 ? when_switched : kNone;
  cpu.mmx_fault = emulate ? kUndefined : when_switched;
  const bool sse = !emulate && (cpu.controls().cr4 & kFxsr) != 0;
  cpu.sse_fault = sse ? when_switched : kUndefined;
}

}  // namespace

void Cpu::set_rflags(uint64_t value) {
  const bool ac = (value & flag::kAC) != 0;
  if (ac != controls().ac) memory.set_ac(ac);
  state.rflags = value;
  flags.set(value);
}

void Cpu::mode_changed() {
  find_unit_faults(*this);
  const auto& s = state.segments;
  for (unsigned i = 0; i < kSegmentRegisters; ++i) bases[i] = s[i].base;
  linear_mask = long_mode() ? ~uint64_t{0} : 0xffff'ffff;
  mode = 0;
  if (real_mode() || v8086()) {
    mode |= code_mode::kReal;
    return;
  }
  if (long_mode() && (s[kCs].attributes & seg::kL) != 0) {
    mode |= code_mode::k64 | code_mode::kFlat;
    for (const unsigned i : {kEs, kCs, kSs, kDs}) bases[i] = 0;
    return;
  }
  if (long_mode()) linear_mask = 0xffff'ffff;
  if ((s[kCs].attributes & seg::kDB) != 0) mode |= code_mode::k32;
  if ((s[kSs].attributes & seg::kDB) != 0) mode |= code_mode::kStack32;
  const bool flat =
      flat_code(s[kCs]) && flat_data(s[kSs]) && flat_data(s[kDs]) && flat_data(s[kEs]);
  // FS and GS are checked where they are used unless they are flat, too: see the decoder.
  if (flat) mode |= code_mode::kFlat;
}

CpuState Cpu::snapshot() const {
  CpuState s = state;
  std::copy_n(gpr.begin(), s.gpr.size(), s.gpr.begin());
  s.rip = rip;
  s.rflags = rflags();
  return s;
}

void Cpu::restore(const CpuState& s) {
  state = s;
  std::copy(s.gpr.begin(), s.gpr.end(), gpr.begin());
  rip = s.rip;
  set_rflags(s.rflags);
  set_cpl(s.cpl);
  mode_changed();
  memory.flush();
}

}  // namespace gnomon::vmm
