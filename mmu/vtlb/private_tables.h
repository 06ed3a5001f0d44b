// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_VTLB_PRIVATE_TABLES_H_
#define MMU_VTLB_PRIVATE_TABLES_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "gnomon/memory/p2m.h"
#include "mmu/shadow/hardware.h"

namespace gnomon {

/// One vCPU's tables used as a big TLB: filled by misses, emptied by flushes, shared with nobody, with no way back
/// from a guest frame to the entries that map it. Where a guest page is larger than the pieces it is mapped
/// with, the entry that covers it is marked (in bits the processor ignores), because INVLPG of any address
/// of a guest page drops all of it.
class PrivateTables {
 public:
  PrivateTables(P2m& p2m, uint64_t budget_bytes) : p2m_(p2m), budget_bytes_(budget_bytes) {}
  ~PrivateTables() { free_all(); }
  PrivateTables(const PrivateTables&) = delete;
  PrivateTables& operator=(const PrivateTables&) = delete;

  /// What the processor's CR3 holds; Hpa(): nothing mapped yet. May be read at any time.
  Hpa root() const { return Hpa(root_.load(std::memory_order_acquire)); }
  /// Writes a leaf at `level` for `va`, making tables on the way (or breaking a larger page). False when
  /// neither the budget nor the host has room for them.
  bool fill(Gva va, unsigned top_level, unsigned level, uint64_t entry, PageSize guest_size, Gpa gpa);
  /// INVLPG: the leaf of `va`, and every piece of the same guest page.
  void drop(Gva va);
  /// Everything but global leaves.
  void flush_non_global();
  /// Unpublishes the root. The tables stay until `free_all`, which is called when the processor has
  /// stopped walking them.
  void unpublish() { root_.store(0, std::memory_order_release); }
  void free_all();

  /// What the leaf of `va`, which is present, was made for.
  shadow::Origin origin_of(Gva va) const;
  uint64_t bytes() const { return tables_.size() * kBytesPerTable; }

  /// Calls f(level, entry, gpa) for each leaf.
  template <class F>
  void for_each_leaf(F&& f) const {
    for (const auto& t : tables_) {
      for (unsigned i = 0; i < kEntries; ++i) {
        const uint64_t e = t->entries[i];
        if (shadow::is_present(e) && is_leaf(e, t->level)) f(t->level, e, Gpa(t->target[i]));
      }
    }
  }

 private:
  static constexpr unsigned kEntries = 512;
  static constexpr uint64_t kBytesPerTable = 4096 + kEntries * sizeof(uint64_t);
  // Ignored by the processor (SDM vol. 3, table 4-20). On the level-2 entries of a 2M or 4M guest page, and
  // on the level-3 entry of a 1G one.
  static constexpr uint64_t kPieces = 1u << 9;
  static constexpr uint64_t kPiecesOf4M = 1u << 10;

  struct Table {
    Hpa at;
    unsigned level;
    uint64_t* entries;
    uint64_t target[kEntries];  // leaf: guest-physical page; link: number of the table below
  };

  static bool is_leaf(uint64_t e, unsigned level) { return level == 1 || (e & pte::kLarge) != 0; }
  static uint64_t mark(PageSize guest, unsigned leaf_level, unsigned level);
  Table* make(unsigned level);
  bool flush_in(Table& t);
  void clear(Table& t, unsigned index);

  P2m& p2m_;
  const uint64_t budget_bytes_;
  std::atomic<uint64_t> root_{0};
  std::vector<std::unique_ptr<Table>> tables_;  // the first is the root
};

}  // namespace gnomon

#endif  // MMU_VTLB_PRIVATE_TABLES_H_
