// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_SENSITIVE_H_
#define VMM_CPU_SENSITIVE_H_

#include <cstdint>

// How Op holds the operands of a sensitive instruction, so that the VMM need not decode it again:
//   r1, r2   register operands in the manual's order, as in any Op;
//   r3       sensitive_form bits;
//   size     operand size in bytes: of the accumulator (IN, OUT), of an element (INS, OUTS), else
//   the effective
//            operand size of the instruction (stack operations and MOV CR, MOV DR in 64-bit mode: 8
//            unless overridden);
//   imm      immediate; of a far JMP or CALL to an immediate pointer: the offset, and `disp` the
//   selector.

namespace gnomon::vmm {

namespace sensitive_form {
inline constexpr uint8_t kMemory = 1;     ///< the explicit operand that may be memory, is
inline constexpr uint8_t kImmediate = 2;  ///< there is an immediate operand
inline constexpr uint8_t kPointer = 4;    ///< the immediate is a far pointer
inline constexpr uint8_t kFrom = 8;       ///< MOV from a segment, control or debug register
// Of MOV, PUSH and POP: the kind of register.
inline constexpr uint8_t kSegment = 16, kControl = 32, kDebug = 64;
}  // namespace sensitive_form

}  // namespace gnomon::vmm

#endif  // VMM_CPU_SENSITIVE_H_
