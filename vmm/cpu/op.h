// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_OP_H_
#define VMM_CPU_OP_H_

#include <cstdint>

namespace gnomon::vmm {

class Cpu;
struct Op;

/// Executes one decoded instruction and those after it: a handler ends by calling the handler of
/// the next (`next`), or by returning to the dispatcher with RIP and the count of instructions set
/// (`leave`, `stop`, `faulted`).
using Handler = void (*)(Cpu&, const Op*);

/// Numbers of registers in Op::base and Op::index besides 0 to 15.
inline constexpr uint8_t kNoRegister = 16;  ///< reads as 0
/// RIP where the block starts: for RIP-relative operands.
inline constexpr uint8_t kBlockStart = 17;
inline constexpr uint8_t kPageStep = 18;  ///< reads as 4096: see fill_memory in decode.cc
inline constexpr uint8_t kNoSegment = 6;  ///< Op::segment: base 0

/// Prefixes and properties.
namespace op_flag {
inline constexpr uint8_t kRep = 1;    ///< F3: REP, REPE
inline constexpr uint8_t kRepne = 2;  ///< F2
inline constexpr uint8_t kLock = 4;
inline constexpr uint8_t kMemory = 8;  ///< has an explicit memory operand, which it accesses
inline constexpr uint8_t kChecked =
    16;  ///< segments are not flat: accesses that are not explicit must check limits
inline constexpr uint8_t kWide = 32;  ///< REX.W
inline constexpr uint8_t kRelative =
    64;  ///< `imm` is relative to the instruction's end (until its block is made)
inline constexpr uint8_t kEnds =
    128;  ///< last of its block: whoever binds a branch, or what may change the mode, sets it
}  // namespace op_flag

/// One instruction, decoded. What fields mean beyond these comments is between who binds it and its
/// handler.
struct Op {
  Handler run = nullptr;
  uint64_t imm =
      0;  ///< immediate, sign-extended; of relative branches: the target minus the block's start
  uint64_t address_mask = 0;  ///< of offsets: 16, 32 or 64 bits
  int32_t disp = 0;
  uint8_t base = kNoRegister, index = kNoRegister;
  uint8_t scale = 0;  ///< shift of the index
  uint8_t segment = kNoSegment;
  /// Register operands in the order of the manual's operands, explicit ones only. General
  /// registers: byte offset in the register file (8 * number, + 1 for AH to BH); others: their
  /// number.
  uint8_t r1 = 0, r2 = 0, r3 = 0;
  uint8_t length = 0;   ///< bytes of the instruction
  uint8_t size = 0;     ///< operand size in bytes
  uint8_t flags = 0;    ///< op_flag
  uint16_t code = 0;    ///< ZydisMnemonic
  uint16_t offset = 0;  ///< of the instruction from the start of its block
  uint16_t number = 0;  ///< instructions before it in its block
};
static_assert(sizeof(Op) == 48);

}  // namespace gnomon::vmm

#endif  // VMM_CPU_OP_H_
