// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_HOSTILE_GUEST_GUEST_H_
#define TESTS_HOSTILE_GUEST_GUEST_H_

#include <string>
#include <utility>
#include <vector>

#include "gnomon/vmm/machine.h"
#include "tests/hostile_guest/choices.h"

// Guests that mean harm, or nothing: random code with random registers, tables and descriptors.

namespace gnomon::vmm::hostile {

enum class Mode : uint8_t { kReal, k32, kPae, k64 };

struct Guest {
  Mode mode = Mode::kReal;
  CpuState cpu;
  Controls controls;
  std::vector<std::pair<uint64_t, std::vector<uint8_t>>> memory;  ///< where, and what
  /// The code cannot write to the page tables unless it changes a control register: they are mapped
  /// nowhere.
  bool tables_out_of_reach = false;
};

Guest make_guest(Choices& choices);

/// What came of it.
struct Result {
  RunEnd end;
  std::string wrong;  ///< empty, or what must not be
  uint64_t trace_hash = 0;
  uint64_t memory_hash = 0;
  uint64_t instructions = 0;
  bool wrote_controls = false;  ///< MOV to CR0, CR3, CR4 or relatives
};

/// Runs it for at most so many instructions under that backend, with an audit at each exit if
/// `audit`. Frames of the host that are not the guest's must stay as they are.
Result run(const Guest& guest, absl::string_view backend, uint64_t instructions, bool audit);

/// All ways to virtualize its memory, native first.
const std::vector<std::string>& backends();

}  // namespace gnomon::vmm::hostile

#endif  // TESTS_HOSTILE_GUEST_GUEST_H_
