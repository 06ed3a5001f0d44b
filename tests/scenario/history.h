// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SCENARIO_HISTORY_H_
#define TESTS_SCENARIO_HISTORY_H_

#include <map>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "gnomon/backend.h"
#include "tests/naive/naive_mmu.h"

namespace gnomon::scenario {

/// A translation as a TLB would keep it.
struct Cached {
  Gpa page;  ///< the guest-physical page of `size` that the address lies in
  PageSize size = PageSize::k4K;
  Rights rights = 0;
  uint8_t key = 0;
  bool global = false;
  bool dirty = false;
  friend bool operator==(const Cached&, const Cached&) = default;

  /// Is whatever an entry of this kind permits also right by `now`? Then it need not be flushed.
  bool covered_by(const Cached& now) const {
    return page == now.page && size == now.size && key == now.key && global == now.global &&
           (rights & ~now.rights) == 0 && (!dirty || now.dirty);
  }
};

/// What one vCPU may still use although the tables say something else: every translation that it
/// could have cached since the last flush that covers it (SDM vol. 3, 4.10). The perfect, unlimited
/// TLB. A mapping whose accessed flag is clear somewhere, or that ends in a fault, is never cached.
///
/// It follows a fixed set of pages, the ones that the program uses.
class History {
 public:
  explicit History(std::vector<Gva> pages)
      : pages_(std::move(pages)), global_(pages_.size()), now_(pages_.size()) {
    load_cr3(0, true);
  }
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  absl::Span<const Gva> pages() const { return pages_; }

  /// Takes note of what the tables say now, for the address space in use.
  void observe(const NaiveMmu& naive, const VcpuState& cpu);

  /// What the tables said at the last `observe`; nullopt: nothing that could be cached.
  const std::optional<Cached>& now(size_t page) const { return now_[page]; }
  /// Calls `f(const Cached&)` for everything that may be cached for the page and is not what the
  /// tables say now, until it returns true; then true.
  template <class F>
  bool any_stale(size_t page, F&& f) const {
    const auto in = [&](const Lists& lists) {
      for (const Cached& c : lists[page]) {
        if (now_[page] != c && f(c)) return true;
      }
      return false;
    };
    return in(*current_) || in(global_);
  }

  // Flushes.
  void invlpg(Gva va);
  void load_cr3(uint16_t pcid, bool flush);
  void invpcid(InvpcidType type, uint16_t pcid, Gva va);
  void flush_all();

 private:
  using Lists = std::vector<std::vector<Cached>>;  // by page
  void drop(Lists& lists, Gva va);

  std::vector<Gva> pages_;
  std::map<uint16_t, Lists> by_pcid_;
  Lists global_;
  std::vector<std::optional<Cached>> now_;
  Lists* current_ = nullptr;  // that of the PCID in use
};

}  // namespace gnomon::scenario

#endif  // TESTS_SCENARIO_HISTORY_H_
