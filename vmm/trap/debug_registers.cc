// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/control_registers.h"
#include "vmm/trap/instructions.h"

// MOV to and from debug registers (SDM vol. 3, 17.2). They hold what was written; breakpoints that
// DR7 enables are not watched. General detect (DR7.GD) works.

namespace gnomon::vmm::trap {
namespace {

constexpr uint64_t kDr6Ones = 0xffff'0ff0, kDr6Writable = 0xe00f, kDr6AccessDetected = 1u << 13;
constexpr uint64_t kDr7Ones = 0x400, kDr7Writable = 0xffff'23ff, kDr7General = 1u << 13;

}  // namespace

bool move_debug(Instruction& in) {
  Cpu& cpu = in.cpu;
  const bool from = in.form(sensitive_form::kFrom);
  unsigned number = from ? in.op.r2 : in.op.r1;
  const uint8_t reg = from ? in.op.r1 : in.op.r2;
  const unsigned size = cpu.code64() ? 8 : 4;
  if (number > 7) return undefined(cpu);
  if (number == 4 || number == 5) {
    if ((cpu.controls().cr4 & control::kDE) != 0) return undefined(cpu);
    number += 2;
  }
  if (cpu.state.cpl != 0) return general_protection(cpu);
  auto& dr = cpu.state.dr;
  if ((dr[7] & kDr7General) != 0) {
    dr[6] |= kDr6AccessDetected;
    return fail(cpu, Fault::plain(kDebug));
  }
  if (from) {
    set_register(cpu, reg, size, dr[number]);
    return true;
  }
  const uint64_t value = get_register(cpu, reg, size);
  if (number >= 6 && value >> 32 != 0) return general_protection(cpu);
  if (number == 6) {
    dr[6] = (value & kDr6Writable) | kDr6Ones;
  } else if (number == 7) {
    dr[7] = (value & kDr7Writable) | kDr7Ones;
  } else {
    dr[number] = value;
  }
  return true;
}

}  // namespace gnomon::vmm::trap
