// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_VMM_EXITS_H_
#define GNOMON_VMM_EXITS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

// How often guest code ended up in the VMM, by what it did. Exits of the MMU (page faults, trapped
// table writes) have counters of their own: gnomon/base/counters.h.

namespace gnomon::vmm {

enum class ExitClass : uint8_t {
  kControl,
  kDebugRegister,
  kInvalidate,
  kCache,
  kMsr,
  kPort,
  kPortString,
  kHalt,
  kCpuid,
  kTime,
  kInterruptFlag,
  kFlags,
  kSoftwareInterrupt,
  kInterruptReturn,
  kSystemCall,
  kSystemReturn,
  kSegmentBase,
  kDescriptorTable,
  kDescriptorQuery,
  kSegmentLoad,
  kFarTransfer,
  kKeys,
  kHypercall,
  kUndefined,
  kFault,
  kTrap,
  kInterrupt,
  kCount,
};
inline constexpr size_t kExitClassCount = static_cast<size_t>(ExitClass::kCount);

struct ExitClassInfo {
  ExitClass id;
  absl::string_view name;  ///< snake_case, stable
  absl::string_view description;
};
/// The rows, in the order of the enumeration.
const std::array<ExitClassInfo, kExitClassCount>& exit_class_table();

/// One set of counts; each processor has its own.
class ExitCounts {
 public:
  uint64_t& operator[](ExitClass c) { return values_[static_cast<size_t>(c)]; }
  uint64_t operator[](ExitClass c) const { return values_[static_cast<size_t>(c)]; }
  uint64_t total() const {
    uint64_t sum = 0;
    for (const uint64_t v : values_) sum += v;
    return sum;
  }
  ExitCounts& operator+=(const ExitCounts& other) {
    for (size_t i = 0; i < kExitClassCount; ++i) values_[i] += other.values_[i];
    return *this;
  }

 private:
  std::array<uint64_t, kExitClassCount> values_{};
};

}  // namespace gnomon::vmm

#endif  // GNOMON_VMM_EXITS_H_
