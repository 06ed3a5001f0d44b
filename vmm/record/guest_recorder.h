// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_RECORD_GUEST_RECORDER_H_
#define VMM_RECORD_GUEST_RECORDER_H_

#include <memory>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/vcpu_state.h"
#include "gnomon/vmm/board.h"
#include "traces/replay/guest_log.h"
#include "vmm/cpu/observer.h"

// Writes what the processors of a machine do as a trace of a whole guest (docs/gtrace.md), which
// replays to the same counts.
//
// A replay needs the contents of page tables and of nothing else. So the guest's tables are walked
// here before each access; a frame that is met as a table for the first time is written down as it
// is, and from then on each store to it.

namespace gnomon::vmm {

class GuestRecorder {
 public:
  /// All must outlive the recorder.
  GuestRecorder(TraceWriter& writer, P2m& p2m) : p2m_(p2m), log_(writer) {}

  /// The machine before its processors are reset: memory and devices.
  void start(uint64_t memory_bytes, const std::vector<MemoryRange>& devices);
  /// Before the first instruction: which frames are in use.
  void loaded(uint64_t memory_bytes);
  /// What a processor tells of itself goes there. `cpu` is its state.
  std::unique_ptr<MemoryObserver> observe(unsigned number, VcpuState& cpu);
  /// Writes what is held back; the first error there was.
  absl::Status flush() { return log_.flush(); }

 private:
  class Processor;
  void event(unsigned cpu, EventKind kind, uint64_t address, uint64_t value, uint64_t extra = 0,
             uint32_t flags = 0, uint64_t length = 0);
  void note_table(unsigned cpu, Gpa table);

  P2m& p2m_;
  GuestLog log_;
  absl::flat_hash_set<uint64_t> tables_;  // frame numbers
};

}  // namespace gnomon::vmm

#endif  // VMM_RECORD_GUEST_RECORDER_H_
