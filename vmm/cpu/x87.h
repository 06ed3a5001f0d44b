// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_X87_H_
#define VMM_CPU_X87_H_

#include <cstdint>
#include <type_traits>

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/x87_host.h"

// The x87's register stack and exceptions (SDM vol. 1, chapter 8). Arithmetic is the host's:
// x87_host.h.

namespace gnomon::vmm {

/// Bits of the status word; the exceptions' masks stand at the same places of the control word.
namespace x87 {
inline constexpr uint16_t kInvalid = 1, kDenormal = 2, kZeroDivide = 4, kOverflow = 8,
                          kUnderflow = 0x10, kPrecision = 0x20, kExceptions = 0x3f, kStack = 0x40,
                          kSummary = 0x80, kC0 = 0x100, kC1 = 0x200, kC2 = 0x400, kC3 = 0x4000,
                          kCodes = kC0 | kC1 | kC2 | kC3, kTop = 0x3800, kBusy = 0x8000;
/// Exceptions found before the operation, which prevent it.
inline constexpr uint16_t kBefore = kInvalid | kDenormal | kZeroDivide;
inline constexpr uint16_t kControlDefined = 0x1f3f, kControlOnes = 0x40;  ///< of the control word
/// The quiet NaN that stands for an invalid operation.
inline constexpr Real80 kIndefinite = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
inline constexpr uint64_t kNumericError = 1u << 5;  ///< CR0.NE

inline unsigned physical(const X87State& s, unsigned i) { return (s.top() + i) & 7; }
inline Real80& st(X87State& s, unsigned i) { return s.r[physical(s, i)]; }
inline bool empty(const X87State& s, unsigned i) { return (s.tags >> physical(s, i) & 1) == 0; }
inline void set_top(X87State& s, unsigned top) {
  s.status = static_cast<uint16_t>((s.status & ~kTop) | (top & 7) << 11);
}
inline void pop(X87State& s) {
  s.tags &= static_cast<uint8_t>(~(1u << s.top()));
  set_top(s, s.top() + 1);
}
inline void push(X87State& s, const Real80& value) {
  set_top(s, s.top() - 1);
  s.r[s.top()] = value;
  s.tags |= static_cast<uint8_t>(1u << s.top());
}
/// Writes ST(i), which is then not empty.
inline void put(X87State& s, unsigned i, const Real80& value) {
  st(s, i) = value;
  s.tags |= static_cast<uint8_t>(1u << physical(s, i));
}
inline void set_codes(X87State& s, uint16_t which, uint16_t values) {
  s.status = static_cast<uint16_t>((s.status & ~which) | (values & which));
}
/// The summary and busy bits follow from flags and masks.
inline void summarize(X87State& s) {
  const bool any = (s.status & ~s.control & kExceptions) != 0;
  s.status = static_cast<uint16_t>((s.status & ~(kSummary | kBusy)) | (any ? kSummary | kBusy : 0));
}
/// Sets flags. Answers those that are not masked.
inline uint16_t raise(X87State& s, uint16_t flags) {
  s.status |= flags;
  const auto unmasked = static_cast<uint16_t>(flags & ~s.control & kExceptions);
  if (unmasked != 0) s.status |= kSummary | kBusy;
  return unmasked;
}
/// An empty register was read, or (`overflow`) a full one pushed to. Answers whether it is masked:
/// the result is kIndefinite.
inline bool stack_fault(X87State& s, bool overflow) {
  set_codes(s, kC1, overflow ? kC1 : 0);
  return raise(s, kInvalid | kStack) == 0;
}
/// Takes over the host's status word after an operation: flags, and condition codes `codes`. False:
/// the operation did not take place.
inline bool settle(X87State& s, uint16_t sw, uint16_t codes) {
  const auto flags = static_cast<uint16_t>(sw & kExceptions);
  if ((flags & ~s.control & kBefore) != 0) [[unlikely]] {
    set_codes(s, kC1, 0);
    raise(s, flags & kBefore);
    return false;
  }
  set_codes(s, codes, sw);
  raise(s, flags);
  return true;
}

/// May an x87 instruction that waits run? If not, it has raised its fault. An exception that waits
/// is lost unless CR0.NE is set: the line FERR# is not modelled.
[[gnu::noinline]] bool refuse(Cpu& cpu, const Op* op);
inline bool ready(Cpu& cpu, const Op* op) {
  if (cpu.x87_fault == 0 && (cpu.state.x87.status & kSummary) == 0) [[likely]]
    return true;
  return !refuse(cpu, op);
}

/// The end of an instruction that is no control instruction: where it was (Op::imm holds its
/// opcode, 11 bits).
inline void done(Cpu& cpu, const Op* op) {
  X87State& s = cpu.state.x87;
  s.last_ip = rip_of(cpu, op);
  s.last_opcode = static_cast<uint16_t>(op->imm);
  if ((op->flags & op_flag::kMemory) != 0) s.last_data = cpu.offset_of(op);
  return next(cpu, op);
}

// Handlers by opcode (D8 to DF) and ModRM; null: not one of these. Op::r1 is the number of the
// register in ModRM.
Handler arithmetic_handler(uint8_t opcode, uint8_t modrm);
Handler transfer_handler(uint8_t opcode, uint8_t modrm);
Handler function_handler(uint8_t opcode, uint8_t modrm);
Handler control_handler(uint8_t opcode, uint8_t modrm);

}  // namespace x87
}  // namespace gnomon::vmm

#endif  // VMM_CPU_X87_H_
