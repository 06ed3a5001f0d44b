// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_DECODE_H_
#define VMM_CPU_DECODE_H_

#include <Zydis/Decoder.h>

#include <array>
#include <cstdint>

#include "absl/types/span.h"
#include "vmm/cpu/op.h"

// From bytes to Op: Zydis tells what the instruction is, a table of bindings which handler executes
// it.

namespace gnomon::vmm {

/// What Zydis says of an instruction, for those that bind it.
struct Decoded {
  ZydisDecodedInstruction i;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> o;
  uint8_t mode = 0;  ///< code_mode

  const ZydisDecodedOperand& operand(unsigned n) const { return o[n]; }
  bool is_register(unsigned n) const { return o[n].type == ZYDIS_OPERAND_TYPE_REGISTER; }
  bool is_memory(unsigned n) const { return o[n].type == ZYDIS_OPERAND_TYPE_MEMORY; }
  bool is_immediate(unsigned n) const { return o[n].type == ZYDIS_OPERAND_TYPE_IMMEDIATE; }
  unsigned visible() const { return i.operand_count_visible; }
  /// Width of operand `n` in bytes.
  unsigned bytes(unsigned n) const { return o[n].size / 8; }
};

/// Gives `op`, whose operand fields are filled in, its handler (and changes fields if the handler
/// wants it so). False: this form is not implemented; it raises #UD.
struct Binding {
  ZydisMnemonic mnemonic;
  bool (*bind)(const Decoded& d, Op& op);
};

/// Gives `op` the handler that `choose` answers for an unsigned integer of so many bytes. False: no
/// such size.
template <class Choose>
bool by_size(unsigned bytes, Op& op, Choose&& choose) {
  switch (bytes) {
    case 1: op.run = choose(uint8_t{}); break;
    case 2: op.run = choose(uint16_t{}); break;
    case 4: op.run = choose(uint32_t{}); break;
    case 8: op.run = choose(uint64_t{}); break;
    default: return false;
  }
  op.size = static_cast<uint8_t>(bytes);
  return op.run != nullptr;
}

/// Binds an instruction whose forms all have the same handler.
template <Handler handler>
bool bind_handler(const Decoded&, Op& op) {
  op.run = handler;
  return true;
}

// The tables, one for each file bind_*.cc.
absl::Span<const Binding> move_bindings();
absl::Span<const Binding> convert_bindings();
absl::Span<const Binding> condition_bindings();
absl::Span<const Binding> hint_bindings();
absl::Span<const Binding> arithmetic_bindings();
absl::Span<const Binding> shift_bindings();
absl::Span<const Binding> double_shift_bindings();
absl::Span<const Binding> multiply_bindings();
absl::Span<const Binding> bit_bindings();
absl::Span<const Binding> exchange_bindings();
absl::Span<const Binding> branch_bindings();
absl::Span<const Binding> stack_bindings();
absl::Span<const Binding> string_bindings();
absl::Span<const Binding> decimal_bindings();
absl::Span<const Binding> x87_bindings();
absl::Span<const Binding> sse_move_bindings();
absl::Span<const Binding> sse_float_bindings();
absl::Span<const Binding> sse_convert_bindings();
absl::Span<const Binding> sse_integer_bindings();
absl::Span<const Binding> sse_shuffle_bindings();
absl::Span<const Binding> fpu_state_bindings();
absl::Span<const Binding> sensitive_bindings();

/// For forms of other instructions that go to the VMM, too (MOV to CR3, far CALL, POP SS, …): binds
/// `op` so and answers true. The VMM finds the instruction's details by decoding it again where Op
/// does not hold them.
bool bind_sensitive(const Decoded& d, Op& op);

/// An instruction, decoded.
struct DecodedOp {
  Op op;                 ///< complete but for `offset` and `number`
  bool checked = false;  ///< `check` goes before it
  Op check;  ///< tests its memory operand against the segment: no instruction of its own
};

/// Decodes one instruction of at most `available` bytes. 0: it does not fit into them (it goes on
/// in the next page); otherwise its length. What cannot be decoded, or is not implemented, becomes
/// an op that raises #UD; its length is that of the bytes that say so. What is longer than 15 bytes
/// becomes one that raises #GP(0).
unsigned decode(const uint8_t* bytes, unsigned available, uint8_t mode, DecodedOp& out);

/// Handlers that several bindings share.
namespace handlers {
void undefined(Cpu& cpu, const Op* op);  ///< #UD
void too_long(Cpu& cpu, const Op* op);   ///< #GP: more than 15 bytes
void sensitive(Cpu& cpu, const Op* op);  ///< to the VMM
void check_segment(Cpu& cpu,
                   const Op* op);  ///< the memory operand of op[1]: `size` bytes, stored to if `r1`
}  // namespace handlers

}  // namespace gnomon::vmm

#endif  // VMM_CPU_DECODE_H_
