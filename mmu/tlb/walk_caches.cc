// SPDX-License-Identifier: Apache-2.0
#include "gnomon/tlb/walk_caches.h"

#include "absl/algorithm/container.h"

namespace gnomon {
namespace {

constexpr PageSize kNestedSizes[] = {PageSize::k4K, PageSize::k2M, PageSize::k1G};

// Never zero, and different for each size.
uint64_t nested_key(Gpa gpa, PageSize size) {
  return gpa.frame(size) << 6 | (shift_of(size) & 63);
}

}  // namespace

absl::StatusOr<std::unique_ptr<WalkCaches>> WalkCaches::create(const WalkCacheConfig& config) {
  if (absl::Status s = config.validate(); !s.ok()) return s;
  return std::unique_ptr<WalkCaches>(new WalkCaches(config));
}

WalkCaches::WalkCaches(const WalkCacheConfig& config) : nested_(config.nested) {
  for (unsigned level = 2; level <= 5; ++level) {
    guest_[level] = tlb_internal::LruMap<Table>(config.guest[level]);
    host_[level] = tlb_internal::LruMap<Table>(config.host[level]);
  }
}

const NestedPage* WalkCaches::lookup_nested(Gpa gpa) {
  for (const PageSize size : kNestedSizes) {
    if ((nested_sizes_ & bytes_of(size)) == 0) continue;
    const NestedPage* page = nested_.find(gpa.frame(size), nested_key(gpa, size));
    if (page == nullptr) continue;
    ++statistics_.nested_hits;
    found_ = *page;
    found_.hpa = page->hpa.with_offset(size, gpa.value());
    return &found_;
  }
  ++statistics_.nested_misses;
  return nullptr;
}

void WalkCaches::fill_nested(Gpa gpa, const NestedPage& page) {
  if (!absl::c_linear_search(kNestedSizes, page.size)) return;
  nested_sizes_ |= bytes_of(page.size);
  nested_.put(gpa.frame(page.size), nested_key(gpa, page.size), page);
}

CachedTable WalkCaches::lookup_host(Gpa gpa, unsigned top) {
  for (unsigned level = 2; level <= top; ++level) {
    const uint64_t prefix = gpa.value() >> host_shift(level);
    if (const Table* t = host_[level].find(prefix, guest_key(prefix, 0))) {
      ++statistics_.host_hits[level];
      return {level - 1, t->table, t->rights};
    }
  }
  ++statistics_.host_misses;
  return {};
}

void WalkCaches::fill_host(unsigned level, Gpa gpa, uint64_t table, Rights rights) {
  const uint64_t prefix = gpa.value() >> host_shift(level);
  host_[level].put(prefix, guest_key(prefix, 0), {table, rights});
}

void WalkCaches::flush_pcid(uint16_t pcid) {
  for (auto& cache : guest_) {
    cache.erase_if([&](uint64_t key) { return (key & 0xfff) == (pcid & 0xfffu); });
  }
}

void WalkCaches::flush_guest() {
  for (auto& cache : guest_) cache.erase_if([](uint64_t) { return true; });
}

void WalkCaches::flush_host() {
  for (auto& cache : host_) cache.erase_if([](uint64_t) { return true; });
  nested_.erase_if([](uint64_t) { return true; });
  nested_sizes_ = 0;
}

}  // namespace gnomon
