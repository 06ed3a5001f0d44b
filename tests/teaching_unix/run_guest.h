// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_TEACHING_UNIX_RUN_GUEST_H_
#define TESTS_TEACHING_UNIX_RUN_GUEST_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gnomon/vmm/machine.h"

namespace gnomon::vmm {

inline constexpr absl::string_view kAllBackends[] = {"native", "shadow", "vtlb",
                                                     "nested", "npt",    "agile"};

/// What is seen of a guest's run from outside: the same, whatever virtualizes its memory.
struct Seen {
  std::string console;
  std::vector<std::string> screen;
  RunEnd::Reason end = RunEnd::Reason::kLimit;
  int status = 0;
  uint64_t instructions = 0;
  uint64_t trace_hash = 0;
  uint64_t memory_hash = 0;
  bool operator==(const Seen&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Seen& s);

/// A guest with this image (empty format: by content) and disks on the board pc; `typed` goes to
/// its serial port, a byte in 10000 instructions. Ends at the latest after `most` instructions. A
/// guest that does not start: a console that says why.
Seen run_guest(const MachineOptions& options, absl::string_view typed, uint64_t most);

/// Where the build puts guest programs; a file there.
std::string guest_file(absl::string_view name);

}  // namespace gnomon::vmm

#endif  // TESTS_TEACHING_UNIX_RUN_GUEST_H_
