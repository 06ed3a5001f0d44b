// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_X86_CONTROLS_H_
#define GNOMON_X86_CONTROLS_H_

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "gnomon/base/address.h"

namespace gnomon {

namespace cr0 {
inline constexpr uint64_t kPE = 1u << 0;
inline constexpr uint64_t kWP = 1u << 16;
inline constexpr uint64_t kPG = 1u << 31;
}  // namespace cr0

namespace cr3 {
inline constexpr uint64_t kPcidMask = 0xfff;               ///< when CR4.PCIDE = 1
inline constexpr uint64_t kNoFlush = uint64_t{1} << 63;    ///< operand of MOV to CR3 only; not stored
}  // namespace cr3

namespace cr4 {
inline constexpr uint64_t kPSE = 1u << 4;
inline constexpr uint64_t kPAE = 1u << 5;
inline constexpr uint64_t kPGE = 1u << 7;
inline constexpr uint64_t kLA57 = 1u << 12;
inline constexpr uint64_t kPCIDE = 1u << 17;
inline constexpr uint64_t kSMEP = 1u << 20;
inline constexpr uint64_t kSMAP = 1u << 21;
inline constexpr uint64_t kPKE = 1u << 22;
}  // namespace cr4

namespace efer {
inline constexpr uint64_t kLME = 1u << 8;
inline constexpr uint64_t kLMA = 1u << 10;
inline constexpr uint64_t kNXE = 1u << 11;
}  // namespace efer

/// The registers of one vCPU that decide how a linear address is translated (SDM vol. 3, 4.1).
struct Controls {
  uint64_t cr0 = 0;
  uint64_t cr3 = 0;
  uint64_t cr4 = 0;
  uint64_t efer = 0;
  uint32_t pkru = 0;
  bool ac = false;  ///< EFLAGS.AC: lifts SMAP from explicit supervisor accesses
  /// PDPTE registers of PAE paging, loaded from memory by `load_pdptes` (SDM 4.4.1).
  std::array<uint64_t, 4> pdpte{};

  friend bool operator==(const Controls&, const Controls&) = default;
};

/// What differs between processor models.
struct CpuModel {
  uint8_t maxphyaddr = 46;  ///< 32 to 52
  bool pse36 = true;        ///< 4M pages reach physical addresses up to 2^40 (or maxphyaddr)
  bool gb_pages = true;     ///< 1G leaves
  /// Upper-level entries get their accessed flag as the walk passes them, even if it faults further down.
  /// Processors may do either (SDM 4.8); software MMUs usually set all flags after a walk succeeded.
  bool accessed_before_fault = true;
  /// AMD processors under nested paging read a PAE guest's PDPTEs from memory on each walk instead of
  /// from registers (APM vol. 2, 15.25.10).
  bool pdptes_in_memory = false;

  friend bool operator==(const CpuModel&, const CpuModel&) = default;
};

enum class PagingMode : uint8_t { kOff, kLegacy32, kPae, kLevel4, kLevel5 };

/// The mode that the registers select. With CR0.PG = 1: PAE = 0 gives 32-bit paging; PAE = 1 gives PAE
/// paging, or 4/5-level paging when EFER.LMA = 1.
PagingMode paging_mode(const Controls& c);
absl::string_view name_of(PagingMode mode);

/// The physical address of the root table that CR3 names in `mode`.
Gpa root_of(const Controls& c, PagingMode mode);
/// The current process-context identifier: 0 unless CR4.PCIDE.
inline uint16_t pcid_of(const Controls& c) {
  return (c.cr4 & cr4::kPCIDE) != 0 ? static_cast<uint16_t>(c.cr3 & cr3::kPcidMask) : uint16_t{0};
}

}  // namespace gnomon

#endif  // GNOMON_X86_CONTROLS_H_
