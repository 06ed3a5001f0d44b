// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GUEST_VMA_H_
#define TRACES_GUEST_VMA_H_

#include <cstdint>
#include <functional>

#include "absl/container/btree_map.h"
#include "gnomon/traces/event.h"

namespace gnomon::guest {

enum class HugeAdvice : uint8_t { kNone, kWanted, kNotWanted };

/// A mapping: pages [start, end) of one process that are alike.
struct Vma {
  uint64_t start = 0;
  uint64_t end = 0;
  MapFlags flags = 0;  ///< rights, kMapShared, kMapStack
  HugeAdvice huge = HugeAdvice::kNone;
  /// Made by the kernel of this model because a trace without mapping events used the address;
  /// takes on whatever rights are used.
  bool implicit = false;
  /// Has had pages of its own, so a fork must copy its entries (Linux: anon_vma).
  bool own_pages = false;
  uint64_t object = 0;  ///< what the page cache knows its pages by; 0: private anonymous memory
  uint64_t offset = 0;  ///< of `start` in the object, in bytes

  bool contains(uint64_t va) const { return va >= start && va < end; }
  bool shared() const { return (flags & kMapShared) != 0; }
  bool anonymous() const { return object == 0; }
  uint64_t page_in_object(uint64_t va) const { return (offset + (va - start)) >> 12; }
};

/// Which object gained (+1) or lost (-1) a mapping.
using ObjectUse = std::function<void(uint64_t object, int change)>;

/// The mappings of one process, by address, disjoint; neighbours that are alike are one. `total`
/// counts the mappings of all processes; `use` is told about objects.
class VmaMap {
 public:
  using Map = absl::btree_map<uint64_t, Vma>;
  using iterator = Map::iterator;

  VmaMap(uint64_t& total, const ObjectUse& use) : total_(total), use_(use) {}
  ~VmaMap() { remove(0, ~uint64_t{0}); }
  VmaMap(const VmaMap&) = delete;
  VmaMap& operator=(const VmaMap&) = delete;

  /// The mapping around `va`; null: none.
  Vma* find(uint64_t va);
  /// The first mapping that ends above `va`; null: none.
  Vma* at_or_above(uint64_t va);
  /// Where the mapping below `va` ends (0: there is none), and where the one at or above it starts.
  uint64_t end_below(uint64_t va) const;
  uint64_t start_above(uint64_t va, uint64_t otherwise) const;

  /// How many mappings there may be more after a change of [start, end) that adds `added`.
  uint64_t growth(uint64_t start, uint64_t end, uint64_t added) const;

  /// [vma.start, vma.end) must be free.
  void insert(const Vma& vma);
  void remove(uint64_t start, uint64_t end);
  /// Huge pages at the edges have been split: none ever lies in two mappings.
  /// Calls change(Vma&) for each mapping in the range, cut to it, and joins what is alike
  /// afterwards.
  template <class F>
  void update(uint64_t start, uint64_t end, F&& change) {
    split(start);
    split(end);
    for (auto it = map_.lower_bound(start); it != map_.end() && it->first < end; ++it)
      change(it->second);
    join(start, end);
  }
  /// Moves the start of the mapping at `start` down.
  void grow_down(uint64_t start, uint64_t to);
  void copy_to(VmaMap& other) const;

  const Map& map() const { return map_; }

 private:
  void split(uint64_t at);
  void join(uint64_t start, uint64_t end);
  iterator erase(iterator it);
  void emplace(const Vma& vma);

  Map map_;
  uint64_t& total_;
  const ObjectUse& use_;
};

}  // namespace gnomon::guest

#endif  // TRACES_GUEST_VMA_H_
