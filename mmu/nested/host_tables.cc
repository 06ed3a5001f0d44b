// SPDX-License-Identifier: Apache-2.0
#include "mmu/nested/host_tables.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"

namespace gnomon {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kRelease = std::memory_order_release;

// Is no frame of the host page around `gpa` dirty-logged?
bool is_unlogged(const P2m& p2m, Gpa page, PageSize size) {
  const uint64_t frames = bytes_of(size) >> shift_of(PageSize::k4K);
  for (uint64_t i = 0; i < frames; ++i) {
    const P2mEntry e = p2m.lookup(Gpa::from_frame(page.frame() + i));
    if (e.write_logged() || e.dirty()) return false;
  }
  return true;
}

}  // namespace

template <class Flavour>
HostTables<Flavour>::~HostTables() {
  Unlinked all;
  if (root() != Hpa()) unlink(root(), Format::kLevels, all);
  release(all);
}

template <class Flavour>
Hpa HostTables<Flavour>::new_table() {
  const std::optional<Hpa> frame = host_.allocate(FrameOwner::kNestedTable);
  if (!frame) return Hpa();
  ++tables_;
  return *frame;
}

template <class Flavour>
std::optional<PageSize> HostTables<Flavour>::map(const P2m& p2m, Gpa gpa, P2mEntry e,
                                                 PageSize largest) {
  largest = smaller(largest, e.size());
  Hpa table = root();
  if (table == Hpa()) {
    table = new_table();
    if (table == Hpa()) return std::nullopt;
    root_.store(table.value(), kRelease);
  }
  const Gva position(gpa.value());
  for (unsigned level = Format::kLevels;; --level) {
    const std::atomic_ref<uint64_t> at = entry(table, Format::index(position, level));
    const uint64_t old = at.load(kRelaxed);
    const PageSize size = Format::leaf_size(level);
    const bool has_table = Format::present(old) && !is_leaf(old, level);
    if (size <= largest && !has_table &&
        (level == 1 || is_unlogged(p2m, gpa.page_base(size), size))) {
      const Rights rights = e.writable() ? kAllRights : Rights{kRightUser | kRightExec};
      at.store(Format::make_leaf(e.frame().page_base(size).value(), level, rights), kRelease);
      return size;
    }
    if (has_table) {
      table = Hpa(Format::table_base(old));
      continue;
    }
    table = new_table();
    if (table == Hpa()) return std::nullopt;
    at.store(Format::make_table(table.value(), kAllRights), kRelease);
  }
}

// Adds the table and all below it to `unlinked`.
template <class Flavour>
void HostTables<Flavour>::unlink(Hpa table, unsigned level, Unlinked& unlinked) {
  unlinked.push_back(table);
  --tables_;
  for (unsigned i = 0; level > 1 && i < kEntries; ++i) {
    const uint64_t e = entry(table, i).load(kRelaxed);
    if (Format::present(e) && !is_leaf(e, level)) {
      unlink(Hpa(Format::table_base(e)), level - 1, unlinked);
    }
  }
}

template <class Flavour>
void HostTables<Flavour>::release(const Unlinked& unlinked) {
  for (const Hpa table : unlinked) host_.free(table);
}

template <class Flavour>
void HostTables<Flavour>::revoke(Gpa first, uint64_t frames, bool only_writing,
                                 Unlinked& unlinked) {
  const uint64_t limit = frames_at(Format::kLevels + 1);
  const uint64_t begin = std::min(first.frame(), limit);
  const Range range{begin, begin + std::min(frames, limit - begin)};
  if (range.first == range.end || root() == Hpa()) return;
  revoke_in(root(), Format::kLevels, 0, range, only_writing, unlinked);
}

// `base` is the first guest frame that `table` is about; the range overlaps what it covers.
template <class Flavour>
void HostTables<Flavour>::revoke_in(Hpa table, unsigned level, uint64_t base, Range range,
                                    bool only_writing, Unlinked& unlinked) {
  const uint64_t span = frames_at(level);
  const uint64_t from = std::max(range.first, base);
  const uint64_t to = std::min(range.end, base + span * kEntries);
  for (uint64_t i = (from - base) / span; i * span < to - base; ++i) {
    const std::atomic_ref<uint64_t> at = entry(table, static_cast<unsigned>(i));
    const uint64_t e = at.load(kRelaxed);
    if (!Format::present(e)) continue;
    const uint64_t first = base + i * span;
    if (is_leaf(e, level)) {
      if (only_writing && level == 1) {
        at.fetch_and(~Flavour::kWriteBit, kRelease);
      } else {
        at.store(0, kRelease);
      }
    } else if (!only_writing && range.first <= first && first + span <= range.end) {
      at.store(0, kRelease);
      unlink(Hpa(Format::table_base(e)), level - 1, unlinked);
    } else {
      revoke_in(Hpa(Format::table_base(e)), level - 1, first, range, only_writing, unlinked);
    }
  }
}

template <class Flavour>
struct HostTables<Flavour>::Audit {
  const P2m& p2m;
  PageSize largest;
  std::vector<AuditFinding>& findings;
  absl::flat_hash_set<Hpa> seen{};
};

template <class Flavour>
void HostTables<Flavour>::audit(const P2m& p2m, PageSize largest,
                                std::vector<AuditFinding>& findings) const {
  Audit audit{p2m, largest, findings};
  if (root() != Hpa()) audit_table(audit, root(), Format::kLevels, 0);
  if (audit.seen.size() != tables_) {
    findings.push_back({1, absl::StrFormat("%d nested tables are linked, %d are accounted for",
                                           audit.seen.size(), tables_)});
  }
}

template <class Flavour>
void HostTables<Flavour>::audit_table(Audit& audit, Hpa table, unsigned level,
                                      uint64_t base) const {
  if (host_.owner(table) != FrameOwner::kNestedTable) {
    audit.findings.push_back({1, absl::StrFormat("level %d table for %s is no nested table: %s", level,
                                                 to_string(Gpa::from_frame(base)), to_string(table))});
    return;
  }
  if (!audit.seen.insert(table).second) {
    audit.findings.push_back({1, absl::StrFormat("nested table %s is linked twice", to_string(table))});
    return;
  }
  for (unsigned i = 0; i < kEntries; ++i) {
    const uint64_t e = entry(table, i).load(kRelaxed);
    const uint64_t first = base + i * frames_at(level);
    if (!Format::present(e)) {
      if (e != 0) {
        audit.findings.push_back({7, absl::StrFormat("entry 0x%x for %s is neither present nor zero", e,
                                                     to_string(Gpa::from_frame(first)))});
      }
    } else if (Format::malformed(e, level, is_leaf(e, level), Flavour::kRules)) {
      audit.findings.push_back({1, absl::StrFormat("malformed level %d entry 0x%x for %s", level, e,
                                                   to_string(Gpa::from_frame(first)))});
    } else if (is_leaf(e, level)) {
      audit_leaf(audit, e, level, first);
    } else {
      audit_table(audit, Hpa(Format::table_base(e)), level - 1, first);
    }
  }
}

// One finding a leaf is enough.
template <class Flavour>
void HostTables<Flavour>::audit_leaf(Audit& audit, uint64_t e, unsigned level,
                                     uint64_t base) const {
  const Hpa page(Format::leaf_base(e, level));
  const bool writable = (e & Flavour::kWriteBit) != 0;
  const auto report = [&](int invariant, uint64_t i, absl::string_view what) {
    audit.findings.push_back(
        {invariant, absl::StrFormat("nested entry 0x%x for %s %s", e,
                                    to_string(Gpa::from_frame(base + i)), what)});
  };
  if (Format::leaf_size(level) > audit.largest) {
    return report(1, 0, absl::StrFormat("maps more than %s", name_of(audit.largest)));
  }
  for (uint64_t i = 0; i < frames_at(level); ++i) {
    const Hpa frame = Hpa::from_frame(page.frame() + i);
    const P2mEntry now = audit.p2m.lookup(Gpa::from_frame(base + i));
    if (host_.owner(frame) != FrameOwner::kGuestRam) {
      return report(1, i, "reaches a frame that is not guest RAM");
    }
    if (!now.is_ram() || now.frame() != frame) return report(1, i, "is not what the p2m says");
    if (writable && !now.writable()) return report(3, i, "is writable and the p2m's is not");
  }
}

template class HostTables<Ept<4, false>>;
template class HostTables<Ept<4, true>>;
template class HostTables<Ept<5, false>>;
template class HostTables<Ept<5, true>>;
template class HostTables<Npt<4>>;
template class HostTables<Npt<5>>;

}  // namespace gnomon
