// SPDX-License-Identifier: Apache-2.0
#include "tests/teaching_unix/run_guest.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kTypingSlice = 10'000;
constexpr uint64_t kSlice = 1'000'000;

}  // namespace

std::ostream& operator<<(std::ostream& out, const Seen& s) {
  return out << "end " << static_cast<int>(s.end) << ", status " << s.status << ", instructions "
             << s.instructions << ", hashes " << s.trace_hash << " " << s.memory_hash
             << ", console:\n"
             << s.console;
}

Seen run_guest(const MachineOptions& wanted, absl::string_view typed, uint64_t most) {
  Seen seen;
  MachineOptions options = wanted;
  options.board.console_output = [&](absl::string_view bytes) {
    seen.console.append(bytes.data(), bytes.size());
  };
  auto machine = Machine::create(options);
  if (!machine.ok()) {
    seen.console = machine.status().ToString();
    return seen;
  }
  for (uint64_t run = 0; run < most;) {
    const uint64_t slice = std::min(typed.empty() ? kSlice : kTypingSlice, most - run);
    const RunEnd end = (*machine)->run(slice);
    seen.end = end.reason;
    seen.status = end.status;
    if (end.reason != RunEnd::Reason::kLimit) break;
    run += slice;
    typed.remove_prefix((*machine)->board().console_input(typed.substr(0, 1)));
  }
  seen.screen = (*machine)->board().text_screen((*machine)->memory());
  seen.instructions = (*machine)->instructions();
  seen.trace_hash = (*machine)->trace_hash();
  seen.memory_hash = (*machine)->memory_hash();
  return seen;
}

std::string guest_file(absl::string_view name) {
  // The tool lies in the build's folder tools.
  const std::string tool = GNOMON_TEST_TOOL;
  return absl::StrCat(tool.substr(0, tool.rfind('/')), "/../guests/", name);
}

}  // namespace gnomon::vmm
