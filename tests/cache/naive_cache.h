// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CACHE_NAIVE_CACHE_H_
#define TESTS_CACHE_NAIVE_CACHE_H_

#include <algorithm>
#include <list>
#include <map>
#include <vector>

#include "gnomon/cache/hierarchy.h"

namespace gnomon {

/// What CacheHierarchy must answer, as one would explain it: each set is a list in order of use.
class NaiveHierarchy {
 public:
  explicit NaiveHierarchy(const CacheConfig& config) {
    for (size_t i = 0; i < config.levels.size(); ++i) {
      const CacheLevelConfig& level = config.levels[i];
      if (level.bytes != 0) {
        levels_.push_back(
            {level.bytes / level.ways / kCacheLineBytes, level.ways, static_cast<CacheHit>(i), {}});
      }
    }
  }

  CacheHit reference(Hpa at) {
    const uint64_t line = at.value() / kCacheLineBytes;
    for (Level& level : levels_) {
      std::list<uint64_t>& set = level.set[line % level.sets];
      const auto found = std::find(set.begin(), set.end(), line);
      const bool hit = found != set.end();
      if (hit) set.erase(found);
      set.push_front(line);
      if (set.size() > level.ways) set.pop_back();
      if (hit) return level.hit;
    }
    return CacheHit::kMemory;
  }

 private:
  struct Level {
    uint64_t sets;
    uint32_t ways;
    CacheHit hit;
    std::map<uint64_t, std::list<uint64_t>> set;
  };
  std::vector<Level> levels_;
};

}  // namespace gnomon

#endif  // TESTS_CACHE_NAIVE_CACHE_H_
