// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_MONITOR_CONTEXT_H_
#define VMM_MONITOR_CONTEXT_H_

#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/vmm/monitor.h"
#include "vmm/monitor/guest_view.h"

namespace gnomon::vmm {

/// What commands share.
struct MonitorContext {
  explicit MonitorContext(Machine& m) : machine(m) {}

  GuestView view() const { return {machine, cpu}; }

  Machine& machine;
  unsigned cpu = 0;
  std::set<uint64_t> breakpoints;  ///< linear addresses
  MonitorAnswer::Then then = MonitorAnswer::Then::kStay;
  std::optional<RunEnd> end;
};

/// A command: what it answers, or what is wrong with `arguments`.
struct MonitorCommand {
  absl::string_view name;   ///< one word; of a row of info_commands, the word after `info`
  absl::string_view alias;  ///< another, or empty
  absl::string_view arguments;
  absl::string_view description;
  absl::StatusOr<std::string> (*run)(MonitorContext& context, absl::string_view arguments);
};
absl::Span<const MonitorCommand> monitor_commands();
absl::Span<const MonitorCommand> info_commands();

/// A number: decimal, or hexadecimal with 0x; $register of the processor (`$rip`, `$eip` and `$pc`:
/// where it is as a linear address); or a sum, difference or product of such, with parentheses.
/// Arithmetic is modulo 2^64.
absl::StatusOr<uint64_t> evaluate(const MonitorContext& context, absl::string_view expression);

/// Cuts the first word off a text.
absl::string_view take_word(absl::string_view& text);
/// InvalidArgument if there is any.
absl::Status no_arguments(absl::string_view arguments);

// The longer answers, each in a file of its own.
std::string registers_like_qemu(MonitorContext& context, unsigned cpu);
absl::StatusOr<std::string> list_pages(MonitorContext& context, absl::string_view arguments);
absl::StatusOr<std::string> list_ranges(MonitorContext& context, absl::string_view arguments);
absl::StatusOr<std::string> dump_virtual(MonitorContext& context, absl::string_view arguments);
absl::StatusOr<std::string> dump_physical(MonitorContext& context, absl::string_view arguments);
absl::StatusOr<std::string> shadow_text(MonitorContext& context, absl::string_view arguments);
/// `count` instructions from a linear address on, a line each.
std::string disassemble(MonitorContext& context, uint64_t linear, unsigned count);

}  // namespace gnomon::vmm

#endif  // VMM_MONITOR_CONTEXT_H_
