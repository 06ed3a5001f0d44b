// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/task_state.h"

#include "vmm/trap/descriptors.h"

namespace gnomon::vmm::trap {
namespace {

constexpr unsigned kMapOffset = 0x66;  // of the 16-bit offset of the I/O permission bit map

bool invalid_task(Cpu& cpu, uint32_t ext) {
  return fail(cpu, Fault::with_error(kInvalidTss, error_of(cpu.state.tr.selector) | ext));
}

bool within(const Cpu& cpu, uint64_t offset, unsigned bytes) {
  return cpu.state.tr.present() && offset + bytes - 1 <= cpu.state.tr.limit;
}

bool task_read(Cpu& cpu, uint64_t offset, unsigned bytes, uint64_t& value) {
  return read(cpu, cpu.state.tr.base + offset, bytes, value, Privilege::kImplicit);
}

bool task_read64(Cpu& cpu, uint64_t offset, uint32_t ext, uint64_t& value) {
  if (!within(cpu, offset, 8)) return invalid_task(cpu, ext);
  return task_read(cpu, offset, 8, value);
}

bool is_task32(const Cpu& cpu) { return (cpu.state.tr.attributes & 8) != 0; }

}  // namespace

bool task_stack(Cpu& cpu, unsigned cpl, uint32_t ext, uint16_t& ss, uint64_t& sp) {
  const unsigned size = is_task32(cpu) ? 4 : 2;
  const unsigned offset = is_task32(cpu) ? 8 * cpl + 4 : 4 * cpl + 2;
  if (!within(cpu, offset, size + 2)) return invalid_task(cpu, ext);
  uint64_t selector = 0;
  if (!task_read(cpu, offset, size, sp) || !task_read(cpu, offset + size, 2, selector))
    return false;
  ss = static_cast<uint16_t>(selector);
  return true;
}

bool task_stack64(Cpu& cpu, unsigned cpl, uint32_t ext, uint64_t& rsp) {
  return task_read64(cpu, 4 + 8 * cpl, ext, rsp);
}

bool task_interrupt_stack(Cpu& cpu, unsigned number, uint32_t ext, uint64_t& rsp) {
  return task_read64(cpu, 28 + 8 * number, ext, rsp);
}

bool port_allowed(Cpu& cpu, uint16_t port, unsigned size) {
  if (cpu.real_mode() || cpu.state.cpl <= iopl(cpu)) return true;
  if (!is_task32(cpu) || !within(cpu, kMapOffset, 2)) return general_protection(cpu);
  uint64_t map = 0;
  if (!task_read(cpu, kMapOffset, 2, map)) return false;
  // Two bytes are always read, so the map ends with one of ones.
  if (!within(cpu, map + port / 8, 2)) return general_protection(cpu);
  uint64_t bits = 0;
  if (!task_read(cpu, map + port / 8, 2, bits)) return false;
  const uint64_t wanted = ((1u << size) - 1) << port % 8;
  return (bits & wanted) == 0 || general_protection(cpu);
}

}  // namespace gnomon::vmm::trap
