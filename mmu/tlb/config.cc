// SPDX-License-Identifier: Apache-2.0
#include "gnomon/tlb/config.h"

#include "absl/strings/str_cat.h"
#include "gnomon/tlb/array.h"

namespace gnomon {
namespace {

constexpr uint32_t kMaxTreeWays = 64;  // one word of node bits per set

// What is wrong with a structure; empty if nothing.
std::string problem_of(const TlbStructureConfig& c) {
  const uint32_t ways = c.ways == 0 ? c.entries : c.ways;
  if (c.level != 1 && c.level != 2) return "level must be 1 or 2";
  if (c.serves == 0 || (c.serves & ~kServeAll) != 0) return "serves no known operation";
  if (c.entries == 0 || c.entries > TlbConfig::kMaxEntries) return "entries must be 1 to 65536";
  if (c.entries % ways != 0) return "entries must be a multiple of ways";
  if (c.replacement == Replacement::kTreePlru && ways > kMaxTreeWays) {
    return "tree-plru takes at most 64 ways";
  }
  if (c.sizes.empty()) return "holds no page size";
  for (size_t i = 0; i < c.sizes.size(); ++i) {
    bool known = false;
    for (const PageSize size : kTlbSizeOf) known |= size == c.sizes[i].size;
    if (!known) return "page sizes are 4K, 2M and 1G";
    if (c.sizes[i].ways > ways) return "a page size has more ways than the structure";
    for (size_t j = 0; j < i; ++j) {
      if (c.sizes[i].size == c.sizes[j].size) return "a page size is named twice";
    }
  }
  return "";
}

absl::Status check(absl::string_view what, WalkCacheGeometry g) {
  if (g.entries > WalkCacheConfig::kMaxEntries) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": at most 65536 entries"));
  }
  if (g.ways > g.entries || (g.ways != 0 && g.entries % g.ways != 0)) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": entries must be a multiple of ways"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::string_view name_of(Replacement replacement) {
  switch (replacement) {
    case Replacement::kLru: return "lru";
    case Replacement::kTreePlru: return "tree-plru";
    case Replacement::kFifo: return "fifo";
    case Replacement::kRandom: return "random";
  }
  return "?";
}

absl::Status TlbConfig::validate() const {
  if (structures.size() > kMaxStructures) {
    return absl::InvalidArgumentError("TLB: at most 16 structures");
  }
  for (const TlbStructureConfig& c : structures) {
    const std::string problem = problem_of(c);
    if (!problem.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("TLB structure \"", c.name, "\": ", problem));
    }
  }
  return absl::OkStatus();
}

bool WalkCacheConfig::any() const {
  uint32_t entries = nested.entries;
  for (unsigned level = 2; level <= 5; ++level) entries |= guest[level].entries | host[level].entries;
  return entries != 0;
}

absl::Status WalkCacheConfig::validate() const {
  for (unsigned level = 2; level <= 5; ++level) {
    absl::Status s = check(absl::StrCat("walk cache of level ", level), guest[level]);
    if (s.ok()) s = check(absl::StrCat("host walk cache of level ", level), host[level]);
    if (!s.ok()) return s;
  }
  return check("nested TLB", nested);
}

}  // namespace gnomon
