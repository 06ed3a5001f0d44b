// SPDX-License-Identifier: Apache-2.0
#include "mmu/shadow/pte_list.h"

namespace gnomon::shadow {

uint32_t PteListPool::allocate(uint32_t next) {
  uint32_t n = free_;
  if (n != 0) {
    free_ = nodes_[n].next;
  } else {
    n = static_cast<uint32_t>(nodes_.size());
    nodes_.emplace_back();
  }
  nodes_[n].used = 0;
  nodes_[n].next = next;
  nodes_[n].length = next == 0 ? 0 : nodes_[next].length;
  return n;
}

void PteListPool::release(uint32_t node) {
  nodes_[node].next = free_;
  free_ = node;
}

uint64_t PteListPool::bytes() const {
  uint64_t sum = nodes_.capacity() * sizeof(Node);
  for (const Table& table : tables_) {
    sum += table.ptes.capacity() * sizeof(uint32_t) + table.at.capacity() * (2 * sizeof(uint32_t) + 1);
  }
  return sum;
}

uint32_t PteListPool::length(const PteList& list) const {
  if ((list.head & kChain) == 0) return list.head != 0;
  const Table* table = table_of(list);
  return table != nullptr ? static_cast<uint32_t>(table->ptes.size())
                          : nodes_[list.head & ~kChain].length;
}

void PteListPool::add_to(Table& table, PteId pte) {
  table.at[pte.code] = static_cast<uint32_t>(table.ptes.size());
  table.ptes.push_back(pte.code);
}

void PteListPool::make_table(PteList& list) {
  if (free_tables_.empty()) {
    free_tables_.push_back(static_cast<uint32_t>(tables_.size()));
    tables_.emplace_back();
  }
  const uint32_t number = free_tables_.back();
  free_tables_.pop_back();
  for_each(list, [&](PteId pte) { add_to(tables_[number], pte); });
  for (uint32_t n = list.head & ~kChain; n != 0;) {
    const uint32_t next = nodes_[n].next;
    release(n);
    n = next;
  }
  list.head = kTable | number;
}

bool PteListPool::remove_from_table(PteList& list, PteId pte) {
  const uint32_t number = list.head & ~kTable;
  Table& table = tables_[number];
  const auto found = table.at.find(pte.code);
  if (found == table.at.end()) return false;
  const uint32_t last = table.ptes.back();
  table.ptes[found->second] = last;
  table.at[last] = found->second;
  table.ptes.pop_back();
  table.at.erase(pte.code);
  if (table.ptes.empty()) {
    table = {};
    free_tables_.push_back(number);
    list.head = 0;
  }
  return true;
}

void PteListPool::add(PteList& list, PteId pte) {
  if (list.head == 0) {
    list.head = pte.code;
    return;
  }
  if (table_of(list) != nullptr) return add_to(tables_[list.head & ~kTable], pte);
  uint32_t n;
  if ((list.head & kChain) == 0) {
    n = allocate(0);
    nodes_[n].ptes[nodes_[n].used++] = list.head;
    nodes_[n].length = 1;
  } else {
    n = list.head & ~kChain;
    if (nodes_[n].used == nodes_[n].ptes.size()) n = allocate(n);
  }
  nodes_[n].ptes[nodes_[n].used++] = pte.code;
  ++nodes_[n].length;
  list.head = n | kChain;
  if (nodes_[n].length > kLongestChain) make_table(list);
}

bool PteListPool::remove(PteList& list, PteId pte) {
  if ((list.head & kChain) == 0) {
    if (list.head != pte.code || pte.code == 0) return false;
    list.head = 0;
    return true;
  }
  if (table_of(list) != nullptr) return remove_from_table(list, pte);
  const uint32_t first = list.head & ~kChain;
  for (uint32_t n = first; n != 0; n = nodes_[n].next) {
    for (uint32_t i = 0; i < nodes_[n].used; ++i) {
      if (nodes_[n].ptes[i] != pte.code) continue;
      // Fill the gap from the first node, which alone may be short.
      Node& head = nodes_[first];
      nodes_[n].ptes[i] = head.ptes[--head.used];
      --head.length;
      if (head.used == 0) {
        nodes_[head.next].length = head.length;
        list.head = head.next | kChain;
        release(first);
      }
      const Node& now = nodes_[list.head & ~kChain];
      if (now.length == 1) {
        const uint32_t last = list.head & ~kChain;
        list.head = now.ptes[0];
        release(last);
      }
      return true;
    }
  }
  return false;
}

bool PteListPool::contains(const PteList& list, PteId pte) const {
  if (const Table* table = table_of(list); table != nullptr) return table->at.contains(pte.code);
  bool found = false;
  for_each(list, [&](PteId p) { found |= p.code == pte.code; });
  return found;
}

}  // namespace gnomon::shadow
