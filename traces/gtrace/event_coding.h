// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_EVENT_CODING_H_
#define TRACES_GTRACE_EVENT_CODING_H_

#include <string>

#include "gnomon/traces/event.h"
#include "traces/gtrace/coding.h"

namespace gnomon::gtrace {

/// An event is its kind, then each field that event_table() gives the kind, in the order of the
/// bits; as varints, a text as its length and its bytes. Fields that the kind does not have are not
/// kept.
void put_event(std::string& to, const TraceEvent& event);
/// Returns what is wrong; empty if nothing.
absl::string_view get_event(Cursor& from, TraceEvent& event);

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_EVENT_CODING_H_
