// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_GDB_SESSION_H_
#define VMM_GDB_SESSION_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "gnomon/vmm/machine.h"
#include "gnomon/vmm/monitor.h"

namespace gnomon::vmm::gdb {

/// What one debugger wants of a machine: the meaning of packets, without their way over the wire.
/// Processors are threads, number 0 is thread 1.
class Session {
 public:
  /// `machine` must outlive the session. `wide`: the target description is that of x86-64.
  Session(Machine& machine, bool wide);
  /// Its breakpoints go.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  enum class State : uint8_t { kStopped, kRunning, kDetached, kKilled };
  State state() const { return state_; }
  /// Does the client want packets to go unacknowledged from now on?
  bool no_acks() const { return no_acks_; }
  /// The machine found nothing to do in the last slice.
  bool idle() const { return idle_; }

  /// The payloads to answer with: one, or none for a packet that lets the machine run.
  std::vector<std::string> handle(absl::string_view packet);
  /// The user's Ctrl-C.
  std::vector<std::string> interrupt();
  /// Lets the machine run for at most so many instructions, in the state kRunning. True: the
  /// machine has ended; `end` says how.
  bool run(uint64_t instructions, RunEnd& end, std::vector<std::string>& packets);
  /// The packet that tells of the end.
  static std::string ending(const RunEnd& end);

 private:
  using Packets = std::vector<std::string>;

  Packets query(absl::string_view packet);
  Packets transfer(absl::string_view packet);
  Packets monitor_command(absl::string_view hex);
  Packets verbose(absl::string_view packet);
  Packets resume(absl::string_view actions);
  Packets resume_one(absl::string_view packet, bool step);
  Packets choose_thread(absl::string_view packet);
  Packets breakpoint(absl::string_view packet);
  std::string read_memory(absl::string_view packet);
  std::string write_memory(absl::string_view packet, bool binary);
  std::string all_registers();
  std::string set_all_registers(absl::string_view hex);
  std::string one_register(absl::string_view packet);
  std::string set_one_register(absl::string_view packet);

  enum class Action : uint8_t { kStay, kStep, kContinue };
  bool step(unsigned cpu, uint64_t instructions, RunEnd& end);
  bool step_some(uint64_t instructions, RunEnd& end);
  bool at_breakpoint(unsigned cpu) const;
  std::string stop(unsigned cpu, absl::string_view signal, bool of_breakpoint = false);
  bool settle(const RunEnd& end, RunEnd& out, Packets& packets);
  bool valid_thread(uint64_t id) const { return id >= 1 && id <= machine_.cpus(); }

  Machine& machine_;
  Monitor monitor_;
  const bool wide_;
  State state_ = State::kStopped;
  bool no_acks_ = false;
  bool idle_ = false;
  bool says_swbreak_ = false;
  unsigned cpu_ = 0;      // of registers and memory
  unsigned control_ = 0;  // of s and c
  bool control_all_ = true;
  unsigned stopped_ = 0;  // who stopped last
  std::vector<Action> actions_;
  std::set<uint64_t> breakpoints_[2];  // software, hardware
  std::optional<RunEnd> fatal_;        // the machine cannot go on, but can be looked at
};

}  // namespace gnomon::vmm::gdb

#endif  // VMM_GDB_SESSION_H_
