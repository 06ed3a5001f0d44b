// SPDX-License-Identifier: Apache-2.0
#include "traces/replay/guest_log.h"

namespace gnomon {

static_assert(static_cast<int>(AccessOp::kRead) == 0 && static_cast<int>(AccessOp::kWrite) == 1 &&
              static_cast<int>(AccessOp::kFetch) == 2);

void GuestLog::switch_to(unsigned cpu) {
  if (cpu == cpu_) return;
  cpu_ = cpu;
  TraceEvent event;
  event.kind = EventKind::kSwitch;
  event.thread = cpu;
  add_event(std::move(event));
}

void GuestLog::add_event(TraceEvent event) {
  batch_.records.push_back({Gva(batch_.events.size()), 0, RecordKind::kEvent, false});
  batch_.events.push_back(std::move(event));
  if (batch_.records.size() >= kBatch) write_out();
}

void GuestLog::write_out() {
  if (status_.ok()) status_ = writer_.write(batch_.records, batch_.events);
  batch_.records.clear();
  batch_.events.clear();
}

}  // namespace gnomon
