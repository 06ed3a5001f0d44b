// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_MACHINE_MACHINE_IMPL_H_
#define VMM_MACHINE_MACHINE_IMPL_H_

#include <memory>
#include <optional>
#include <vector>

#include "gnomon/memory/host_memory.h"
#include "gnomon/vmm/machine.h"
#include "vmm/cpu/interp.h"
#include "vmm/record/guest_recorder.h"
#include "vmm/trap/trap.h"

// How a machine goes on. Its processors take turns, each for at most a quantum of instructions;
// guest time is the sum of what they executed. So a run depends on nothing but the guest and its
// input.
//
//  1. The clock stands at the start of the turn, and is moved to the exact instruction before a
//     device is accessed and at the end of the turn.
//  2. A turn ends at the next deadline of the clock, so that timers fire at their instruction.
//  3. When all processors wait, time jumps to the next deadline.

namespace gnomon::vmm {

class MachineImpl final : public Machine, private DevicePort, private TrapEnvironment {
 public:
  explicit MachineImpl(const MachineOptions& options);
  ~MachineImpl() override;
  absl::Status build();
  absl::Status add_processor(unsigned number);
  absl::Status start_recording();
  std::vector<MemoryRange> device_ranges();

  RunEnd run(uint64_t instructions) override;
  RunEnd step(unsigned cpu) override;

  const MachineOptions& options() const override { return options_; }
  const LoadedGuest& guest() const override { return guest_; }
  Board& board() override { return *board_; }
  Clock& clock() override { return clock_; }
  Backend& backend() override { return *backend_; }
  P2m& p2m() override { return *p2m_; }
  GuestMemory& memory() override { return *memory_; }
  unsigned cpus() const override { return static_cast<unsigned>(processors_.size()); }
  Cpu& cpu(unsigned number) override { return *processors_[number]->cpu; }

  bool read_memory(Gpa from, absl::Span<uint8_t> to) override;
  bool write_memory(Gpa to, absl::Span<const uint8_t> from) override;
  Translation translate(unsigned cpu, Gva va) override;
  void set_breakpoint(uint64_t linear, bool on) override;

  uint64_t instructions() const override { return instructions_; }
  uint64_t trace_hash() const override { return hash_; }
  uint64_t memory_hash() override;
  Counters counters() const override;
  std::array<uint64_t, 3> references() const override;
  CacheStats cache_stats() const override;
  absl::Status finish_trace() override;
  std::vector<ExitCount> exit_counts() const override;
  std::string registers_text(unsigned cpu) const override;
  void set_observer(MachineObserver* observer) override { observer_ = observer; }

  // MachineControl.
  void send_init(unsigned cpu) override;
  void send_startup(unsigned cpu, uint8_t vector) override;
  void send_nmi(unsigned cpu) override;
  void request_reset() override;
  void request_exit(int status) override;

 private:
  struct Processor {
    std::unique_ptr<CacheHierarchy> caches;  // may be null
    std::unique_ptr<Vcpu<Backend>> mmu;
    std::unique_ptr<MemoryObserver> observer;  // may be null
    std::unique_ptr<Cpu> cpu;
    std::unique_ptr<Interp> interp;
    uint64_t progress = 0;  // instructions at the last exit
    unsigned stuck = 0;     // exits since the last one before which something was executed
    bool init = false;      // it has told itself to stop; it goes on to its next branch or exit
  };

  // DevicePort: device memory.
  uint64_t device_read(Gpa at, unsigned size) override;
  void device_write(Gpa at, unsigned size, uint64_t value) override;
  // TrapEnvironment.
  uint64_t time_stamp(const Cpu& cpu) override;
  uint64_t port_read(Cpu& cpu, uint16_t port, unsigned size) override;
  void port_write(Cpu& cpu, uint16_t port, unsigned size, uint64_t value) override;
  bool hypercall(Cpu& cpu) override;

  /// As INIT does.
  static void stop_processor(Processor& p);
  // machine_run.cc
  /// False: its turn is over, whatever is left of its quantum.
  bool turn(Processor& p, uint64_t budget);
  void pass_turn();
  void note_progress(Processor& p);
  void deliver_pending(Cpu& cpu);
  bool can_run(const Cpu& cpu) const;
  void handle_exit(Processor& p);
  void settle(Cpu& cpu, Emulated what);
  void host_failed(const Cpu& cpu);
  void ended(RunEnd::Reason reason, unsigned cpu, std::string text, int status = 0);
  void tell(const Cpu& cpu, absl::string_view what, unsigned number);
  void note_exit(const Cpu& cpu, uint64_t what);
  uint64_t executed() const;
  uint64_t now() const { return executed() * ns_per_instruction_ + idle_ns_; }
  uint64_t instructions_until(uint64_t ns) const;
  void move_clock() { clock_.advance_to(now()); }

  const MachineOptions options_;
  const uint64_t ns_per_instruction_;
  Clock clock_;
  std::unique_ptr<HostMemory> host_;
  std::unique_ptr<P2m> p2m_;
  std::unique_ptr<GuestMemory> memory_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Board> board_;
  CodeCache code_;
  std::vector<std::unique_ptr<Processor>> processors_;
  LoadedGuest guest_;
  std::unique_ptr<GuestRecorder> recorder_;  // null: nothing is recorded
  MachineObserver* observer_ = nullptr;

  uint64_t instructions_ = 0;  // executed up to the start of the turn
  Cpu* current_ = nullptr;     // whose turn it is
  uint64_t turn_started_ = 0;  // its Cpu::instructions then
  uint64_t idle_ns_ = 0;       // time that no instruction took
  size_t next_turn_ = 0;       // whose turn it is, or will be
  uint64_t quantum_left_ = 0;  // of its quantum; 0: it is to have a whole one
  std::optional<RunEnd> end_;
  uint64_t hash_ = 0;
};

}  // namespace gnomon::vmm

#endif  // VMM_MACHINE_MACHINE_IMPL_H_
