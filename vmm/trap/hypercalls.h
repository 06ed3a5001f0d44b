// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_TRAP_HYPERCALLS_H_
#define VMM_TRAP_HYPERCALLS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/strings/string_view.h"
#include "gnomon/vmm/board.h"
#include "vmm/cpu/cpu.h"

// What a guest's kernel asks of the VMM by VMCALL or VMMCALL: docs/hypercalls.md.
//
//  1. Nothing that a guest passes makes a call fault: what is wrong is an error in RAX.
//  2. Operands are read before anything is done, through the guest's own tables, with the rights of
//  its kernel, and from RAM
//     only: no device sees such a read.
//  3. A call is one instruction, with bounded work.

namespace gnomon::vmm::trap {

enum class Hypercall : uint8_t {
  kFeatures,
  kMmuUpdate,
  kSetCr3,
  kInvalidate,
  kConsoleWrite,
  kExit,
  kCount,
};
inline constexpr uint32_t kHypercallCount = static_cast<uint32_t>(Hypercall::kCount);
inline constexpr uint32_t kHypercallVersion = 1;

struct HypercallInfo {
  Hypercall id;
  absl::string_view name;  ///< snake_case, stable
  absl::string_view description;
};
/// The rows, in the order of the enumeration, which is that of the numbers.
const std::array<HypercallInfo, kHypercallCount>& hypercall_table();

/// Answers in RAX, besides 0. The numbers are those that Unix systems give these errors.
namespace hypercall_error {
inline constexpr int64_t kRefused = -1;  ///< EPERM: the backend refuses the tables or the entry
inline constexpr int64_t kTooMany = -7;  ///< E2BIG: a count or length over the limit
inline constexpr int64_t kBadPointer =
    -14;  ///< EFAULT: not all of the operand is RAM that the kernel may read
inline constexpr int64_t kInvalid = -22;     ///< EINVAL: a value that makes no sense
inline constexpr int64_t kNoSuchCall = -38;  ///< ENOSYS
}  // namespace hypercall_error

/// CPUID.40000001H:EAX, and what call 0 says.
namespace hypercall_feature {
inline constexpr uint32_t kCalls = 1u << 0;  ///< the calls of version 1 are there
inline constexpr uint32_t kValidates =
    1u << 1;  ///< tables are validated: the guest must use the calls
}  // namespace hypercall_feature
uint32_t hypercall_features(const Cpu& cpu);

inline constexpr uint64_t kMostUpdates = 512;        ///< of one mmu_update
inline constexpr uint64_t kMostConsoleBytes = 4096;  ///< of one console_write

/// The number of the call that is being made.
uint64_t hypercall_number(const Cpu& cpu);
/// Of any number: "unknown" if there is no such call.
absl::string_view hypercall_name(uint64_t number);

/// Makes the call that the registers name, at level 0. `console` may be empty.
void do_hypercall(Cpu& cpu, MachineControl& machine,
                  const std::function<void(absl::string_view)>& console);

}  // namespace gnomon::vmm::trap

#endif  // VMM_TRAP_HYPERCALLS_H_
