// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/control_registers.h"
#include "vmm/trap/descriptors.h"
#include "vmm/trap/instructions.h"

// LGDT, LIDT, LLDT, LTR, SGDT, SIDT, SLDT, STR, with user-mode instruction prevention (CR4.UMIP).

namespace gnomon::vmm::trap {
namespace {

// What a processor without UMIP shows at level 3 are the tables of the host: these, when the host
// is made up.
constexpr TableRegister kHostGdt{0xfffffe0000048000, 0x7f};
constexpr TableRegister kHostIdt{0xfffffe0000000000, 0xfff};
constexpr uint16_t kHostTask = 0x40, kHostLocal = 0;

// The descriptor that LLDT and LTR want: in the GDT, of such a type.
bool find_system(Cpu& cpu, uint16_t selector, bool (*right_type)(const Cpu&, unsigned),
                 Descriptor& d) {
  if ((selector & 4) != 0) return general_protection(cpu, error_of(selector));
  if (!need_descriptor(cpu, selector, kGeneralProtection, 0, d)) return false;
  if (!d.system() || !right_type(cpu, d.type())) return general_protection(cpu, error_of(selector));
  if (!d.present()) return fail(cpu, Fault::with_error(kSegmentNotPresent, error_of(selector)));
  if (!cpu.long_mode()) return true;
  switch (find_upper_half(cpu, selector, d)) {
    case Found::kFault: return false;
    case Found::kNo: return general_protection(cpu, error_of(selector));
    case Found::kYes: break;
  }
  return canonical(cpu, d.base()) || general_protection(cpu, error_of(selector));
}

}  // namespace

bool load_table(Instruction& in) {
  Cpu& cpu = in.cpu;
  const bool wide = cpu.code64();
  if (!in.in_memory()) return undefined(cpu);
  uint64_t limit = 0;
  uint64_t base = 0;
  if (!load_operand(in, 0, 2, limit) || !load_operand(in, 2, wide ? 8 : 4, base)) return false;
  if (wide && !canonical(cpu, base)) return general_protection(cpu);
  if (!wide && in.op.size == 2) base &= 0xff'ffff;
  TableRegister& table = in.op.code == ZYDIS_MNEMONIC_LGDT ? cpu.state.gdtr : cpu.state.idtr;
  table = {base, static_cast<uint16_t>(limit)};
  return true;
}

bool store_table(Instruction& in) {
  Cpu& cpu = in.cpu;
  const bool wide = cpu.code64();
  if (!in.in_memory()) return undefined(cpu);
  if (prevented(cpu)) return general_protection(cpu);
  const bool global = in.op.code == ZYDIS_MNEMONIC_SGDT;
  TableRegister table = global ? cpu.state.gdtr : cpu.state.idtr;
  if (in.policy.naive) table = global ? kHostGdt : kHostIdt;
  const unsigned bytes = wide ? 8 : 4;
  return probe_operand(in, 2 + bytes) && store_operand(in, 0, 2, table.limit) &&
         store_operand(in, 2, bytes, table.base);
}

bool load_local_table(Instruction& in) {
  Cpu& cpu = in.cpu;
  uint64_t value = 0;
  if (!load_rm(in, in.op.r1, 2, value)) return false;
  const auto selector = static_cast<uint16_t>(value);
  if (is_null(selector)) {
    cpu.state.ldtr = null_segment(selector);
    return true;
  }
  Descriptor d;
  const auto is_local = [](const Cpu&, unsigned type) { return type == system_type::kLdt; };
  if (!find_system(cpu, selector, is_local, d)) return false;
  cpu.state.ldtr = d.segment(selector);
  return true;
}

bool load_task(Instruction& in) {
  Cpu& cpu = in.cpu;
  uint64_t value = 0;
  if (!load_rm(in, in.op.r1, 2, value)) return false;
  const auto selector = static_cast<uint16_t>(value);
  if (is_null(selector)) return general_protection(cpu);
  Descriptor d;
  const auto is_free_task = [](const Cpu& c, unsigned type) {
    return type == system_type::kTss32 || (type == system_type::kTss16 && !c.long_mode());
  };
  if (!find_system(cpu, selector, is_free_task, d)) return false;
  constexpr unsigned kBusy = 2;
  if (!mark_descriptor(cpu, d, kBusy)) return false;
  cpu.state.tr = d.segment(selector);
  return true;
}

bool store_system_selector(Instruction& in) {
  Cpu& cpu = in.cpu;
  if (prevented(cpu)) return general_protection(cpu);
  const bool task = in.op.code == ZYDIS_MNEMONIC_STR;
  uint16_t selector = task ? cpu.state.tr.selector : cpu.state.ldtr.selector;
  if (in.policy.naive) selector = task ? kHostTask : kHostLocal;
  return store_rm16(in, in.op.r1, selector);
}

}  // namespace gnomon::vmm::trap
