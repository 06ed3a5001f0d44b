// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_SHADOW_PTE_LIST_H_
#define MMU_SHADOW_PTE_LIST_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace gnomon::shadow {

/// Names one shadow entry: page number and index in it.
struct PteId {
  uint32_t code = 0;  ///< page << 9 | index; 0 is none, since page 0 does not exist

  static PteId make(uint32_t page, unsigned index) { return {page << 9 | index}; }
  uint32_t page() const { return code >> 9; }
  unsigned index() const { return code & 0x1ff; }
};

/// A set of shadow entries in one word: empty, one entry in place, a chain of nodes in a pool, or, when it
/// gets long (a page of zeros or of a shared library may be mapped from any number of places), a table
/// with an index. Most frames are mapped once, so most sets need no node.
struct PteList {
  uint32_t head = 0;
  bool empty() const { return head == 0; }
};

/// The nodes of all lists of one pager.
class PteListPool {
 public:
  void add(PteList& list, PteId pte);
  /// False if the entry was not in the list.
  bool remove(PteList& list, PteId pte);
  bool contains(const PteList& list, PteId pte) const;
  uint64_t bytes() const;
  uint32_t length(const PteList& list) const;

  /// Calls f(PteId) for each entry. The list must not change meanwhile.
  template <class F>
  void for_each(const PteList& list, F&& f) const {
    if (list.head == 0) return;
    if ((list.head & kChain) == 0) {
      f(PteId{list.head});
      return;
    }
    if (const Table* table = table_of(list); table != nullptr) {
      for (const uint32_t code : table->ptes) f(PteId{code});
      return;
    }
    for (uint32_t n = list.head & ~kChain; n != 0; n = nodes_[n].next) {
      for (uint32_t i = 0; i < nodes_[n].used; ++i) f(PteId{nodes_[n].ptes[i]});
    }
  }
  /// Any entry of the list, for "while not empty, drop one".
  PteId any(const PteList& list) const {
    if (const Table* table = table_of(list); table != nullptr) return PteId{table->ptes.back()};
    return PteId{(list.head & kChain) == 0 ? list.head : nodes_[list.head & ~kChain].ptes[0]};
  }

 private:
  static constexpr uint32_t kChain = 1u << 31;
  static constexpr uint32_t kTable = kChain | 1u << 30;  // the rest is the number of a table
  static constexpr uint32_t kLongestChain = 64;
  // Only the first node of a chain may be partly filled, so adding looks at one node.
  struct Node {
    std::array<uint32_t, 5> ptes;
    uint32_t used;
    uint32_t next;
    uint32_t length;  // of the whole list; only of use in its first node
  };
  /// A long list: removal fills the gap with the last entry, so order does not depend on hashing.
  struct Table {
    std::vector<uint32_t> ptes;
    absl::flat_hash_map<uint32_t, uint32_t> at;  // position of each
  };
  uint32_t allocate(uint32_t next);
  void release(uint32_t node);
  const Table* table_of(const PteList& list) const {
    return (list.head & kTable) == kTable ? &tables_[list.head & ~kTable] : nullptr;
  }
  void make_table(PteList& list);
  static void add_to(Table& table, PteId pte);
  bool remove_from_table(PteList& list, PteId pte);

  std::vector<Node> nodes_ = std::vector<Node>(1);  // node 0 is "none"
  uint32_t free_ = 0;
  std::vector<Table> tables_;
  std::vector<uint32_t> free_tables_;
};

}  // namespace gnomon::shadow

#endif  // MMU_SHADOW_PTE_LIST_H_
