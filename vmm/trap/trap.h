// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_TRAP_TRAP_H_
#define VMM_TRAP_TRAP_H_

#include <cstdint>

#include "gnomon/vmm/board.h"
#include "vmm/cpu/cpu.h"

// Trap and emulate: what the VMM does for a guest that may not do it itself. It works on a Cpu,
// whoever executes its instructions, so that all executors share it.
//
// A guest's system call, exception or interrupt enters here; the VMM finds the guest's own handler
// in the guest's own descriptor tables, builds the frame on the guest's own stack, and the executor
// goes on there.

namespace gnomon::vmm {

/// What the VMM's other parts do for an instruction.
class TrapEnvironment {
 public:
  virtual ~TrapEnvironment() = default;
  /// The time-stamp counter before Msrs::tsc_offset is added.
  virtual uint64_t time_stamp(const Cpu& cpu) = 0;
  virtual uint64_t port_read(Cpu& cpu, uint16_t port, unsigned size) = 0;
  virtual void port_write(Cpu& cpu, uint16_t port, unsigned size, uint64_t value) = 0;
  /// VMCALL or VMMCALL at level 0: number in RAX, operands and answer in registers. False: there
  /// are no hypercalls (#UD).
  virtual bool hypercall(Cpu& cpu) = 0;
  virtual Board& board() = 0;
};

/// How guest kernels are run.
struct TrapPolicy {
  /// Naive trap and emulate, for demonstrations: all guest code runs at privilege level 3 of the
  /// processor, and only what traps there reaches the VMM. Sensitive instructions that do not trap
  /// do what a processor does with them at level 3: POPF keeps IF, reading CS shows level 3, SGDT
  /// shows the host's table, …
  bool naive = false;
};

/// What became of an instruction or event.
enum class Emulated : uint8_t {
  kDone,      ///< RIP is that of the next instruction to execute; the instruction is counted
  kFault,     ///< nothing has changed; Cpu::exit.fault says which fault to deliver
  kHalted,    ///< done, and CpuState::halted is set
  kShutdown,  ///< triple fault: the processor has stopped
};

/// Emulates the sensitive instruction at RIP that `op` is (ExitReason::kInstruction): `op` as a
/// block of code holds it, so that a RIP-relative operand counts from Cpu::gpr[kBlockStart]. After
/// it, CpuState::interrupt_shadow says whether the *next* instruction is shadowed: who runs that
/// one, clears it. With RFLAGS.TF set before it, the single-step trap is delivered as well. When
/// the host has no memory for the guest (MemoryPath::host_failed), what it answers is of no use.
Emulated emulate(Cpu& cpu, const Op& op, TrapEnvironment& environment, const TrapPolicy& policy);

/// What is delivered through the guest's interrupt table.
struct Event {
  enum class Kind : uint8_t {
    kFault,  ///< RIP saved is that of the instruction; with an error code as the vector has it
    kTrap,   ///< #DB after an instruction, and what INT1 raises: RIP saved is that of the next one
    kSoftware,   ///< INT n, INT3, INTO: gate privilege is checked; RIP is already that of the next
                 ///< instruction
    kInterrupt,  ///< external, or NMI
  };
  Kind kind = Kind::kFault;
  uint8_t vector = 0;
  bool has_error = false;
  uint32_t error = 0;
  uint64_t cr2 = 0;
};

/// Delivers an event, which wakes a processor that is halted: through the vector table in real
/// mode, else through the IDT, with the switch of stacks that the gate and the TSS call for. Faults
/// on the way are delivered in its place as the manual combines them (SDM vol. 3, table 6-5):
/// kShutdown if that ends in a triple fault; otherwise kDone. A #DB that is a kTrap sets DR6.BS; an
/// NMI (kInterrupt with vector 2) holds off others until IRET.
Emulated deliver(Cpu& cpu, const Event& event);
inline Emulated deliver(Cpu& cpu, const Fault& f) {
  return deliver(cpu, Event{Event::Kind::kFault, f.vector, f.has_error, f.error, f.cr2});
}

/// Registers as after power-on or INIT (SDM vol. 3, table 9-1), in real mode at F000:FFF0.
void reset_processor(Cpu& cpu);
/// A start-up message: real mode at `vector` * 100H : 0.
void start_processor(Cpu& cpu, uint8_t vector);

}  // namespace gnomon::vmm

#endif  // VMM_TRAP_TRAP_H_
