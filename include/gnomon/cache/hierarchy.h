// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_CACHE_HIERARCHY_H_
#define GNOMON_CACHE_HIERARCHY_H_

#include <array>
#include <cassert>
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
/// Caches know host-physical addresses below this: lines have numbers of 32 bits.
inline constexpr uint64_t kMaxCachedAddress = ((uint64_t{1} << 32) - 1) * kCacheLineBytes;

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
  /// `at` is below kMaxCachedAddress.
  CacheHit reference(Hpa at) {
    assert(at.value() < kMaxCachedAddress);
    const uint32_t line = line_of(at);
    // Most are to the line that this set of the first level was used for last.
    if (!levels_.empty()) [[likely]] {
      const Level& first = levels_.front();
      if (first.lines[first_of(first, line)] == line) return first.hit;
    }
    return search(line);
  }
  void data(Hpa at) { ++stats.data[static_cast<size_t>(reference(at))]; }
  /// Brings what `reference` will look at below the first level into our own processor's caches.
  void load_ahead(Hpa at) const {
    const uint32_t line = line_of(at);
    for (size_t i = 1; i < levels_.size(); ++i) {
      const uint32_t* const set = levels_[i].lines.data() + first_of(levels_[i], line);
      for (uint32_t way = 0; way < levels_[i].ways; way += kWaysInLine) gnomon::load_ahead(set + way);
    }
  }
  /// Empties the caches and zeroes `stats`.
  void clear();

  CacheStats stats;

 private:
  struct Level {
    // Set after set, most recently used first; a few more at the end, which are read and never found.
    std::vector<uint32_t> lines;
    uint32_t sets;
    uint32_t mask;  // sets - 1 where that is a power of two, else 0
    uint32_t ways;
    CacheHit hit;
  };
  static constexpr uint32_t kWaysInLine = kCacheLineBytes / sizeof(uint32_t);
  // From 1: 0 is a way that holds nothing.
  static uint32_t line_of(Hpa at) { return static_cast<uint32_t>(at.value() / kCacheLineBytes) + 1; }
  static size_t first_of(const Level& level, uint32_t line) {
    return size_t{level.mask != 0 ? line & level.mask : line % level.sets} * level.ways;
  }
  CacheHit search(uint32_t line);

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
