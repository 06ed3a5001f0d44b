// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_TRAP_STACK_H_
#define VMM_TRAP_STACK_H_

#include <cstdint>

#include "absl/types/span.h"
#include "vmm/trap/instruction.h"

// A guest's stack, the current one or one about to become so.

namespace gnomon::vmm::trap {

struct Stack {
  Segment ss;
  uint64_t sp = 0;
  uint64_t mask = 0;     ///< of the stack pointer: 16, 32 or 64 bits
  bool checked = false;  ///< the segment has a base and a limit (not in 64-bit mode)
  bool real = false;
  Privilege by = Privilege::kSupervisor;

  uint64_t down(uint64_t bytes) const { return (sp - bytes) & mask; }
  uint64_t up(uint64_t bytes) const { return (sp + bytes) & mask; }
};

Stack current_stack(const Cpu& cpu);
/// One that is not in 64-bit mode, for code at level `cpl`.
Stack segment_stack(const Segment& ss, uint64_t sp, unsigned cpl);

bool stack_may_hold(const Stack& stack, uint64_t offset, unsigned bytes);
uint64_t stack_linear(const Cpu& cpu, const Stack& stack, uint64_t offset);

/// Loads `size` bytes at sp + offset. Faults: #SS(0), or of the access.
bool stack_load(Cpu& cpu, const Stack& stack, uint64_t offset, unsigned size, uint64_t& value);
/// Pushes values of `size` bytes each, the first one first: all of them or none. `limit_error` is
/// the error code of the #SS that passing the segment's limit, or leaving the canonical addresses,
/// raises.
bool stack_push(Cpu& cpu, Stack& stack, unsigned size, absl::Span<const uint64_t> values,
                uint32_t limit_error = 0);
/// Sets RSP's bits under the stack's mask.
void set_stack_pointer(Cpu& cpu, const Stack& stack);

}  // namespace gnomon::vmm::trap

#endif  // VMM_TRAP_STACK_H_
