// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_FORESEE_H_
#define MMU_FORESEE_H_

#include <array>
#include <cassert>

#include "absl/types/span.h"
#include "gnomon/foresight.h"
#include "gnomon/vcpu_state.h"
#include "gnomon/x86/guest_walk.h"

// What Backend::foresee is made of: passes over the addresses, each of which asks for what the next
// one reads. Nothing here counts, and entries are read as any processor may read them at any time.

namespace gnomon {

/// An address, and where the last entry of its walk lies.
struct Foreseen {
  Gva va;
  Hpa entry;
};

/// At most Foresight::kMost of them.
class ForeseenEntries {
 public:
  /// Returns where the entry lies.
  Hpa add(Gva va, Hpa table, unsigned index) {
    assert(count_ < list_.size());
    const Hpa entry(table.value() + index * sizeof(uint64_t));
    list_[count_++] = {va, entry};
    return entry;
  }
  const Foreseen* begin() const { return list_.data(); }
  const Foreseen* end() const { return list_.data() + count_; }

 private:
  size_t count_ = 0;
  std::array<Foreseen, Foresight::kMost> list_;
};

/// An entry as it is now.
inline uint64_t peek(const HostMemory& host, Hpa entry) {
  return load_entry<uint64_t>(host.at<uint8_t>(entry));
}

/// The table of level 1 on the way from the one at `root` to `va`; Hpa() where there is none:
/// absent, or mapped by a larger page. `next(entry, level)` is where the host has the table that an
/// entry leads to, Hpa() if to none.
template <class Format, class Next>
Hpa last_table(const HostMemory& host, Hpa root, Gva va, Next&& next) {
  Hpa table = root;
  for (unsigned level = Format::kLevels; level > 1 && table != Hpa(); --level) {
    table =
        next(peek(host, Hpa(table.value() + Format::index(va, level) * sizeof(uint64_t))), level);
  }
  return table;
}

/// Asks for the last entries of walks for `pages` through the tables at `root`, and lists them.
template <class Format, class Next>
ForeseenEntries foresee_entries(const HostMemory& host, LastTables& known, Hpa root,
                                absl::Span<const Gva> pages, CacheHierarchy* caches, Next&& next) {
  ForeseenEntries found;
  for (const Gva va : pages) {
    const Hpa table = known.of(root.value(), va.value() >> Format::shift(2),
                               [&] { return last_table<Format>(host, root, va, next); });
    if (table == Hpa()) continue;
    const Hpa entry = found.add(va, table, Format::index(va, 1));
    load_ahead(host.at<uint64_t>(entry));
    if (caches != nullptr) caches->load_ahead(entry);
  }
  return found;
}

/// Does an entry of tables in this format lead to another table?
template <class Format>
bool leads_on(uint64_t entry, unsigned level) {
  return Format::present(entry) && (level > 3 || (entry & pte::kLarge) == 0);
}

/// foresee_entries for a guest whose own tables the processor walks.
template <class Format>
ForeseenEntries foresee_guest_entries(const P2m& p2m, const VcpuState& cpu, LastTables& known,
                                      absl::Span<const Gva> pages) {
  const auto place = [&](uint64_t table) {
    const P2mEntry e = p2m.lookup(Gpa(table));
    return e.is_ram() ? e.frame() : Hpa();
  };
  const Hpa root = place(cpu.controls.cr3 & pte::kFrameMask);
  return foresee_entries<Format>(
      p2m.host(), known, root, pages, cpu.memory, [&](uint64_t entry, unsigned level) {
        return leads_on<Format>(entry, level) ? place(Format::table_base(entry)) : Hpa();
      });
}

/// Runs `f(Format{})` with the format of the guest's 64-bit paging mode; nothing in other modes.
template <class F>
void with_long_format(const PagingRules& rules, F&& f) {
  if (rules.mode == PagingMode::kLevel4) f(Long4{});
  if (rules.mode == PagingMode::kLevel5) f(Long5{});
}

}  // namespace gnomon

#endif  // MMU_FORESEE_H_
