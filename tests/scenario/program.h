// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SCENARIO_PROGRAM_H_
#define TESTS_SCENARIO_PROGRAM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// What a guest and its host do, step by step, as data: the differential tester draws such programs
// at random, the minimiser deletes steps from them, and files in tests/differential/programs keep
// those that once found a bug. The text form is one step a line:
//
//   machine cpus=2 strict=1 large_backing=1
//   store cpu=0 at=0x1000 value=0x2067 size=8
//   mode cpu=0 mode=4-level cr3=0x1000
//   access cpu=0 kind=user-write va=0x1000 value=0x5a size=8
//
// A line may end in a # comment. A step that the processor would refuse (a reserved bit in a PDPTE,
// say) does nothing, so that any subset of a program is a program.

namespace gnomon::scenario {

enum class Verb : uint8_t {
  kStore,   ///< the guest writes memory, as its kernel does through a mapping of all memory
  kAccess,  ///< the guest uses a linear address; a write stores `value`
  kCr3,     ///< MOV to CR3
  kSet,     ///< one control bit becomes 0 or 1
  kPkru,
  kMode,  ///< paging off, then on again in another mode
  kInvlpg,
  kInvpcid,
  kRemap,
  kBalloon,
  kDeflate,
  kSplit,
  kPromote,  ///< host changes of one guest frame
  kPlug,
  kUnplug,  ///< the extra slot appears, goes
  kLogStart,
  kLogTake,
  kLogStop,  ///< dirty log of `frames` from `at`
  kReclaim,  ///< the host takes back all cached tables
  kCount,
};

/// One step. Which members count depends on the verb: see the table in program.cc.
struct Action {
  Verb verb = Verb::kReclaim;
  uint8_t cpu = 0;
  uint8_t choice = 0;  ///< access kind, control bit, mode, INVPCID type
  uint8_t size = 0;
  bool flag = false;
  uint64_t address = 0;
  uint64_t value = 0;
  friend bool operator==(const Action&, const Action&) = default;
};

enum class ControlBit : uint8_t { kWp, kPse, kPge, kPcide, kSmep, kSmap, kPke, kNxe, kAc, kCount };

/// The machine that a program runs on.
struct Setup {
  uint8_t cpus = 1;
  /// Strict: the runner flushes on every vCPU what the architecture requires to be flushed, so that
  /// each answer must be exact. Careless: only the program flushes, and answers from before that
  /// are allowed.
  bool strict = true;
  bool large_backing = false;  ///< the big slot is backed with 2M host pages
  bool scattered = false;      ///< host frames at random places
  bool eager = false;          ///< host frames at once, not on first touch
  bool late_accessed = false;  ///< CpuModel::accessed_before_fault off
  uint8_t maxphyaddr = 46;
  bool pse36 = true;
  bool gb_pages = true;
  bool pdptes_in_memory = false;
  friend bool operator==(const Setup&, const Setup&) = default;
};

struct Program {
  Setup setup;
  std::vector<Action> actions;
  friend bool operator==(const Program&, const Program&) = default;
};

std::string to_string(const Action& action);
std::string to_string(const Program& program);
/// Errors: InvalidArgument with the line number and what was expected.
absl::StatusOr<Program> parse_program(absl::string_view text);

// The guest-physical map of every machine.
inline constexpr uint64_t kFrame = 4096;
inline constexpr uint64_t kRamFrames = 64;  ///< from 0
inline constexpr uint64_t kRomBase = 0x50000;
inline constexpr uint64_t kRomFrames = 2;
inline constexpr uint64_t kMmioBase = 0x60000;  ///< one frame
inline constexpr uint64_t kPlugBase = 0x80000;  ///< absent until plugged in
inline constexpr uint64_t kPlugFrames = 8;
inline constexpr uint64_t kBigBase = 0x400000;  ///< 4M, for large pages
inline constexpr uint64_t kBigFrames = 1024;
inline constexpr uint64_t kHole = 0x70000;  ///< never anything

}  // namespace gnomon::scenario

#endif  // TESTS_SCENARIO_PROGRAM_H_
