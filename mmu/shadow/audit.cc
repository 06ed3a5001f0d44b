// SPDX-License-Identifier: Apache-2.0
// Checks the invariants of docs/architecture.md over all shadow pages, from first principles where it can:
// the guest's entries are decoded again, and each cross-reference is followed both ways.
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {

class Auditor {
 public:
  explicit Auditor(const ShadowMmu& mmu) : mmu_(mmu), pages_(mmu.pages_), p2m_(mmu.p2m_) {}

  std::vector<AuditFinding> run() {
    pages_.for_each_page([&](const ShadowPage& p) { page(p); });
    for (uint32_t f = 0; f < p2m_.frame_capacity(); ++f) reverse_map(f);
    roots();
    budget();
    return std::move(findings_);
  }

 private:
  struct Guest {
    uint64_t raw = 0;
    bool present = false, leaf = false, accessed = false, dirty = false;
    Gpa base;
    Rights rights = 0;
  };

  template <class... Args>
  void report(int invariant, const ShadowPage& p, int index, const absl::FormatSpec<Args...>& format,
              const Args&... args) {
    std::string where = absl::StrFormat("shadow page %d (level %d%s, gfn 0x%x)", p.number,
                                        p.role.level, p.role.direct ? ", direct" : "", p.gfn);
    if (index >= 0) absl::StrAppendFormat(&where, " entry %d = 0x%x", index, p.entries[index]);
    findings_.push_back({invariant, where + ": " + absl::StrFormat(format, args...)});
  }

  void page(const ShadowPage& p) {
    if (p2m_.host().owner(p.table) != FrameOwner::kShadowTable) {
      report(1, p, -1, "its table frame is not owned by the shadow");
    }
    if (p.doomed) report(5, p, -1, "zapped but still in the cache");
    unsigned live = 0;
    for (unsigned i = 0; i < kEntries; ++i) {
      const uint64_t entry = p.entries[i];
      if (entry == 0) continue;
      ++live;
      if (is_mmio(entry)) {
        marker(p, i, entry);
      } else if (is_switch(entry)) {
        nested_switch(p, i, entry);
      } else if (is_link(entry, p.role.level)) {
        link(p, i, entry);
      } else {
        leaf(p, i, entry);
      }
    }
    if (live != p.live) report(4, p, -1, "has %d entries, thinks %d", live, p.live);
    if (p.shadows_table()) {
      const uint32_t frame = p2m_.frame_index(Gpa::from_frame(p.gfn));
      if (frame == P2m::kNoIndex) {
        report(1, p, -1, "shadows a table outside the guest's memory");
      } else if (pages_.unsync(frame) != p.unsync) {
        report(2, p, -1, "page and frame disagree about being in sync");
      }
      if (p.unsync && p.role.level != 1) report(2, p, -1, "an upper-level table is out of sync");
    }
  }

  void marker(const ShadowPage& p, unsigned i, uint64_t entry) {
    if (p.target[i] == p2m_.generation() &&
        p2m_.lookup(mmio_frame(entry)).state() != FrameState::kMmio) {
      report(7, p, i, "a current MMIO marker for something else");
    }
  }

  // Above a switch all tables are in sync, so it must say what the guest's entry says now.
  void nested_switch(const ShadowPage& p, unsigned i, uint64_t entry) {
    const uint32_t frame = p.target[i];
    const P2mEntry e = p2m_.lookup(p2m_.frame_at(frame));
    if (!e.is_ram() || e.frame() != Hpa(entry & pte::kFrameMask)) {
      report(1, p, i, "leads to a table that has moved");
    }
    if (!pages_.lists().contains(pages_.small_map(frame), PteId::make(p.number, i))) {
      report(4, p, i, "is not in the reverse map of the table it leads to");
    }
    if (!p.shadows_table()) return;
    const Guest g = guest_entry(p, i);
    if (!g.present || g.leaf || g.base != p2m_.frame_at(frame)) {
      report(4, p, i, "leads to another table than the guest's entry 0x%x", g.raw);
    } else if (switch_rights(entry) != (p.role.access & g.rights)) {
      report(3, p, i, "passes on other rights than the walk gives");
    }
  }

  void link(const ShadowPage& p, unsigned i, uint64_t entry) {
    const ShadowPage& child = pages_.page(p.target[i]);
    const PteId pte = PteId::make(p.number, i);
    if (child.number != p.target[i] || child.doomed) {
      report(4, p, i, "links to page %d, which is gone", p.target[i]);
      return;
    }
    if (Hpa(entry & pte::kFrameMask) != child.table) {
      report(4, p, i, "points to another table than page %d's", child.number);
    }
    if (!pages_.lists().contains(child.parents, pte)) {
      report(4, p, i, "page %d does not know this parent", child.number);
    }
    if (child.role.level + 1 != p.role.level) {
      report(4, p, i, "links level %d to level %d", p.role.level, child.role.level);
    }
    const bool flagged = (p.unsync_below[i / 64] >> (i % 64) & 1) != 0;
    if ((child.unsync || child.any_unsync_below()) && !flagged) {
      report(2, p, i, "page %d is out of sync below, unmarked", child.number);
    }
    if (p.shadows_table()) link_agrees(p, i, child);
  }

  // An upper-level table is always in sync, so the child must be what the guest's entry says now.
  void link_agrees(const ShadowPage& p, unsigned i, const ShadowPage& child) {
    const Guest g = guest_entry(p, i);
    if (!g.present) {
      report(3, p, i, "linked where the guest has nothing (0x%x)", g.raw);
      return;
    }
    if (!g.accessed) report(6, p, i, "linked while the guest's accessed flag is clear");
    if (g.leaf != (child.role.direct != 0)) {
      report(4, p, i, "page %d is direct=%d under guest entry 0x%x", child.number,
             child.role.direct, g.raw);
    } else if (g.leaf) {
      const uint64_t part = g.base.frame() + part_of(p, i) ;
      if (child.gfn != part) report(4, p, i, "maps from gfn 0x%x, guest says 0x%x", child.gfn, part);
      rights_within(p, i, child.role.access, g);
    } else {
      if (child.gfn != g.base.frame()) {
        report(4, p, i, "shadows gfn 0x%x, guest says 0x%x", child.gfn, g.base.frame());
      }
      const Rights expected = p.role.access & g.rights;
      if (child.role.access != expected) {
        report(3, p, i, "page %d was made for rights %d, the walk gives %d", child.number,
               child.role.access, expected);
      }
    }
  }

  void leaf(const ShadowPage& p, unsigned i, uint64_t entry) {
    const PageSize size = Long4::leaf_size(p.role.level);
    const uint32_t frame = p.target[i];
    if (frame >= p2m_.frame_capacity()) {
      report(4, p, i, "has no frame number");
      return;
    }
    const Gpa gpa = p2m_.frame_at(frame);
    const Hpa base(entry & pte::kFrameMask & ~offset_mask(size));
    for (uint64_t k = 0; k < bytes_of(size) >> 12; ++k) {
      const Gpa part(gpa.value() + (k << 12));
      const P2mEntry e = p2m_.lookup(part);
      const Hpa host(base.value() + (k << 12));
      if (!e.is_ram() || e.frame() != host || p2m_.host().owner(host) != FrameOwner::kGuestRam) {
        report(1, p, i, "reaches %s, which is not where %s is", to_string(host), to_string(part));
        break;
      }
      if (is_writable(entry)) {
        const uint32_t part_frame = frame + static_cast<uint32_t>(k);
        if (pages_.tracked(part_frame)) {
          report(2, p, i, "maps the tracked table at %s writable", to_string(part));
        }
        if (!e.writable()) report(2, p, i, "maps protected %s writable", to_string(part));
      }
    }
    const PteList* list = size == PageSize::k4K ? &pages_.small_map(frame)
                                                : pages_.large_map(size, gpa);
    if (list == nullptr || !pages_.lists().contains(*list, PteId::make(p.number, i))) {
      report(4, p, i, "is not in the reverse map of %s", to_string(gpa));
    }
    if (p.role.glue != 0) report(4, p, i, "a leaf among the glue");
    if (p.role.direct != 0) {
      const uint64_t expected = p.gfn + (uint64_t{i} << (9 * (p.role.level - 1)));
      if (gpa.frame() != expected) report(4, p, i, "maps gfn 0x%x of a run", gpa.frame());
      if ((Long4::rights(entry, 1, {}) & ~p.role.access) != 0) {
        report(3, p, i, "grants more than the guest's page (%d)", p.role.access);
      }
    } else if (!p.unsync) {
      leaf_agrees(p, i, entry, gpa);
    } else if ((Long4::rights(entry, 1, {}) & ~(p.role.access | flipped(p, entry))) != 0) {
      report(3, p, i, "grants more than the tables above it (%d)", p.role.access);
    }
  }

  void leaf_agrees(const ShadowPage& p, unsigned i, uint64_t entry, Gpa gpa) {
    const Guest g = guest_entry(p, i);
    if (!g.present || !g.leaf) {
      report(3, p, i, "is present where the guest maps no page (0x%x)", g.raw);
      return;
    }
    if (g.base.value() + (part_of(p, i) << 12) != gpa.value()) {
      report(4, p, i, "maps %s, the guest maps %s", to_string(gpa), to_string(g.base));
    }
    if (!g.accessed) report(6, p, i, "is present while the guest's accessed flag is clear");
    const bool lazy = mmu_.options_.flags == FlagPolicy::kLazy;
    if (is_writable(entry) && !g.dirty && !lazy) {
      report(6, p, i, "is writable while the guest's dirty flag is clear");
    }
    rights_within(p, i, Long4::rights(entry, 1, {}), g);
  }

  void rights_within(const ShadowPage& p, unsigned i, Rights granted, const Guest& g) {
    const Rights allowed = p.role.access & g.rights;
    const uint64_t as_entry = Long4::encode_rights(granted);
    if ((granted & ~(allowed | flipped(p, as_entry))) != 0) {
      report(3, p, i, "grants rights %d where the guest's walk gives %d", granted, allowed);
    }
  }

  // With CR0.WP = 0 a page may be writable for the supervisor alone, whatever the guest's W says.
  static Rights flipped(const ShadowPage& p, uint64_t entry) {
    return p.role.wp == 0 && (entry & pte::kUser) == 0 ? kRightWrite : Rights{0};
  }

  // Of a guest page larger than one entry of ours, which 4K frame this entry starts at.
  static uint64_t part_of(const ShadowPage& p, unsigned i) {
    return p.role.paging_mode() == PagingMode::kLegacy32 && p.role.level == 2 ? (i & 1) * 512 : 0;
  }

  template <class Format>
  static Guest decode(uint64_t raw, unsigned level, const PagingRules& rules) {
    const auto e = static_cast<typename Format::Entry>(raw);
    Guest g;
    g.raw = raw;
    g.leaf = Format::leaf(e, level, rules);
    g.present = Format::present(e) && !Format::malformed(e, level, g.leaf, rules);
    g.accessed = (e & pte::kAccessed) != 0;
    g.dirty = (e & pte::kDirty) != 0;
    g.base = Gpa(g.leaf ? Format::leaf_base(e, level) : Format::table_base(e));
    g.rights = Format::rights(e, level, rules);
    return g;
  }

  Guest guest_entry(const ShadowPage& p, unsigned i) const {
    const uint8_t* at = p2m_.ram_at(mmu_.guest_entry_of(p, i));
    if (at == nullptr) return {};
    const PagingRules& rules = mmu_.rules_for(p.role);
    const unsigned level = p.role.level;
    switch (p.role.paging_mode()) {
      case PagingMode::kLegacy32:
        return decode<Legacy32Format>(load_entry<uint32_t>(at), level, rules);
      case PagingMode::kPae: return decode<PaeFormat>(load_entry<uint64_t>(at), level, rules);
      case PagingMode::kLevel4: return decode<Long4>(load_entry<uint64_t>(at), level, rules);
      case PagingMode::kLevel5: return decode<Long5>(load_entry<uint64_t>(at), level, rules);
      case PagingMode::kOff: break;
    }
    return {};
  }

  // Each reverse-map row must name a leaf entry that says the same frame.
  void reverse_map(uint32_t frame) {
    pages_.lists().for_each(pages_.small_map(frame), [&](PteId pte) {
      const ShadowPage& p = pages_.page(pte.page());
      const uint64_t entry = p.number == 0 ? 0 : p.entries[pte.index()];
      if (p.number == 0 || p.doomed || !is_present(entry) || is_mmio(entry) ||
          (p.role.level != 1 && !is_switch(entry)) || p.target[pte.index()] != frame) {
        findings_.push_back({7, absl::StrFormat("the reverse map of frame %d names entry %d of "
                                                "shadow page %d, which maps something else",
                                                frame, pte.index(), pte.page())});
      }
    });
  }

  void roots() {
    absl::flat_hash_map<uint32_t, int> held;
    for (const auto& v : mmu_.vcpus_) {
      if (v == nullptr) continue;
      const uint64_t hardware = v->hardware.load();
      uint64_t expected = v->current.top == 0 ? 0 : pages_.page(v->current.top).table.value();
      if (v->current.switched) expected = p2m_.lookup(Gpa(v->current.cr3)).frame().value() | 1;
      if (hardware != expected) {
        findings_.push_back({5, absl::StrFormat("vCPU %d walks hpa 0x%x, its root is at 0x%x",
                                                v->cpu->id, hardware, expected)});
      }
      count_root(v->current, held);
      for (const Root& root : v->previous) count_root(root, held);
    }
    pages_.for_each_page([&](const ShadowPage& p) {
      if (p.roots != held[p.number]) {
        report(5, p, -1, "is held by %d roots, thinks %d", held[p.number], p.roots);
      }
    });
  }

  void count_root(const Root& root, absl::flat_hash_map<uint32_t, int>& held) {
    for (const uint32_t n : {root.top, root.glue}) {
      if (n == 0) continue;
      const ShadowPage& p = pages_.page(n);
      ++held[n];
      if (p.number != n || p.doomed) {
        findings_.push_back({5, absl::StrFormat("a root uses shadow page %d, which is gone", n)});
        return;
      }
    }
    if (root.top == 0 || root.glue != 0) return;
    const ShadowPage& top = pages_.page(root.top);
    if (top.gfn != root.cr3 >> 12) report(5, top, -1, "is the root of cr3 0x%x", root.cr3);
  }

  void budget() {
    if (pages_.live_pages() > mmu_.page_limit()) {
      findings_.push_back({9, absl::StrFormat("%d shadow pages, the limit is %d",
                                              pages_.live_pages(), mmu_.page_limit())});
    }
  }

  const ShadowMmu& mmu_;
  const PageCache& pages_;
  const P2m& p2m_;
  std::vector<AuditFinding> findings_;
};

std::vector<AuditFinding> ShadowMmu::audit() const {
  VmGuard guard(p2m_.lock());
  std::vector<AuditFinding> findings = Auditor(*this).run();
  if (agile_ != nullptr) audit_agile(findings);
  return findings;
}

}  // namespace gnomon::shadow
