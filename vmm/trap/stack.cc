// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/stack.h"

#include <cstring>

namespace gnomon::vmm::trap {

Stack current_stack(const Cpu& cpu) {
  Stack stack;
  stack.ss = cpu.state.segments[kSs];
  stack.checked = !cpu.code64();
  stack.real = (cpu.mode & code_mode::kReal) != 0;
  if (cpu.code64()) {
    stack.mask = ~uint64_t{0};
  } else {
    stack.mask = (cpu.mode & code_mode::kStack32) != 0 ? 0xffff'ffff : 0xffff;
  }
  stack.sp = cpu.gpr[kRsp] & stack.mask;
  stack.by = cpu.memory.privilege();
  return stack;
}

Stack segment_stack(const Segment& ss, uint64_t sp, unsigned cpl) {
  Stack stack;
  stack.ss = ss;
  stack.checked = true;
  stack.mask = (ss.attributes & seg::kDB) != 0 ? 0xffff'ffff : 0xffff;
  stack.sp = sp & stack.mask;
  stack.by = cpl == 3 ? Privilege::kUser : Privilege::kSupervisor;
  return stack;
}

bool stack_may_hold(const Stack& stack, uint64_t offset, unsigned bytes) {
  if (!stack.checked) return true;
  const Segment& s = stack.ss;
  const uint64_t last = offset + bytes - 1;
  if (stack.real) return last <= s.limit;
  if (!s.present() || (s.attributes & seg::kWritable) == 0) return false;
  if ((s.attributes & seg::kExpandDown) != 0) {
    const uint64_t top = (s.attributes & seg::kDB) != 0 ? 0xffff'ffff : 0xffff;
    return offset > s.limit && last <= top;
  }
  return last <= s.limit;
}

uint64_t stack_linear(const Cpu& cpu, const Stack& stack, uint64_t offset) {
  return stack.checked ? (stack.ss.base + offset) & 0xffff'ffff : system_linear(cpu, offset);
}

bool stack_load(Cpu& cpu, const Stack& stack, uint64_t offset, unsigned size, uint64_t& value) {
  value = 0;
  const uint64_t at = stack.up(offset);
  if (!stack_may_hold(stack, at, size)) return fail(cpu, Fault::with_error(kStackFault, 0));
  return cpu.memory.load_bytes(stack_linear(cpu, stack, at), &value, size, stack.by) ||
         memory_failed(cpu, true);
}

namespace {

// The stack cannot be stored to: as memory says, but an address that is not canonical is beyond a
// limit.
bool push_failed(Cpu& cpu, uint32_t limit_error) {
  memory_failed(cpu, true);
  if (cpu.exit.fault.non_canonical) cpu.exit.fault.error = limit_error;
  return false;
}

}  // namespace

bool stack_push(Cpu& cpu, Stack& stack, unsigned size, absl::Span<const uint64_t> values,
                uint32_t limit_error) {
  uint8_t frame[8 * 8];
  const auto bytes = static_cast<unsigned>(size * values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const uint64_t at = stack.down(size * (i + 1));
    if (!stack_may_hold(stack, at, size))
      return fail(cpu, Fault::with_error(kStackFault, limit_error));
    std::memcpy(frame + bytes - size * (i + 1), &values[i], size);
  }
  const uint64_t bottom = stack.down(bytes);
  // One store, unless the stack pointer wraps around on the way.
  if (bottom <= stack.down(size)) {
    if (!cpu.memory.store_bytes(stack_linear(cpu, stack, bottom), frame, bytes, stack.by)) {
      return push_failed(cpu, limit_error);
    }
  } else {
    for (size_t i = 0; i < values.size(); ++i) {
      const uint64_t at = stack_linear(cpu, stack, stack.down(size * (i + 1)));
      if (!cpu.memory.probe_store(at, size, stack.by)) return push_failed(cpu, limit_error);
    }
    for (size_t i = 0; i < values.size(); ++i) {
      const uint64_t at = stack_linear(cpu, stack, stack.down(size * (i + 1)));
      if (!cpu.memory.store_bytes(at, &values[i], size, stack.by))
        return push_failed(cpu, limit_error);
    }
  }
  stack.sp = bottom;
  return true;
}

void set_stack_pointer(Cpu& cpu, const Stack& stack) {
  uint64_t& rsp = cpu.gpr[kRsp];
  rsp = stack.mask == 0xffff ? (rsp & ~uint64_t{0xffff}) | stack.sp : stack.sp;
}

}  // namespace gnomon::vmm::trap
