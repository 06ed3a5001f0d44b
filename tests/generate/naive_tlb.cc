// SPDX-License-Identifier: Apache-2.0
#include "tests/generate/naive_tlb.h"

#include <algorithm>

namespace gnomon::generate_test {

NaiveTlb::NaiveTlb(const TlbConfig& config) {
  for (const TlbStructureConfig& c : config.structures) {
    for (const TlbSize& size : c.sizes) {
      if (size.size != PageSize::k4K) continue;
      Structure s;
      s.config = c;
      const size_t all = c.ways == 0 ? c.entries : c.ways;
      s.ways = size.ways == 0 ? all : size.ways;
      s.sets.resize(c.entries / all);
      structures.push_back(s);
    }
  }
}

NaiveTlb::Structure* NaiveTlb::serving(unsigned level, AccessOp op, uint64_t page) {
  std::vector<Structure*> banks;
  for (Structure& s : structures) {
    const bool serves = (s.config.serves >> static_cast<unsigned>(op) & 1) != 0;
    if (s.config.level == level && serves) banks.push_back(&s);
  }
  if (banks.empty()) return nullptr;
  return banks[page / banks[0]->sets.size() % banks.size()];
}

bool NaiveTlb::hit(Structure& s, uint64_t page, uint16_t pcid) {
  auto& set = s.sets[page % s.sets.size()];
  const auto at = std::find(set.begin(), set.end(), Structure::Page{page, pcid});
  if (at == set.end()) return false;
  set.splice(set.begin(), set, at);
  ++s.hits;
  return true;
}

void NaiveTlb::fill(Structure& s, uint64_t page, uint16_t pcid) {
  auto& set = s.sets[page % s.sets.size()];
  if (set.size() == s.ways) {
    set.pop_back();
    ++s.evictions;
  }
  set.push_front({page, pcid});
  ++s.fills;
}

void NaiveTlb::become(uint16_t pcid) {
  if (pcid == pcid_) return;
  pcid_ = pcid;
  for (Structure& s : structures) {
    if (s.config.tagged) continue;
    for (auto& set : s.sets) set.clear();
  }
}

unsigned NaiveTlb::access(uint64_t page, AccessOp op, uint16_t pcid) {
  become(pcid);
  unsigned answered = 0;
  for (unsigned level = 1; level <= 2 && answered == 0; ++level) {
    Structure* s = serving(level, op, page);
    if (s != nullptr && hit(*s, page, pcid)) {
      answered = level;
      ++hits[level];
    } else {
      ++misses[level];
      if (s != nullptr) ++s->misses;
    }
  }
  // What a level below answered, or the walk, is kept in every level above.
  for (unsigned level = answered == 0 ? 2 : answered - 1; level >= 1; --level) {
    if (Structure* s = serving(level, op, page); s != nullptr) fill(*s, page, pcid);
  }
  return answered;
}

void NaiveTlb::invalidate(uint64_t page, uint16_t pcid) {
  for (Structure& s : structures) {
    const auto removed = s.sets[page % s.sets.size()].remove({page, pcid});
    s.invalidations += removed;
  }
}

void NaiveTlb::flush(uint16_t pcid) {
  for (Structure& s : structures) {
    for (auto& set : s.sets) set.remove_if([&](const auto& p) { return p.pcid == pcid; });
  }
}

}  // namespace gnomon::generate_test
