// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_RUN_FINDER_H_
#define TRACES_GTRACE_RUN_FINDER_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "gnomon/traces/record.h"
#include "traces/gtrace/dictionary.h"

namespace gnomon::gtrace {

/// Cuts records into basic runs, and gives their data records slots.
class RunFinder {
 public:
  /// One step of a block: a basic run by its number, or an event.
  static constexpr uint32_t kEvent = ~uint32_t{0};

  /// Takes records from the front until they end or a dictionary is full, and returns how many it
  /// took (some, if there are any). Fills `dictionary` but for slots' forecasts and pairs, and
  /// `steps`.
  size_t find(absl::Span<const TraceRecord> records, Dictionary& dictionary,
              std::vector<uint32_t>& steps);

 private:
  struct Key {
    const TraceRecord* records;
    uint32_t count;
    uint64_t hash;
  };
  struct Hash {
    size_t operator()(const Key& key) const { return static_cast<size_t>(key.hash); }
  };
  struct Same {
    bool operator()(const Key& a, const Key& b) const;
  };
  void add(const Key& key, Dictionary& dictionary);

  absl::flat_hash_map<Key, uint32_t, Hash, Same> runs_;
  // Of a fetch, and how many data records lie between.
  absl::flat_hash_map<std::pair<uint64_t, uint32_t>, uint32_t> slots_;
};

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_RUN_FINDER_H_
