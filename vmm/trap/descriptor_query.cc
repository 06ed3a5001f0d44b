// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/descriptors.h"
#include "vmm/trap/instructions.h"

// LAR, LSL, VERR, VERW, ARPL: they say in ZF what they think of a selector.

namespace gnomon::vmm::trap {
namespace {

void set_zf(Cpu& cpu, bool zf) {
  const uint64_t others = cpu.flags.get() & ~flag::kZF;
  cpu.flags.set(zf ? others | flag::kZF : others);
}

unsigned visible_cpl(const Instruction& in) { return in.policy.naive ? 3u : in.cpu.state.cpl; }

// System types that LAR and LSL know, as bits (SDM vol. 2, tables of LAR and LSL).
constexpr uint16_t kRightsLegacy =
    1u << 1 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 9 | 1u << 11 | 1u << 12;
constexpr uint16_t kRightsLong = 1u << 2 | 1u << 9 | 1u << 11 | 1u << 12;
constexpr uint16_t kLimitLegacy = 1u << 1 | 1u << 2 | 1u << 3 | 1u << 9 | 1u << 11;
constexpr uint16_t kLimitLong = 1u << 2 | 1u << 9 | 1u << 11;

bool level_allows(const Instruction& in, const Descriptor& d, uint16_t selector) {
  return d.conforming() || (d.dpl() >= visible_cpl(in) && d.dpl() >= (selector & 3u));
}

}  // namespace

bool query_descriptor(Instruction& in) {
  Cpu& cpu = in.cpu;
  const bool limit = in.op.code == ZYDIS_MNEMONIC_LSL;
  uint64_t value = 0;
  if (!load_rm(in, in.op.r2, 2, value)) return false;
  const auto selector = static_cast<uint16_t>(value);
  Descriptor d;
  bool known = false;
  if (!is_null(selector)) {
    const Found found = find_descriptor(cpu, selector, d);
    if (found == Found::kFault) return false;
    known = found == Found::kYes;
  }
  if (known && d.system()) {
    const uint16_t types = limit ? (cpu.long_mode() ? kLimitLong : kLimitLegacy)
                                 : (cpu.long_mode() ? kRightsLong : kRightsLegacy);
    known = (types >> d.type() & 1) != 0;
  }
  const bool ok = known && level_allows(in, d, selector);
  set_zf(cpu, ok);
  if (!ok) return true;
  const uint64_t answer = limit ? d.limit() : d.low >> 32 & 0x00f0'ff00;
  set_register(cpu, in.op.r1, in.op.size, answer);
  return true;
}

bool verify_segment(Instruction& in) {
  Cpu& cpu = in.cpu;
  uint64_t value = 0;
  if (!load_rm(in, in.op.r1, 2, value)) return false;
  const auto selector = static_cast<uint16_t>(value);
  Descriptor d;
  bool ok = false;
  if (!is_null(selector)) {
    const Found found = find_descriptor(cpu, selector, d);
    if (found == Found::kFault) return false;
    const bool right = in.op.code == ZYDIS_MNEMONIC_VERW ? d.writable() : d.readable();
    ok = found == Found::kYes && !d.system() && right && level_allows(in, d, selector);
  }
  set_zf(cpu, ok);
  return true;
}

bool adjust_level(Instruction& in) {
  uint64_t selector = 0;
  if (!load_rm(in, in.op.r1, 2, selector)) return false;
  const uint8_t other = in.in_memory() ? in.op.r1 : in.op.r2;
  const uint64_t level = get_register(in.cpu, other, 2) & 3;
  const bool adjusts = (selector & 3) < level;
  if (adjusts) {
    const uint64_t result = (selector & ~uint64_t{3}) | level;
    if (in.in_memory()) {
      if (!store_operand(in, 0, 2, result)) return false;
    } else {
      set_register(in.cpu, in.op.r1, 2, result);
    }
  }
  set_zf(in.cpu, adjusts);
  return true;
}

}  // namespace gnomon::vmm::trap
