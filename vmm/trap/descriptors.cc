// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/descriptors.h"

namespace gnomon::vmm::trap {
namespace {

// Where the 8 bytes at `offset` of the selector's table are.
bool locate(const Cpu& cpu, uint16_t selector, unsigned offset, uint64_t& linear) {
  const bool local = (selector & 4) != 0;
  const uint64_t at = (selector & ~7u) + uint64_t{offset};
  uint64_t limit = cpu.state.gdtr.limit;
  uint64_t base = cpu.state.gdtr.base;
  if (local) {
    if (!cpu.state.ldtr.present()) return false;
    limit = cpu.state.ldtr.limit;
    base = cpu.state.ldtr.base;
  }
  if (at + 7 > limit) return false;
  linear = system_linear(cpu, base + at);
  return true;
}

}  // namespace

Found find_descriptor(Cpu& cpu, uint16_t selector, Descriptor& d) {
  d = Descriptor{};
  if (!locate(cpu, selector, 0, d.address)) return Found::kNo;
  return read(cpu, d.address, 8, d.low, Privilege::kImplicit) ? Found::kYes : Found::kFault;
}

Found find_upper_half(Cpu& cpu, uint16_t selector, Descriptor& d) {
  uint64_t at = 0;
  uint64_t high = 0;
  if (!locate(cpu, selector, 8, at)) return Found::kNo;
  if (!read(cpu, at, 8, high, Privilege::kImplicit)) return Found::kFault;
  d.high = high & 0xffff'ffff;
  // The type field of the upper half is 0, so that it is no descriptor of its own.
  return (high >> 40 & 0x1f) == 0 ? Found::kYes : Found::kNo;
}

bool need_descriptor(Cpu& cpu, uint16_t selector, uint8_t vector, uint32_t ext, Descriptor& d) {
  switch (find_descriptor(cpu, selector, d)) {
    case Found::kYes: return true;
    case Found::kFault: return false;
    case Found::kNo: break;
  }
  return fail(cpu, Fault::with_error(vector, error_of(selector) | ext));
}

bool mark_descriptor(Cpu& cpu, Descriptor& d, unsigned type_bits) {
  if ((d.type() & type_bits) == type_bits) return true;
  d.low |= uint64_t{type_bits} << 40;
  return write(cpu, d.address + 5, 1, d.low >> 40 & 0xff, Privilege::kImplicit);
}

Segment null_segment(uint16_t selector) { return {selector, 0, 0, 0}; }

Segment flat_code(uint16_t selector, unsigned dpl, bool code64) {
  constexpr uint16_t kRights =
      seg::kP | seg::kS | seg::kCode | seg::kReadable | seg::kAccessed | seg::kG;
  const auto attributes =
      static_cast<uint16_t>(kRights | (code64 ? seg::kL : seg::kDB) | dpl << seg::kDplShift);
  return {selector, attributes, 0xffff'ffff, 0};
}

Segment flat_stack(uint16_t selector, unsigned dpl) {
  constexpr uint16_t kRights =
      seg::kP | seg::kS | seg::kWritable | seg::kAccessed | seg::kG | seg::kDB;
  return {selector, static_cast<uint16_t>(kRights | dpl << seg::kDplShift), 0xffff'ffff, 0};
}

}  // namespace gnomon::vmm::trap
