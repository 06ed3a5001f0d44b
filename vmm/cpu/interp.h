// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_INTERP_H_
#define VMM_CPU_INTERP_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "vmm/cpu/code_cache.h"
#include "vmm/cpu/cpu.h"

namespace gnomon::vmm {

/// The executor that runs anywhere: interprets the instructions of one processor. What it may not
/// do itself it leaves to the VMM (Cpu::exit). Deterministic: nothing but the guest's instructions
/// decides where it stops.
class Interp {
 public:
  explicit Interp(CodeCache& code);

  /// Runs until Cpu::instructions is `until` exactly, or an exit before. The processor must not be
  /// halted. Each iteration of a repeated string instruction counts as one instruction.
  void run(Cpu& cpu, uint64_t until);

  /// Linear addresses before which to stop (ExitReason::kBreakpoint); `skip_breakpoint` lets the
  /// next run begin at one.
  void set_breakpoint(uint64_t linear, bool on);
  void skip_breakpoint(bool skips = true) { skip_ = skips; }

 private:
  Block* find(Cpu& cpu, uint8_t mode);
  Block* next_block(Cpu& cpu, bool alone);
  bool at_breakpoint(Cpu& cpu);

  CodeCache& code_;
  std::vector<Jump> jumps_;
  absl::flat_hash_set<uint64_t> breakpoints_;
  bool skip_ = false;
};

}  // namespace gnomon::vmm

#endif  // VMM_CPU_INTERP_H_
