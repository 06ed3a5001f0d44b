// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_CACHE_HIERARCHY_H_
#define GNOMON_CACHE_HIERARCHY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/base/address.h"
#include "gnomon/base/load_ahead.h"

// The data caches that page walks and data accesses share: physically indexed, inclusive of nothing,
// LRU. Only where a line is found matters; there are no write-backs and no coherence.

namespace gnomon {

struct CacheLevelConfig {
  uint32_t bytes = 0;  ///< a multiple of ways * 64, at most kMaxCacheBytes; any number of sets
  uint32_t ways = 8;   ///< bytes / 64: fully associative
};
inline constexpr uint32_t kCacheLineBytes = 64;
inline constexpr uint32_t kMaxCacheBytes = 1u << 30;

struct CacheConfig {
  /// L1D, L2, last level; bytes 0: the level is not there.
  std::array<CacheLevelConfig, 3> levels{};
  /// InvalidArgument names the level and what is wrong with it.
  absl::Status validate() const;
};

/// Where a reference found its line.
enum class CacheHit : uint8_t { kL1, kL2, kLast, kMemory };
inline constexpr size_t kCacheHitCount = 4;

struct CacheStats {
  /// By CacheHit: references of page walks by dimension (guest, host, shadow tables), and data.
  std::array<uint64_t, kCacheHitCount> guest{}, host{}, shadow{}, data{};
};

/// Not thread-safe: each vCPU has its own.
class CacheHierarchy {
 public:
  explicit CacheHierarchy(const CacheConfig& config);  ///< which must be valid
  /// Looks the line of `at` up, level by level, and puts it into those it was not in. A level below the
  /// one that has it is not asked, and does not learn of the use.
  CacheHit reference(Hpa at);
  void data(Hpa at) { ++stats.data[static_cast<size_t>(reference(at))]; }
  /// Brings what `reference` will look at below the first level into our own processor's caches.
  void load_ahead(Hpa at) const {
    const uint64_t line = at.value() / kCacheLineBytes;
    for (size_t i = 1; i < levels_.size(); ++i) {
      const uint64_t* const set = set_of(levels_[i], line);
      for (uint32_t way = 0; way < levels_[i].ways; way += kWaysInLine) gnomon::load_ahead(set + way);
    }
  }
  /// Empties the caches and zeroes `stats`.
  void clear();

  CacheStats stats;

 private:
  struct Level {
    std::vector<uint64_t> lines;  // line number + 1 or 0, set after set, most recently used first
    uint64_t sets;
    uint64_t mask;  // sets - 1 where that is a power of two, else 0
    uint32_t ways;
    CacheHit hit;
  };
  static constexpr uint32_t kWaysInLine = kCacheLineBytes / sizeof(uint64_t);
  static const uint64_t* set_of(const Level& level, uint64_t line) {
    const uint64_t set = level.mask != 0 ? line & level.mask : line % level.sets;
    return level.lines.data() + set * level.ways;
  }
  static bool touch(Level& level, uint64_t line);

  std::vector<Level> levels_;
};

struct CachePreset {
  absl::string_view name;
  absl::string_view description;
  absl::string_view source;
  CacheConfig config;
};
/// By processor, named as the TLB presets where both exist; "none". Caches that cores share are given as
/// one core's share of them.
absl::Span<const CachePreset> cache_presets();
/// InvalidArgument names what is known.
absl::StatusOr<CachePreset> find_cache_preset(absl::string_view name);

}  // namespace gnomon

#endif  // GNOMON_CACHE_HIERARCHY_H_
