// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_INTERP_H_
#define VMM_CPU_INTERP_H_

#include <array>
#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_set.h"
#include "vmm/cpu/code_cache.h"
#include "vmm/cpu/cpu.h"

namespace gnomon::vmm {

/// The executor that runs anywhere: interprets the instructions of one processor. What it may not do itself
/// it leaves to the VMM (Cpu::exit). Deterministic: nothing but the guest's instructions decides where it stops.
class Interp {
 public:
  explicit Interp(CodeCache& code);

  /// Runs until Cpu::instructions is `until`, or an exit before. The processor must not be halted.
  void run(Cpu& cpu, uint64_t until);

  /// Linear addresses before which to stop (ExitReason::kBreakpoint); `skip_breakpoint` lets the next run begin at one.
  void set_breakpoint(uint64_t linear, bool on);
  void skip_breakpoint() { skip_ = true; }

 private:
  struct Known {
    uint64_t linear = 0;
    uint64_t epoch = 0;  // of MemoryPath; 0: nothing here
    Block* block = nullptr;
  };
  static constexpr size_t kKnown = 4096;

  Block* find(Cpu& cpu, uint8_t mode);
  bool at_breakpoint(Cpu& cpu);
  bool fetch_checked(Cpu& cpu);

  CodeCache& code_;
  std::unique_ptr<std::array<Known, kKnown>> known_;
  absl::flat_hash_set<uint64_t> breakpoints_;
  bool skip_ = false;
};

}  // namespace gnomon::vmm

#endif  // VMM_CPU_INTERP_H_
