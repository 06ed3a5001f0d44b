// SPDX-License-Identifier: Apache-2.0
#include "traces/guest/vma.h"

#include <iterator>

namespace gnomon::guest {
namespace {

bool alike(const Vma& a, const Vma& b) {
  return a.end == b.start && a.flags == b.flags && a.huge == b.huge && a.implicit == b.implicit &&
         a.object == b.object && (a.object == 0 || a.offset + (a.end - a.start) == b.offset);
}

}  // namespace

Vma* VmaMap::at_or_above(uint64_t va) {
  auto it = map_.upper_bound(va);
  if (it != map_.begin() && std::prev(it)->second.end > va) --it;
  return it == map_.end() ? nullptr : &it->second;
}

Vma* VmaMap::find(uint64_t va) {
  Vma* vma = at_or_above(va);
  return vma != nullptr && vma->start <= va ? vma : nullptr;
}

uint64_t VmaMap::end_below(uint64_t va) const {
  const auto it = map_.lower_bound(va);
  return it == map_.begin() ? 0 : std::prev(it)->second.end;
}

uint64_t VmaMap::start_above(uint64_t va, uint64_t otherwise) const {
  const auto it = map_.lower_bound(va);
  return it == map_.end() ? otherwise : it->first;
}

uint64_t VmaMap::growth(uint64_t start, uint64_t end, uint64_t added) const {
  for (const uint64_t edge : {start, end}) {
    const auto it = map_.lower_bound(edge);
    if (it != map_.begin() && std::prev(it)->second.end > edge) ++added;
  }
  return added;
}

void VmaMap::emplace(const Vma& vma) {
  map_.emplace(vma.start, vma);
  ++total_;
  if (vma.object != 0) use_(vma.object, 1);
}

VmaMap::iterator VmaMap::erase(iterator it) {
  --total_;
  if (it->second.object != 0) use_(it->second.object, -1);
  return map_.erase(it);
}

void VmaMap::split(uint64_t at) {
  auto it = map_.lower_bound(at);
  if (it == map_.begin()) return;
  --it;
  if (it->second.end <= at) return;
  Vma upper = it->second;
  upper.offset += at - upper.start;
  upper.start = at;
  it->second.end = at;
  emplace(upper);
}

void VmaMap::join(uint64_t start, uint64_t end) {
  auto it = map_.lower_bound(start);
  if (it != map_.begin()) --it;
  while (it != map_.end() && it->first <= end) {
    const auto next = std::next(it);
    if (next == map_.end()) return;
    if (alike(it->second, next->second)) {
      const uint64_t key = it->first;
      it->second.end = next->second.end;
      it->second.own_pages |= next->second.own_pages;
      erase(next);
      it = map_.find(key);
    } else {
      ++it;
    }
  }
}

void VmaMap::insert(const Vma& vma) {
  emplace(vma);
  join(vma.start, vma.end);
}

void VmaMap::remove(uint64_t start, uint64_t end) {
  split(start);
  split(end);
  for (auto it = map_.lower_bound(start); it != map_.end() && it->first < end;) it = erase(it);
}

void VmaMap::grow_down(uint64_t start, uint64_t to) {
  const auto it = map_.find(start);
  Vma vma = it->second;
  map_.erase(it);
  vma.offset -= vma.object != 0 ? start - to : 0;
  vma.start = to;
  map_.emplace(to, vma);
  join(to, vma.end);
}

void VmaMap::copy_to(VmaMap& other) const {
  for (const auto& [start, vma] : map_) other.emplace(vma);
}

}  // namespace gnomon::guest
