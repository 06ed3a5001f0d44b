// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_NESTED_FLAVOURS_H_
#define MMU_NESTED_FLAVOURS_H_

#include "gnomon/nested/format_ept.h"
#include "gnomon/x86/format_long.h"

// What tells EPT from NPT, and nothing more.

namespace gnomon {

/// Physical addresses of the host: HostMemory ends at 2^46.
inline constexpr unsigned kHostAddressBits = 47;

template <unsigned Levels, bool AccessedDirty>
struct Ept {
  using Format = EptFormat<Levels, AccessedDirty>;
  static constexpr absl::string_view kName = "nested";
  /// How the host's tables see a read of a guest table: as a write when EPT has accessed and dirty flags
  /// (SDM vol. 3, 29.3.3.2 and 29.3.5).
  static constexpr AccessOp kTableRead = AccessedDirty ? AccessOp::kWrite : AccessOp::kRead;
  static constexpr uint64_t kWriteBit = ept::kWrite;
  static constexpr PagingRules kRules = ept_rules(kHostAddressBits);
};

template <unsigned Levels>
struct Npt {
  using Format = LongFormat<Levels>;
  static constexpr absl::string_view kName = "npt";
  /// Always a write (APM vol. 2, 15.25.5).
  static constexpr AccessOp kTableRead = AccessOp::kWrite;
  static constexpr uint64_t kWriteBit = pte::kWritable;
  /// Every access is a user access to the host's tables (APM vol. 2, 15.25.5).
  static inline const PagingRules kRules = [] {
    // The host's own paging mode.
    Controls host;
    host.cr0 = cr0::kPE | cr0::kPG | cr0::kWP;
    host.cr4 = cr4::kPAE | (Levels == 5 ? cr4::kLA57 : 0);
    host.efer = efer::kLME | efer::kLMA | efer::kNXE;
    CpuModel cpu;
    cpu.maxphyaddr = kHostAddressBits;
    return derive_rules(host, cpu);
  }();
};

}  // namespace gnomon

#endif  // MMU_NESTED_FLAVOURS_H_
