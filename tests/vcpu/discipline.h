// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_VCPU_DISCIPLINE_H_
#define TESTS_VCPU_DISCIPLINE_H_

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "gnomon/memory/bytes.h"
#include "gnomon/x86/entry_bits.h"
#include "tests/naive/naive_mmu.h"

// What a careful operating system knows: which of its addresses a processor may still translate with
// entries that are not in the tables any more (SDM vol. 3, 4.10), and what each way to invalidate
// removes. It assumes that a processor may have cached anything it could have walked at any time.

namespace gnomon::vcpu_test {

struct PagingShape {
  absl::string_view name;
  uint64_t cr4, efer;
  unsigned levels, entry_bytes;
  unsigned index_bits() const { return entry_bytes == 4 ? 10 : 9; }
  unsigned shift(unsigned level) const { return 12 + index_bits() * (level - 1); }
  uint64_t index(uint64_t va, unsigned level) const {
    return va >> shift(level) & ((uint64_t{1} << index_bits()) - 1);
  }
};

/// The entries, root first, that a processor may cache for one address: all present and accessed.
struct Path {
  unsigned count = 0;
  bool leaf = false;  ///< the last one maps a page of 2^shift bytes
  bool global = false;
  unsigned shift = 12;
  std::array<uint64_t, 5> entries{};

  unsigned tables() const { return count - (leaf ? 1 : 0); }
  /// Nobody could tell a processor that uses the first `length` entries from one that reads `now`.
  bool same_as(const Path& now, unsigned length) const {
    if (now.count < length) return false;
    for (unsigned i = 0; i < length; ++i) {
      constexpr uint64_t kFlags = pte::kAccessed | pte::kDirty;
      if (((entries[i] ^ now.entries[i]) & ~kFlags) != 0) return false;
      if ((entries[i] & ~now.entries[i] & kFlags) != 0) return false;
    }
    return true;
  }
  bool same_as(const Path& now) const { return same_as(now, count); }
};

/// Of one vCPU. Addresses are numbers in `pages`, the only 4K pages the guest uses.
class Discipline {
 public:
  Discipline(const PagingShape& shape, const std::vector<uint64_t>& pages, const P2m& mirror)
      : shape_(shape), pages_(pages), mirror_(mirror), naive_(mirror) {}

  /// The path of page `n` under `controls` as memory is now.
  Path path(Controls controls, const CpuModel& model, size_t n) const {
    controls.ac = true;
    controls.pkru = 0;
    const NaiveResult r = naive_.translate(
        controls, model, Gva(pages_[n]), {AccessOp::kRead, Privilege::kSupervisor}, false);
    Path p;
    if ((r.error_code & pf::kNonCanonical) != 0) return p;
    const bool reached = r.outcome != Outcome::kGuestFault && r.level == 0;
    const unsigned last = reached ? r.leaf_level : r.level + 1u;
    uint64_t table = controls.cr3 & ~uint64_t{0xfff};
    for (unsigned level = shape_.levels; level >= last; --level) {
      const bool pdpte = shape_.levels == 3 && level == 3;
      const uint64_t index = shape_.index(pages_[n], level);
      uint64_t e = 0;
      if (pdpte) {
        e = controls.pdpte[index & 3] | pte::kAccessed;
      } else if (const uint8_t* at = mirror_.ram_at(Gpa(table + index * shape_.entry_bytes))) {
        e = load_bytes(at, shape_.entry_bytes);
      }
      if ((e & pte::kAccessed) == 0) return p;
      p.entries[p.count++] = e;
      table = e & pte::kFrameMask;
      if (reached && level == last) {
        p.leaf = true;
        p.shift = shape_.shift(level);
        p.global = (e & pte::kGlobal) != 0 && (controls.cr4 & cr4::kPGE) != 0;
      }
    }
    return p;
  }

  /// The processor may cache all there is now.
  void observe(const Controls& controls, const CpuModel& model) {
    Context& c = context(pcid_of(controls));
    for (size_t n = 0; n < pages_.size(); ++n) {
      const Path p = path(controls, model, n);
      if (p.leaf) add(c.tlb[n], p);
      if (p.tables() != 0) add(c.tables[n], p);
    }
  }

  /// May page `n` be translated otherwise than its path `now` says? `global`: by a global entry.
  bool stale(uint16_t pcid, size_t n, const Path& now, bool& global) {
    global = false;
    bool found = false;
    for (auto& [id, c] : contexts_) {
      for (const Path& p : c.tlb[n]) {
        if ((id != pcid && !p.global) || p.same_as(now)) continue;
        found = true;
        global |= p.global;
      }
    }
    Context& c = context(pcid);
    for (size_t m = 0; m < pages_.size() && !found; ++m) {
      const unsigned common = shared_levels(n, m);
      for (const Path& p : c.tables[m]) {
        found |= !p.same_as(now, std::min(p.tables(), common));
      }
    }
    return found;
  }
  /// Another address that INVLPG may name to get rid of all stale entries of page `n`, if they are
  /// of large pages.
  uint64_t neighbour(uint16_t pcid, size_t n, uint64_t random) {
    unsigned shift = 63;
    for (auto& [id, c] : contexts_) {
      for (const Path& p : c.tlb[n]) {
        if (id == pcid || p.global) shift = std::min(shift, p.shift);
      }
    }
    if (shift == 63) return pages_[n];
    const uint64_t mask = (uint64_t{1} << shift) - 1;
    return (pages_[n] & ~mask) | (random & mask);
  }

  // What the guest does about it.
  void invlpg(uint16_t pcid, uint64_t va) {
    for (auto& [id, c] : contexts_) forget(c, va, /*others=*/id == pcid, /*globals=*/true);
    for (auto& tables : context(pcid).tables) tables.clear();
  }
  void invpcid_address(uint16_t pcid, uint64_t va) {
    Context& c = context(pcid);
    forget(c, va, true, false);
    for (size_t n = 0; n < pages_.size(); ++n) {
      if (pages_[n] >> 12 == va >> 12) c.tables[n].clear();
    }
  }
  void flush_context(uint16_t pcid) {
    Context& c = context(pcid);
    for (auto& tlb : c.tlb) std::erase_if(tlb, [](const Path& p) { return !p.global; });
    for (auto& tables : c.tables) tables.clear();
  }
  void flush_non_global() {
    for (auto& [id, c] : contexts_) flush_context(id);
  }
  void flush_all() { contexts_.clear(); }

 private:
  struct Context {
    std::vector<std::vector<Path>> tlb, tables;  // by page
  };
  Context& context(uint16_t pcid) {
    Context& c = contexts_[pcid];
    c.tlb.resize(pages_.size());
    c.tables.resize(pages_.size());
    return c;
  }
  static void add(std::vector<Path>& list, const Path& p) {
    for (Path& old : list) {
      if (p.leaf == old.leaf && p.count == old.count && p.same_as(old)) return;
      if (p.leaf == old.leaf && p.count == old.count && old.same_as(p)) {
        old = p;
        return;
      }
    }
    list.push_back(p);
  }
  unsigned shared_levels(size_t a, size_t b) const {
    for (unsigned n = 0; n < shape_.levels; ++n) {
      const unsigned level = shape_.levels - n;
      if (shape_.index(pages_[a], level) != shape_.index(pages_[b], level)) return n;
    }
    return shape_.levels;
  }
  // All of a large page goes with any address of it.
  void forget(Context& c, uint64_t va, bool others, bool globals) {
    for (size_t n = 0; n < c.tlb.size(); ++n) {
      std::erase_if(c.tlb[n], [&](const Path& p) {
        return pages_[n] >> p.shift == va >> p.shift && (p.global ? globals : others);
      });
    }
  }

  const PagingShape& shape_;
  const std::vector<uint64_t>& pages_;
  const P2m& mirror_;
  const NaiveMmu naive_;
  std::map<uint16_t, Context> contexts_;
};

}  // namespace gnomon::vcpu_test

#endif  // TESTS_VCPU_DISCIPLINE_H_
