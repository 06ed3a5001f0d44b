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

void PteListPool::add(PteList& list, PteId pte) {
  if (list.head == 0) {
    list.head = pte.code;
    return;
  }
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
}

bool PteListPool::remove(PteList& list, PteId pte) {
  if ((list.head & kChain) == 0) {
    if (list.head != pte.code || pte.code == 0) return false;
    list.head = 0;
    return true;
  }
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
  bool found = false;
  for_each(list, [&](PteId p) { found |= p.code == pte.code; });
  return found;
}

}  // namespace gnomon::shadow
