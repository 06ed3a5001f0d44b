// SPDX-License-Identifier: Apache-2.0
#include "gnomon/cache/hierarchy.h"

#include <bit>

#include "absl/strings/str_cat.h"
#include "gnomon/vcpu_state.h"

namespace gnomon {

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
    const uint64_t lines = from.bytes / kCacheLineBytes;
    const uint64_t sets = lines / from.ways;
    levels_.push_back({std::vector<uint64_t>(lines), sets, std::has_single_bit(sets) ? sets - 1 : 0,
                       from.ways, static_cast<CacheHit>(i)});
  }
}

// One pass that moves each line it meets one place back: when the line is found, or falls out at the end,
// the set is in order of use again, with the line at its front.
inline bool CacheHierarchy::touch(Level& level, uint64_t line) {
  uint64_t* const first = const_cast<uint64_t*>(set_of(level, line));
  uint64_t* const end = first + level.ways;
  const uint64_t wanted = line + 1;
  uint64_t moving = *first;
  if (moving == wanted) return true;
  *first = wanted;
  for (uint64_t* way = first + 1; way != end; ++way) {
    const uint64_t here = *way;
    *way = moving;
    if (here == wanted) return true;
    moving = here;
  }
  return false;
}

CacheHit CacheHierarchy::reference(Hpa at) {
  const uint64_t line = at.value() / kCacheLineBytes;
  for (Level& level : levels_) {
    if (touch(level, line)) return level.hit;
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
