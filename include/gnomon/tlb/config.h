// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TLB_CONFIG_H_
#define GNOMON_TLB_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gnomon/base/units.h"
#include "gnomon/x86/access.h"

// A TLB hierarchy as data. Rules that the data cannot show:
//
// - Index: set = (address bits 56 down to the page offset) mod sets; any number of sets.
// - Sizes that share a structure share its entries; the structure is searched once per size.
// - A size may be given fewer ways than the structure has: it then uses the first so many ways of each
//   set, and the others are for the remaining sizes (how this project reads CPUID leaves that report
//   different associativities for the sizes of one array, as AMD's do).
// - Structures of one level that serve the same operation with the same page size are banks: a page
//   belongs to bank (vpn / sets of the first bank) mod banks, and is looked up only there.
// - A page larger than what a level holds is kept as the largest piece around the address that it does.

namespace gnomon {

/// Which operations a structure serves.
using TlbServes = uint8_t;
inline constexpr TlbServes kServeLoad = 1u << static_cast<unsigned>(AccessOp::kRead);
inline constexpr TlbServes kServeStore = 1u << static_cast<unsigned>(AccessOp::kWrite);
inline constexpr TlbServes kServeFetch = 1u << static_cast<unsigned>(AccessOp::kFetch);
inline constexpr TlbServes kServeData = kServeLoad | kServeStore;
inline constexpr TlbServes kServeAll = kServeData | kServeFetch;

/// Which entry of a full set makes room. An invalid way, lowest first, is always taken before any.
enum class Replacement : uint8_t {
  kLru,       ///< least recently used
  kTreePlru,  ///< a binary tree of bits over the ways (at most 64)
  kFifo,      ///< oldest fill
  kRandom,    ///< seeded: the same accesses give the same victims
};
absl::string_view name_of(Replacement replacement);

struct TlbSize {
  PageSize size = PageSize::k4K;  ///< 4K, 2M or 1G
  uint32_t ways = 0;              ///< at most this many of the structure's ways; 0: all
};

struct TlbStructureConfig {
  std::string name;  ///< as in reports: "L1D 4K"
  uint8_t level = 1;
  TlbServes serves = kServeAll;
  uint32_t entries = 64;
  /// 0: fully associative. A search looks at 16 ways in one step, at none where the page is in no structure.
  uint32_t ways = 0;
  std::vector<TlbSize> sizes = {{PageSize::k4K, 0}};
  Replacement replacement = Replacement::kLru;
  /// Entries carry the PCID and the machine's number (VPID). An untagged structure loses what is
  /// not global whenever the PCID changes, and everything when the machine does.
  bool tagged = true;
  uint64_t seed = 1;  ///< of kRandom
};

struct TlbConfig {
  static constexpr size_t kMaxStructures = 16;
  static constexpr uint32_t kMaxEntries = 1u << 16;  ///< of one structure

  std::vector<TlbStructureConfig> structures;  ///< none: every access walks

  /// InvalidArgument names the structure and what is wrong with it.
  absl::Status validate() const;
};

/// Geometry of one walk cache; zero entries turn it off. Replacement is LRU.
struct WalkCacheGeometry {
  uint32_t entries = 0;
  uint32_t ways = 0;  ///< 0: fully associative
};

/// Paging-structure caches by level of the entry they hold: [2] holds entries of page directories
/// (which point to page tables), up to [5]. Indices 0 and 1 are unused.
struct WalkCacheConfig {
  static constexpr uint32_t kMaxEntries = 1u << 16;

  WalkCacheGeometry guest[6];
  WalkCacheGeometry host[6];  ///< of EPT or NPT walks
  WalkCacheGeometry nested;   ///< guest-physical page to host-physical page (NTLB)

  bool any() const;  ///< has any cache at all
  absl::Status validate() const;
};

}  // namespace gnomon

#endif  // GNOMON_TLB_CONFIG_H_
