// SPDX-License-Identifier: Apache-2.0
#include "gnomon/cache/hierarchy.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gnomon/base/compare.h"
#include "gnomon/vcpu_state.h"

namespace gnomon {
namespace {

constexpr uint32_t kCompared = 4;  // ways at a time
constexpr uint32_t kNear = 4;      // ways that are looked at one by one

// Puts the line at the front of its `set`; those that were in front of it, or all if it was not there, move one
// place back. Lines that are used again are mostly near the front.
inline bool touch(uint32_t* set, uint32_t ways, uint32_t line) {
  uint32_t moving = *set;
  if (moving == line) return true;
  *set = line;
  const uint32_t near = std::min(ways, kNear);
  for (uint32_t way = 1; way < near; ++way) {
    const uint32_t here = std::exchange(set[way], moving);
    if (here == line) return true;
    moving = here;
  }
  for (uint32_t way = near; way < ways; way += kCompared) {
    // What a comparison reaches of the next set is none of this set's lines.
    const uint32_t equal = equal_words(set + way, line);
    if (equal == 0) continue;
    const uint32_t place = way + static_cast<uint32_t>(std::countr_zero(equal));
    std::memmove(set + near + 1, set + near, (place - near) * sizeof(uint32_t));
    set[near] = moving;
    return true;
  }
  if (near < ways) {
    std::memmove(set + near + 1, set + near, (ways - 1 - near) * sizeof(uint32_t));
    set[near] = moving;
  }
  return false;
}

}  // namespace

absl::Status CacheConfig::validate() const {
  constexpr std::array<absl::string_view, 3> kNames = {"L1", "L2", "the last level"};
  for (size_t i = 0; i < levels.size(); ++i) {
    const CacheLevelConfig& level = levels[i];
    if (level.bytes == 0) continue;
    const auto fail = [&](const auto&... why) {
      return absl::InvalidArgumentError(absl::StrCat("cache: ", kNames[i], ": ", why...));
    };
    if (level.bytes > kMaxCacheBytes) {
      return fail(level.bytes, " bytes, more than ", kMaxCacheBytes);
    }
    if (level.ways == 0) return fail("no ways");
    if (level.bytes % (uint64_t{level.ways} * kCacheLineBytes) != 0) {
      return fail(level.bytes, " bytes are not a multiple of ", level.ways, " ways of ",
                  kCacheLineBytes, " bytes");
    }
  }
  return absl::OkStatus();
}

CacheHierarchy::CacheHierarchy(const CacheConfig& config) {
  for (size_t i = 0; i < config.levels.size(); ++i) {
    const CacheLevelConfig& from = config.levels[i];
    if (from.bytes == 0) continue;
    const uint32_t lines = from.bytes / kCacheLineBytes;
    const uint32_t sets = lines / from.ways;
    levels_.push_back({std::vector<uint32_t>(lines + kCompared), sets, std::has_single_bit(sets) ? sets - 1 : 0,
                       from.ways, static_cast<CacheHit>(i)});
  }
}

CacheHit CacheHierarchy::search(uint32_t line) {
  for (Level& level : levels_) {
    if (touch(level.lines.data() + first_of(level, line), level.ways, line)) return level.hit;
  }
  return CacheHit::kMemory;
}

void CacheHierarchy::clear() {
  for (Level& level : levels_) level.lines.assign(level.lines.size(), 0);
  stats = {};
}

void note_reference(VcpuState& cpu, const WalkReference& what, Hpa at) {
  if (cpu.log != nullptr) cpu.log->push_back(what);
  if (cpu.memory == nullptr) return;
  CacheStats& stats = cpu.memory->stats;
  const auto found = static_cast<size_t>(cpu.memory->reference(at));
  switch (what.dimension) {
    case WalkReference::Dimension::kGuest: ++stats.guest[found]; break;
    case WalkReference::Dimension::kHost: ++stats.host[found]; break;
    case WalkReference::Dimension::kShadow: ++stats.shadow[found]; break;
  }
}

}  // namespace gnomon
