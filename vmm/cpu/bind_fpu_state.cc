// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "vmm/cpu/decode.h"
#include "vmm/cpu/fpu_state.h"
#include "vmm/cpu/x87.h"

// FXSAVE, FXRSTOR, FNSAVE, FRSTOR, FNSTENV, FLDENV. Op::size is the width of pointers in the image,
// in bytes.

namespace gnomon::vmm {
namespace {

constexpr unsigned kRegisterBytes = 80;  // of FNSAVE's image, after the environment

EnvironmentForm form_of(const Cpu& cpu, const Op* op) {
  return {op->size == 4, (cpu.mode & code_mode::kReal) != 0, cpu.bases[kCs]};
}

// FXSAVE's operand is longer than what the check before the instruction looks at.
bool fx_operand(Cpu& cpu, const Op* op, bool write) {
  const unsigned bytes = sizeof(FxImage);
  if (cpu.x87_fault != 0) {
    fault(cpu, op, Fault::plain(cpu.x87_fault));
    return false;
  }
  if (op->segment != kNoSegment && !may_access(cpu, op->segment, cpu.offset_of(op), bytes, write)) {
    fault(cpu, op, segment_fault(op->segment));
    return false;
  }
  if (cpu.linear_of(op) % 16 == 0) return true;
  fault(cpu, op, Fault::gp());
  return false;
}
unsigned fx_bytes(const Cpu& cpu) { return cpu.code64() ? kFxBytes64 : kFxBytes32; }

void fxsave(Cpu& cpu, const Op* op) {
  if (!fx_operand(cpu, op, true)) return;
  const uint64_t at = cpu.linear_of(op);
  const Privilege by = cpu.memory.privilege();
  const FxImage image = fx_image(cpu.state, op->size == 8);
  // What is not written, or left to software, has to be there as well.
  if (!cpu.memory.probe_store(at, sizeof image, by)) return memory_fault(cpu, op);
  if (!cpu.memory.store_bytes(at, image.data(), fx_bytes(cpu), by)) return memory_fault(cpu, op);
  return next(cpu, op);
}
void fxrstor(Cpu& cpu, const Op* op) {
  if (!fx_operand(cpu, op, false)) return;
  FxImage image{};
  if (!cpu.memory.load_bytes(cpu.linear_of(op), image.data(), fx_bytes(cpu),
                             cpu.memory.privilege())) {
    return memory_fault(cpu, op);
  }
  if (!load_fx_image(cpu.state, image, op->size == 8, cpu.code64()))
    return fault(cpu, op, Fault::gp());
  return next(cpu, op);
}

void fnstenv(Cpu& cpu, const Op* op) {
  if (cpu.x87_fault != 0) return fault(cpu, op, Fault::plain(cpu.x87_fault));
  const EnvironmentForm form = form_of(cpu, op);
  const auto image = environment_image(cpu.state.x87, form);
  if (!cpu.memory.store_bytes(cpu.linear_of(op), image.data(), form.bytes(),
                              cpu.memory.privilege())) {
    return memory_fault(cpu, op);
  }
  cpu.state.x87.control |= x87::kExceptions;  // all are masked afterwards
  x87::summarize(cpu.state.x87);
  return next(cpu, op);
}
void fldenv(Cpu& cpu, const Op* op) {
  if (!x87::ready(cpu, op)) return;
  const EnvironmentForm form = form_of(cpu, op);
  std::array<uint8_t, 28> image{};
  if (!cpu.memory.load_bytes(cpu.linear_of(op), image.data(), form.bytes(),
                             cpu.memory.privilege())) {
    return memory_fault(cpu, op);
  }
  load_environment_image(cpu.state.x87, image, form);
  return next(cpu, op);
}
void fnsave(Cpu& cpu, const Op* op) {
  if (cpu.x87_fault != 0) return fault(cpu, op, Fault::plain(cpu.x87_fault));
  const EnvironmentForm form = form_of(cpu, op);
  X87State& s = cpu.state.x87;
  std::array<uint8_t, 28 + kRegisterBytes> image{};
  const auto environment = environment_image(s, form);
  std::memcpy(image.data(), environment.data(), form.bytes());
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(image.data() + form.bytes() + 10 * i, x87::st(s, i).data(), 10);
  }
  const unsigned bytes = form.bytes() + kRegisterBytes;
  if (!cpu.memory.store_bytes(cpu.linear_of(op), image.data(), bytes, cpu.memory.privilege())) {
    return memory_fault(cpu, op);
  }
  const auto registers = s.r;
  s = X87State{};
  s.r = registers;
  return next(cpu, op);
}
void frstor(Cpu& cpu, const Op* op) {
  if (!x87::ready(cpu, op)) return;
  const EnvironmentForm form = form_of(cpu, op);
  const unsigned bytes = form.bytes() + kRegisterBytes;
  std::array<uint8_t, 28 + kRegisterBytes> image{};
  if (!cpu.memory.load_bytes(cpu.linear_of(op), image.data(), bytes, cpu.memory.privilege())) {
    return memory_fault(cpu, op);
  }
  std::array<uint8_t, 28> environment{};
  std::memcpy(environment.data(), image.data(), form.bytes());
  X87State& s = cpu.state.x87;
  load_environment_image(s, environment, form);
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(x87::st(s, i).data(), image.data() + form.bytes() + 10 * i, 10);
  }
  return next(cpu, op);
}

template <Handler handler, unsigned size>
bool bind_fx(const Decoded&, Op& op) {
  op.run = handler;
  op.size = size;
  return true;
}
template <Handler handler>
bool bind_environment(const Decoded& d, Op& op) {
  const unsigned bytes = d.bytes(0);
  op.run = handler;
  op.size = bytes == 14 || bytes == 14 + kRegisterBytes ? 2 : 4;
  return true;
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_FXSAVE, bind_fx<fxsave, 4>},
    {ZYDIS_MNEMONIC_FXSAVE64, bind_fx<fxsave, 8>},
    {ZYDIS_MNEMONIC_FXRSTOR, bind_fx<fxrstor, 4>},
    {ZYDIS_MNEMONIC_FXRSTOR64, bind_fx<fxrstor, 8>},
    {ZYDIS_MNEMONIC_FNSTENV, bind_environment<fnstenv>},
    {ZYDIS_MNEMONIC_FLDENV, bind_environment<fldenv>},
    {ZYDIS_MNEMONIC_FNSAVE, bind_environment<fnsave>},
    {ZYDIS_MNEMONIC_FRSTOR, bind_environment<frstor>},
};

}  // namespace

absl::Span<const Binding> fpu_state_bindings() { return kBindings; }

}  // namespace gnomon::vmm
