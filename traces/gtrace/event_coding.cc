// SPDX-License-Identifier: Apache-2.0
#include "traces/gtrace/event_coding.h"

#include <algorithm>

namespace gnomon::gtrace {
namespace {

struct Field {
  EventFields bit;
  uint32_t TraceEvent::*narrow;
  uint64_t TraceEvent::*wide;
};
constexpr Field kNumbers[] = {
    {kFieldProcess, &TraceEvent::process, nullptr}, {kFieldThread, &TraceEvent::thread, nullptr},
    {kFieldFlags, &TraceEvent::flags, nullptr},     {kFieldAddress, nullptr, &TraceEvent::address},
    {kFieldLength, nullptr, &TraceEvent::length},   {kFieldValue, nullptr, &TraceEvent::value},
    {kFieldExtra, nullptr, &TraceEvent::extra},     {kFieldFile, nullptr, &TraceEvent::file},
};

}  // namespace

void put_event(std::string& to, const TraceEvent& event) {
  put_varint(to, static_cast<uint64_t>(event.kind));
  const EventFields fields = info(event.kind).fields;
  for (const Field& field : kNumbers) {
    if ((fields & field.bit) == 0) continue;
    put_varint(to, field.narrow != nullptr ? event.*field.narrow : event.*field.wide);
  }
  if ((fields & kFieldText) == 0) return;
  const size_t length = std::min(event.text.size(), kMaxEventText);
  put_varint(to, length);
  to.append(event.text, 0, length);
}

absl::string_view get_event(Cursor& from, TraceEvent& event) {
  event = TraceEvent();
  const uint64_t kind = from.varint();
  if (kind >= kEventKindCount) return "an event of a kind that is not known";
  event.kind = static_cast<EventKind>(kind);
  const EventFields fields = info(event.kind).fields;
  for (const Field& field : kNumbers) {
    if ((fields & field.bit) == 0) continue;
    if (field.narrow != nullptr) {
      event.*field.narrow = static_cast<uint32_t>(from.varint_up_to(~uint32_t{0}));
    } else {
      event.*field.wide = from.varint();
    }
  }
  if ((fields & kFieldText) != 0) {
    event.text = std::string(from.bytes(from.varint_up_to(kMaxEventText)));
  }
  return from.ok() ? "" : "an event is cut off, or a field of it is out of range";
}

}  // namespace gnomon::gtrace
