// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_EVENT_H_
#define GNOMON_TRACES_EVENT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

// What a trace holds besides memory operations. One row per kind (event_table) says which fields it uses:
// formats, printing and documents follow from the rows.

namespace gnomon {

enum class EventKind : uint8_t {
  // Who runs.
  kSwitch,  ///< what follows is done by this process and thread (any state before: process 0, thread 0)
  kThread,  ///< this thread of this process starts
  kFork,    ///< this process makes process `value`, a copy of itself
  kExec,    ///< this process starts a new program in an empty address space; text: its command line
  kExit,    ///< this thread ends (flags: 1 = the whole process); value: its status
  // Memory mapping, of the current process. Addresses and lengths in bytes, as the kernel granted them.
  kMap,      ///< flags: MapFlags; file: which file (0: none), value: offset in it; text: its name or what it is
  kUnmap,
  kProtect,  ///< flags: MapFlags, of which the rights count
  kBreak,    ///< the end of the heap is now `address`
  kRemap,    ///< moved or resized: `address`, `length` become `value`, `extra`
  kAdvise,   ///< value: 1 contents dropped, 2 huge pages wanted, 3 huge pages not wanted
  // The kernel at work for the current process.
  kSyscall,      ///< value: its number
  kKernelRead,   ///< it read these bytes of the process
  kKernelWrite,  ///< it wrote these bytes of the process
  // A whole guest's own doings; addresses are guest-physical where said.
  kGuest,       ///< a guest trace starts: physical memory is [0, length); value: CR0, extra: CR4, address: EFER
  kTableWrite,  ///< store of the low `flags` bytes of `value` to guest-physical `address`
  kCr3,         ///< MOV to CR3 of `value`
  kInvlpg,      ///< `address` is guest-virtual
  kInvpcid,     ///< flags: type, value: PCID
  kControls,    ///< value: CR0, extra: CR4, address: EFER
  kTlbOp,       ///< TLB-management instruction; flags: which, value and extra: its operands
  // For the reader of the trace.
  kMark,  ///< flags: 0 a point, 1 a region of interest begins, 2 it ends; text: its name
  // More of a whole guest's doings.
  kTableRead,  ///< load of `flags` bytes by a whole guest from a table at guest-physical `address`
  kClearPage,  ///< the kernel clears the page at guest-physical `address`
  kCopyPage,   ///< the kernel copies the page at guest-physical `value` to the one at `address`
  kStoreValue, ///< a whole guest's store to a page table: `flags` & 15 bytes of `value` (0: it only asks whether it may) at guest-virtual `address`,
               ///< which is guest-physical `extra`, by the user if `flags` & 16
  kContents,   ///< eight bytes of guest memory at guest-physical `address` are `value` from here on, however they came there
  kDevices,    ///< no memory, but devices lie at guest-physical `address`, `length` bytes of them
  kRights,     ///< EFLAGS.AC (`flags`: 0 or 1) and PKRU (`value`, 32 bits) from here on; both are 0 at first
  kCount,
};
inline constexpr size_t kEventKindCount = static_cast<size_t>(EventKind::kCount);

/// Rights and nature of a mapping (TraceEvent::flags).
using MapFlags = uint32_t;
inline constexpr MapFlags kMapRead = 1;
inline constexpr MapFlags kMapWrite = 2;
inline constexpr MapFlags kMapExec = 4;
inline constexpr MapFlags kMapShared = 8;      ///< stores go to the file or to the other processes
inline constexpr MapFlags kMapStack = 16;      ///< grows down on its own
inline constexpr MapFlags kMapHuge = 32;       ///< huge pages asked for
inline constexpr MapFlags kMapPopulate = 64;   ///< all pages wanted at once

struct TraceEvent {
  EventKind kind = EventKind::kMark;
  uint32_t process = 0;  ///< numbered from 0 in order of appearance, not by the system's own numbers
  uint32_t thread = 0;   ///< likewise, within the process
  uint32_t flags = 0;
  uint64_t address = 0;
  uint64_t length = 0;
  uint64_t value = 0;
  uint64_t extra = 0;
  uint64_t file = 0;  ///< the same number is the same file in the whole trace
  std::string text;
  friend bool operator==(const TraceEvent&, const TraceEvent&) = default;
};

/// Fields of TraceEvent, as bits.
using EventFields = uint16_t;
inline constexpr EventFields kFieldProcess = 1 << 0;
inline constexpr EventFields kFieldThread = 1 << 1;
inline constexpr EventFields kFieldFlags = 1 << 2;
inline constexpr EventFields kFieldAddress = 1 << 3;
inline constexpr EventFields kFieldLength = 1 << 4;
inline constexpr EventFields kFieldValue = 1 << 5;
inline constexpr EventFields kFieldExtra = 1 << 6;
inline constexpr EventFields kFieldFile = 1 << 7;
inline constexpr EventFields kFieldText = 1 << 8;

struct EventInfo {
  EventKind kind;
  absl::string_view name;  ///< snake_case, stable
  EventFields fields;      ///< those that carry meaning; the others are 0
  absl::string_view description;
};
/// The rows, in the order of the enumeration.
const std::array<EventInfo, kEventKindCount>& event_table();
inline const EventInfo& info(EventKind kind) { return event_table()[static_cast<size_t>(kind)]; }

/// Longest text of an event; longer ones are cut by writers and refused by readers.
inline constexpr size_t kMaxEventText = 4096;

}  // namespace gnomon

#endif  // GNOMON_TRACES_EVENT_H_
