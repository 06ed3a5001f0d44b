// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_VMM_MACHINE_H_
#define GNOMON_VMM_MACHINE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gnomon/backend.h"
#include "gnomon/base/counters.h"
#include "gnomon/cache/hierarchy.h"
#include "gnomon/traces/trace_writer.h"
#include "gnomon/vmm/board.h"
#include "gnomon/vmm/cpu_state.h"
#include "gnomon/vmm/guest_memory.h"
#include "gnomon/vmm/loader.h"

// A whole virtual machine: processors with their executor, one MMU backend, memory, a board, a loaded guest.
//
//   MachineOptions options;
//   options.load.image = "kernel.elf";
//   auto machine = Machine::create(options).value();
//   RunEnd end = machine->run(1'000'000'000);

namespace gnomon::vmm {

class Cpu;

struct MachineOptions {
  BoardOptions board;
  LoadOptions load;
  std::string backend = "shadow";     ///< as for create_backend
  PageSize host_page = PageSize::k4K; ///< largest host page behind guest memory
  /// TLBs and walk caches to model, a preset by name. Then each fetch, load and store goes through them, one by one, which
  /// is slow; "off": a TLB of our own that counts nothing.
  std::string tlb = "off";
  std::string caches = "none";        ///< data caches that accesses and walks share, a preset by name; needs `tlb`
  CpuModel cpu;
  /// All that the guest does to memory is written there as a trace of a whole guest (needs `tlb`, whose replay it is). Null: nothing.
  /// Finished by whoever made it, after finish_trace().
  TraceWriter* trace = nullptr;
  /// Guest time that one instruction takes, in nanoseconds (1 to 1000). The time-stamp counter runs at 1 GHz.
  uint64_t ns_per_instruction = 10;
  bool naive = false;  ///< TrapPolicy::naive
  bool audit = false;  ///< check the backend's invariants at every exit to the VMM (slow)
};

/// Why the machine stopped.
struct RunEnd {
  enum class Reason : uint8_t {
    kLimit,       ///< as many instructions as it was allowed
    kExit,        ///< the guest ended it: `status`
    kReset,       ///< the guest wants a reset
    kShutdown,    ///< triple fault of processor `cpu`
    kHalted,      ///< every processor waits for an interrupt that nothing will send, unless console input does
    kBreakpoint,  ///< of a debugger, on processor `cpu`
    kHostFailed,  ///< the host has no memory left for the guest
    kRefused,     ///< direct paging takes the guest's page tables or paging mode not (docs/hypercalls.md)
    kBroken,      ///< an audit found something wrong: `text`
  };
  Reason reason = Reason::kLimit;
  int status = 0;
  unsigned cpu = 0;
  std::string text;  ///< one line for people
};

/// An exit of a processor to the VMM by an instruction, a fault or an interrupt.
struct ExitEvent {
  unsigned cpu = 0;
  uint64_t instructions = 0;  ///< of that processor so far
  uint64_t rip = 0;
  std::string what;           ///< in words: "mov", "vmcall set_cr3", "fault 14", "interrupt 32"
};

/// Told of what happens, on the thread that runs.
class MachineObserver {
 public:
  virtual ~MachineObserver() = default;
  /// Before it is handled.
  virtual void on_exit(const ExitEvent& event) = 0;
};

/// How often something brought a processor to the VMM.
struct ExitCount {
  absl::string_view name;  ///< snake_case
  absl::string_view description;
  uint64_t count = 0;
};

class Machine : public MachineControl {
 public:
  /// Errors: those of boards, loaders and backends; InvalidArgument, ResourceExhausted (no memory).
  static absl::StatusOr<std::unique_ptr<Machine>> create(const MachineOptions& options);

  /// Runs for the guest time of so many instructions (when all processors wait, time goes on without any), or until it ends.
  virtual RunEnd run(uint64_t instructions) = 0;
  /// One instruction of one processor, or the delivery of what is pending to it.
  virtual RunEnd step(unsigned cpu) = 0;

  virtual const MachineOptions& options() const = 0;
  virtual const LoadedGuest& guest() const = 0;
  virtual Board& board() = 0;
  virtual Clock& clock() = 0;
  virtual Backend& backend() = 0;
  virtual P2m& p2m() = 0;
  virtual GuestMemory& memory() = 0;
  virtual unsigned cpus() const = 0;
  virtual Cpu& cpu(unsigned number) = 0;

  /// For debuggers and devices, while no processor runs: guest-physical memory as the guest sees it. False: not all of
  /// it is RAM.
  virtual bool read_memory(Gpa from, absl::Span<uint8_t> to) = 0;
  virtual bool write_memory(Gpa to, absl::Span<const uint8_t> from) = 0;
  /// By virtual address of a processor, whatever its privilege; nothing is counted and no flag is set.
  virtual Translation translate(unsigned cpu, Gva va) = 0;
  virtual void set_breakpoint(uint64_t linear, bool on) = 0;

  virtual uint64_t instructions() const = 0;  ///< executed by all processors
  /// A digest of every exit so far (where, why, registers): equal runs have equal ones, whatever the MMU backend.
  virtual uint64_t trace_hash() const = 0;
  /// A digest of guest memory.
  virtual uint64_t memory_hash() = 0;
  virtual Counters counters() const = 0;      ///< of the MMU, all processors
  /// Accesses to memory by AccessOp, all processors; where TLBs are modelled.
  virtual std::array<uint64_t, 3> references() const = 0;
  virtual CacheStats cache_stats() const = 0;  ///< zeros when caches are not modelled
  /// Hands what is held back to MachineOptions::trace; the first error there was.
  virtual absl::Status finish_trace() = 0;
  virtual std::vector<ExitCount> exit_counts() const = 0;  ///< all processors
  /// The registers of a processor, as lines for people.
  virtual std::string registers_text(unsigned cpu) const = 0;
  virtual void set_observer(MachineObserver* observer) = 0;
};

}  // namespace gnomon::vmm

#endif  // GNOMON_VMM_MACHINE_H_
