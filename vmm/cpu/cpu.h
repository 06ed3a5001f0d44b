// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_CPU_H_
#define VMM_CPU_CPU_H_

#include <array>
#include <cstdint>
#include <cstring>

#include "gnomon/vmm/board.h"
#include "gnomon/vmm/cpu_state.h"
#include "gnomon/vmm/exits.h"
#include "vmm/cpu/fault.h"
#include "vmm/cpu/flags.h"
#include "vmm/cpu/memory_path.h"
#include "vmm/cpu/op.h"

// A virtual x86 processor: its registers and its way to memory. An executor (the interpreter here; hardware, elsewhere)
// runs its instructions; what it may not run itself, the VMM does (vmm/trap), on the same object.

namespace gnomon::vmm {

struct Block;

/// Why an executor came back.
enum class ExitReason : uint8_t {
  kNone,
  kBudget,       ///< as many instructions as it was allowed
  kInstruction,  ///< a sensitive instruction: `op`, not executed; RIP is its
  kFault,        ///< an exception: `fault`; RIP is that of the instruction
  kTrap,         ///< a debug trap after an instruction (single step): RIP is that of the next one
  kDevice,       ///< between executor and handlers only: start the instruction again, on its own
  kAttention,    ///< Cpu::attention was set, and a branch or a string instruction's iteration was executed after that
  kBreakpoint,   ///< of a debugger, before the instruction at RIP
  kHostFailed,   ///< the host has no memory for the guest
};

struct Exit {
  ExitReason reason = ExitReason::kNone;
  const Op* op = nullptr;
  Fault fault;
};

/// What code is decoded and executed for: the same bytes mean other things in other modes. Bits, as part of a key.
namespace code_mode {
inline constexpr uint8_t k16 = 0, k32 = 1, k64 = 2, kBits = 3;  ///< default operand and address size
inline constexpr uint8_t kStack32 = 4;   ///< SS.B (in 64-bit mode not set)
inline constexpr uint8_t kFlat = 8;      ///< no access can meet a segment limit or a right
inline constexpr uint8_t kSingle = 16;   ///< blocks of one instruction
inline constexpr uint8_t kReal = 32;     ///< real or virtual-8086 mode
}  // namespace code_mode

/// Where a block begins, for branches that find their way to it without the dispatcher.
struct Jump {
  uint64_t key = 0;      ///< linear address, xor Cpu::context
  uint64_t epoch = 0;    ///< of MemoryPath; 0: nothing here
  const Op* ops = nullptr;
  Block* block = nullptr;
  uint64_t instructions = 0;
};

class Cpu {
 public:
  /// Everything must outlive the processor.
  Cpu(unsigned number, Vcpu<Backend>& mmu, P2m& p2m, DevicePort& devices, CodeWatch* code)
      : id(number), memory(mmu, p2m, devices, code) {
    gpr[kPageStep] = 4096;
  }

  const unsigned id;
  /// Registers; but general registers are in `gpr`, RIP in `rip`, and the arithmetic flags in `flags`.
  CpuState state;
  /// General registers; [kNoRegister] is 0, [kBlockStart] RIP at the start of the block, [kPageStep] 4096.
  std::array<uint64_t, 19> gpr{};
  uint64_t rip = 0xfff0;
  LazyFlags flags;
  MemoryPath memory;
  uint64_t instructions = 0;  ///< executed so far
  Exit exit;
  ExitCounts exits;           ///< what the VMM was asked to do
  /// Set by anyone: come back to the VMM. It is looked at after branches and iterations of string instructions, so that where
  /// it takes effect does not depend on how code is cut into blocks.
  bool attention = false;

  // Of the executor while it runs.
  uint64_t until = 0;    ///< what `instructions` may become
  uint64_t horizon = 0;  ///< no block is entered without the dispatcher that would end after it
  uint64_t context = 0;  ///< mode and privilege, in the bits in which canonical addresses are all alike
  Jump* jumps = nullptr; ///< kJumps of them
  const Op* link = nullptr;  ///< the end of the block executed last, if it wants to know what follows it

  // Derived by mode_changed().
  std::array<uint64_t, 8> bases{};  ///< of segments, [kNoSegment] 0
  uint64_t linear_mask = 0xffff'ffff;
  uint8_t mode = 0;                 ///< code_mode
  /// Vectors that instructions of a kind raise because of CR0.EM, MP, TS and CR4.OSFXSR; 0: none.
  uint8_t sse_fault = 0, mmx_fault = 0, x87_fault = 0, wait_fault = 0;

  const Controls& controls() const { return memory.mmu().controls(); }
  Vcpu<Backend>& mmu() { return memory.mmu(); }
  bool protected_mode() const { return (controls().cr0 & 1) != 0; }
  bool long_mode() const { return (controls().efer & efer::kLMA) != 0; }  ///< 64-bit or compatibility mode
  bool code64() const { return (mode & code_mode::kBits) == code_mode::k64; }
  /// The bits of RIP. Branches of 16-bit code cut their targets to 16 bits, but what follows offset
  /// FFFFH is 10000H, there too.
  uint64_t ip_mask() const { return code64() ? ~uint64_t{0} : 0xffff'ffff; }
  bool v8086() const { return (state.rflags & flag::kVM) != 0; }
  bool real_mode() const { return !protected_mode(); }

  uint64_t rflags() const { return (state.rflags & ~flag::kArithmetic) | flags.get() | flag::kOne; }
  /// All of RFLAGS; tells MMU of AC. What may change is the caller's business.
  void set_rflags(uint64_t value);
  void set_cpl(unsigned cpl) {
    state.cpl = static_cast<uint8_t>(cpl);
    memory.set_user(cpl == 3);
  }
  /// To be called after any change of segments, CR0, CR4, EFER.LMA, RFLAGS.VM.
  void mode_changed();
  /// Everything in one place, for others to see; and back.
  CpuState snapshot() const;
  void restore(const CpuState& s);

  /// A register by its byte offset (Op::r1). 32-bit results are to be written with set32 (they clear the upper half).
  template <class T>
  T reg(uint8_t offset) const {
    T value;
    std::memcpy(&value, reinterpret_cast<const char*>(gpr.data()) + offset, sizeof(T));
    return value;
  }
  template <class T>
  void set_reg(uint8_t offset, T value) {
    if constexpr (sizeof(T) == 4) {
      set_reg<uint64_t>(offset, value);
    } else {
      std::memcpy(reinterpret_cast<char*>(gpr.data()) + offset, &value, sizeof(T));
    }
  }

  /// Offset in the segment, and linear address, of an operation's memory operand.
  uint64_t offset_of(const Op* op) const {
    return (gpr[op->base] + (gpr[op->index] << op->scale) + static_cast<uint64_t>(int64_t{op->disp})) &
           op->address_mask;
  }
  uint64_t linear_of(const Op* op) const { return (bases[op->segment] + offset_of(op)) & linear_mask; }
  /// A linear address from a segment (a number of `bases`) and an offset.
  uint64_t linear(unsigned segment, uint64_t offset) const { return (bases[segment] + offset) & linear_mask; }

  static constexpr size_t kJumps = 4096;
  Jump& jump(uint64_t linear) const { return jumps[(linear ^ linear >> 12) & (kJumps - 1)]; }
};

/// May `bytes` from `offset` be accessed by way of this segment register, as far as the segment is concerned? (SDM vol. 3, 5.3
/// and 5.5.) Always in 64-bit mode.
bool may_access(const Cpu& cpu, unsigned segment, uint64_t offset, unsigned bytes, bool write);
/// What happens if not: #SS(0) for SS, else #GP(0).
Fault segment_fault(unsigned segment);

// How a handler ends.

/// The next instruction of the block.
inline void next(Cpu& cpu, const Op* op) { return op[1].run(cpu, op + 1); }
/// To the dispatcher, at `rip`: after a branch, where the VMM may want to do something.
inline void leave_to(Cpu& cpu, uint64_t rip) {
  cpu.rip = rip;
  if (cpu.attention) [[unlikely]] cpu.exit.reason = ExitReason::kAttention;
}
/// After a branch, at `rip` (masked by the caller): to the block there if it is known, or to the dispatcher.
inline void leave(Cpu& cpu, const Op* op, uint64_t rip) {
  const uint64_t done = cpu.instructions += op->number + 1u;
  const Jump& j = cpu.jump(rip);
  if (j.key == (rip ^ cpu.context) && j.epoch == cpu.memory.epoch() &&
      done + j.instructions <= cpu.horizon && !cpu.attention) [[likely]] {
    cpu.gpr[kBlockStart] = rip;
    return j.ops->run(cpu, j.ops);
  }
  return leave_to(cpu, rip);
}
/// RIP of this instruction, and of the one after it (before truncation to the width of the code segment's IP).
inline uint64_t rip_of(const Cpu& cpu, const Op* op) { return cpu.gpr[kBlockStart] + op->offset; }
inline uint64_t rip_after(const Cpu& cpu, const Op* op) { return rip_of(cpu, op) + op->length; }
/// To the VMM, before this instruction, which has not been executed.
inline void stop(Cpu& cpu, const Op* op, ExitReason reason) {
  cpu.rip = rip_of(cpu, op);
  cpu.instructions += op->number;
  cpu.exit.reason = reason;
  cpu.exit.op = op;
}
/// The instruction met a fault.
void fault(Cpu& cpu, const Op* op, const Fault& what);
/// The instruction met what MemoryPath::fault says; in the stack segment if `stack`.
void memory_fault(Cpu& cpu, const Op* op, bool stack);
/// The same for the explicit memory operand.
inline void memory_fault(Cpu& cpu, const Op* op) { memory_fault(cpu, op, op->segment == kSs); }

}  // namespace gnomon::vmm

#endif  // VMM_CPU_CPU_H_
