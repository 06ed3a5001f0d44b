// SPDX-License-Identifier: Apache-2.0
#include "tests/tlb/naive_tlb.h"

namespace gnomon::naive {
namespace {

constexpr PageSize kSizes[] = {PageSize::k4K, PageSize::k2M, PageSize::k1G};

uint64_t vpn_of(Gva va, PageSize size) {
  return va.value() % (uint64_t{1} << 57) / bytes_of(size);
}
bool is_canonical(Gva va) {
  const uint64_t top = va.value() >> 56;
  return top == 0 || top == 0xff;
}
std::optional<uint32_t> ways_for(const Structure& s, PageSize size) {
  for (const TlbSize& held : s.config.sizes) {
    if (held.size == size) return held.ways == 0 ? s.ways : held.ways;
  }
  return std::nullopt;
}

}  // namespace

NaiveTlb::NaiveTlb(const TlbConfig& config) {
  for (const TlbStructureConfig& c : config.structures) {
    Structure s;
    s.config = c;
    s.ways = c.ways == 0 ? c.entries : c.ways;
    s.sets.resize(c.entries / s.ways);
    for (Set& set : s.sets) set.ways.resize(s.ways);
    s.random = c.seed;
    structures_.push_back(s);
  }
}

Structure* NaiveTlb::structure_for(unsigned level, AccessOp op, PageSize size, Gva va) {
  std::vector<Structure*> banks;
  for (Structure& s : structures_) {
    const bool serves = (s.config.serves >> static_cast<unsigned>(op) & 1) != 0;
    if (s.config.level == level && serves && ways_for(s, size)) banks.push_back(&s);
  }
  if (banks.empty()) return nullptr;
  return banks[vpn_of(va, size) / banks[0]->sets.size() % banks.size()];
}

Way* NaiveTlb::find(Structure& s, PageSize size, Gva va, uint16_t pcid, bool globals) {
  const uint64_t vpn = vpn_of(va, size);
  for (Way& w : s.sets[vpn % s.sets.size()].ways) {
    if (!w.valid || w.entry.size != size || w.vpn != vpn || w.entry.vpid != vpid_) continue;
    if (w.entry.global ? globals : w.entry.pcid == pcid) return &w;
  }
  return nullptr;
}

void NaiveTlb::touch(Structure& s, Set& set, uint32_t way) {
  set.ways[way].used = ++time_;
  if (s.config.replacement != Replacement::kTreePlru) return;
  uint32_t low = 0, count = 1;
  while (count < s.ways) count *= 2;
  while (count > 1) {
    const uint32_t half = count / 2;
    const bool is_right = way >= low + half;
    set.prefer_right[{low, count}] = !is_right;
    if (is_right) low += half;
    count = half;
  }
}

uint32_t NaiveTlb::choose(Structure& s, Set& set, uint32_t limit) {
  for (uint32_t i = 0; i < limit; ++i) {
    if (!set.ways[i].valid) return i;
  }
  ++s.evictions;
  uint32_t best = 0;
  switch (s.config.replacement) {
    case Replacement::kLru:
      for (uint32_t i = 1; i < limit; ++i) {
        if (set.ways[i].used < set.ways[best].used) best = i;
      }
      return best;
    case Replacement::kFifo:
      for (uint32_t i = 1; i < limit; ++i) {
        if (set.ways[i].filled < set.ways[best].filled) best = i;
      }
      return best;
    case Replacement::kTreePlru: {
      uint32_t low = 0, count = 1;
      while (count < s.ways) count *= 2;
      for (; count > 1; count /= 2) {
        const uint32_t right = low + count / 2;
        const auto it = set.prefer_right.find({low, count});
        if (it != set.prefer_right.end() && it->second && right < limit) low = right;
      }
      return low;
    }
    case Replacement::kRandom: {
      s.random += 0x9e3779b97f4a7c15u;
      uint64_t z = s.random;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      return static_cast<uint32_t>((z ^ (z >> 31)) % limit);
    }
  }
  return best;
}

void NaiveTlb::fill(unsigned level, Gva va, AccessOp op, const Translation& t,
                    uint16_t pcid) {
  for (const PageSize size : {PageSize::k1G, PageSize::k2M, PageSize::k4K}) {
    if (size > t.size) continue;
    Structure* s = structure_for(level, op, size, va);
    if (s == nullptr) continue;
    ++s->fills;
    const uint64_t vpn = vpn_of(va, size);
    Set& set = s->sets[vpn % s->sets.size()];
    Way* w = find(*s, size, va, pcid_);
    const bool is_new = w == nullptr;
    if (is_new) w = &set.ways[choose(*s, set, *ways_for(*s, size))];
    w->valid = true;
    w->vpn = vpn;
    w->entry = TlbEntry();
    w->entry.page = va.page_base(size);
    w->entry.gpa = t.gpa.page_base(size);
    w->entry.hpa = t.hpa.page_base(size);
    w->entry.size = size;
    w->entry.rights = t.rights;
    w->entry.key = t.key;
    w->entry.global = t.global;
    w->entry.dirty = t.dirty;
    w->entry.trapped = t.trapped;
    w->entry.fragment = t.splintered || size != t.size;
    w->entry.pcid = pcid;
    w->entry.vpid = vpid_;
    if (is_new) w->filled = ++time_;
    touch(*s, set, static_cast<uint32_t>(w - set.ways.data()));
    return;
  }
}

std::optional<Answer> NaiveTlb::lookup(Gva va, Access access, uint16_t pcid,
                                       const PagingRules& rules) {
  become(pcid, vpid_);
  if (!is_canonical(va)) return std::nullopt;
  for (const unsigned level : {1u, 2u}) {
    for (const PageSize size : kSizes) {
      Structure* s = structure_for(level, access.op(), size, va);
      if (s == nullptr) continue;
      Way* w = find(*s, size, va, pcid);
      if (w == nullptr) continue;
      const TlbEntry e = w->entry;
      if (!rules.allows(access, e.rights, e.key) || (access.write() && !e.dirty)) {
        w->valid = false;
        ++s->denied;
        continue;
      }
      ++s->hits;
      Set& set = s->sets[w->vpn % s->sets.size()];
      touch(*s, set, static_cast<uint32_t>(w - set.ways.data()));
      if (level == 2) fill(1, va, access.op(), translation_of(e, va), e.pcid);
      return Answer{e, level};
    }
  }
  return std::nullopt;
}

void NaiveTlb::insert(Gva va, Access access, const Translation& t, uint16_t pcid) {
  if (!is_canonical(va)) return;
  become(pcid, vpid_);
  fill(1, va, access.op(), t, pcid);
  fill(2, va, access.op(), t, pcid);
}

template <class F>
void NaiveTlb::drop_if(F&& f) {
  for (Structure& s : structures_) {
    for (Set& set : s.sets) {
      for (Way& w : set.ways) {
        if (w.valid && f(s, w)) w.valid = false;
      }
    }
  }
}

void NaiveTlb::invalidate_page(Gva va, uint16_t pcid, bool globals) {
  if (!is_canonical(va)) return;
  drop_if([&](Structure& s, const Way& w) {
    const TlbEntry& e = w.entry;
    if (e.vpid != vpid_ || !(e.global ? globals : e.pcid == pcid)) return false;
    const bool covers = vpn_of(va, e.size) == w.vpn;
    const bool sibling = e.fragment && vpn_of(va, PageSize::k1G) == vpn_of(e.page, PageSize::k1G);
    if (covers || sibling) ++s.invalidations;
    return covers || sibling;
  });
}

void NaiveTlb::flush_pcid(uint16_t pcid) {
  drop_if([&](Structure&, const Way& w) {
    return w.entry.vpid == vpid_ && !w.entry.global && w.entry.pcid == pcid;
  });
}
void NaiveTlb::flush_non_global() {
  drop_if([&](Structure&, const Way& w) { return w.entry.vpid == vpid_ && !w.entry.global; });
}
void NaiveTlb::flush_vpid() {
  drop_if([&](Structure&, const Way& w) { return w.entry.vpid == vpid_; });
}
void NaiveTlb::flush_all() {
  drop_if([](Structure&, const Way&) { return true; });
}

void NaiveTlb::become(uint16_t pcid, uint16_t vpid) {
  const bool other_machine = vpid != vpid_;
  if (pcid == pcid_ && !other_machine) return;
  drop_if([&](Structure& s, const Way& w) {
    return !s.config.tagged && (other_machine || !w.entry.global);
  });
  pcid_ = pcid;
  vpid_ = vpid;
}

size_t NaiveTlb::valid_entries() const {
  size_t n = 0;
  for (const Structure& s : structures_) {
    for (const Set& set : s.sets) {
      for (const Way& w : set.ways) n += w.valid;
    }
  }
  return n;
}

}  // namespace gnomon::naive
