// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GUEST_PAGE_CACHE_H_
#define TRACES_GUEST_PAGE_CACHE_H_

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace gnomon::guest {

/// The pages of objects: files, which stay until the machine ends, and shared anonymous memory,
/// which goes with its last mapping.
class PageCache {
 public:
  /// The number of a file of a trace.
  uint64_t file(uint32_t group, uint64_t file) { return number_of({group, file}); }
  /// Stands for the program text that a trace without mapping events runs.
  uint64_t implicit_text(uint32_t group) { return number_of({group | uint64_t{1} << 32, 0}); }
  /// A new object of shared anonymous memory.
  uint64_t new_memory() { return (next_ += 2) | 1; }
  static bool is_memory(uint64_t object) { return (object & 1) != 0; }

  /// The frame that holds the page; 0: it is not cached.
  uint64_t find(uint64_t object, uint64_t page) const {
    const auto it = chunks_.find({object, page / kChunk});
    return it == chunks_.end() ? 0 : it->second[page % kChunk];
  }
  void add(uint64_t object, uint64_t page, uint64_t frame);

  /// A mapping of shared memory came (+1) or went (-1); true: that was the last one.
  bool use(uint64_t object, int change);
  /// Forgets an object of shared memory, and calls drop(frame) for its pages in the order they
  /// came.
  template <class F>
  void forget(uint64_t object, F&& drop) {
    const auto it = memories_.find(object);
    if (it == memories_.end()) return;
    for (const uint64_t page : it->second.pages) {
      drop(find(object, page));
      chunks_[{object, page / kChunk}][page % kChunk] = 0;
    }
    for (const uint64_t page : it->second.pages) chunks_.erase({object, page / kChunk});
    memories_.erase(it);
  }

 private:
  // Neighbours lie together: mapping the pages around a fault asks for all of them.
  static constexpr uint64_t kChunk = 16;
  struct Memory {
    uint64_t mappings = 0;
    std::vector<uint64_t> pages;
  };
  using Key = std::pair<uint64_t, uint64_t>;

  uint64_t number_of(Key file);

  absl::flat_hash_map<Key, std::array<uint32_t, kChunk>> chunks_;
  absl::flat_hash_map<Key, uint64_t> files_;
  absl::flat_hash_map<uint64_t, Memory> memories_;
  uint64_t next_ = 0;
};

}  // namespace gnomon::guest

#endif  // TRACES_GUEST_PAGE_CACHE_H_
