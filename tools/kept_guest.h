// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_KEPT_GUEST_H_
#define TOOLS_KEPT_GUEST_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "gnomon/traces/record.h"
#include "gnomon/traces/trace_writer.h"

namespace gnomon::tools {

/// What the part of a whole guest's trace that is left out leaves behind for the part that is kept:
/// the tables as they are in the end, the pages in use, the control registers of each processor and
/// what it had in CR3 (backends know a root again), and the region of interest that is under way.
/// What it did with translations is gone.
class KeptGuest {
 public:
  /// The next event of the part that is left out. What cannot be changes nothing; but values of control registers are
  /// not looked at: the replay will say.
  /// ResourceExhausted: more tables or processors than any guest has.
  absl::Status pass(const TraceEvent& event);
  /// Writes what brings a guest from its start to this state, and adds to `events` how many those
  /// are.
  absl::Status write(TraceWriter& writer, uint64_t& events) const;

 private:
  struct Load {
    uint64_t value = 0;
    uint64_t order = 0;
  };
  struct Processor {
    std::optional<TraceEvent> controls, rights;
    std::map<uint64_t, Load>
        roots;          // by their page: the last load of CR3 with each, while it is no data
    uint64_t last = 0;  // Load::order of the one it has now
  };

  bool in_memory(uint64_t address, uint64_t bytes) const;
  void use(uint64_t page);
  void store(uint64_t address, unsigned bytes, uint64_t value);
  void fill(uint64_t page);
  void load_root(uint64_t value);
  static std::vector<uint64_t> loads_of(const Processor& processor);

  std::optional<TraceEvent> guest_;
  absl::btree_map<uint64_t, uint64_t> words_;  // by address: those of tables, also if they are 0
  std::vector<uint64_t> pages_;  // in use, in the order in which the host gives them memory
  absl::flat_hash_set<uint64_t> in_use_;  // the same
  std::map<uint32_t, Processor> processors_;
  size_t roots_ = 0;  // of all of them
  uint64_t loads_ = 0;
  uint32_t running_ = 0;
  std::vector<TraceEvent> devices_;
  std::optional<TraceEvent> region_;  // the mark that began it
};

}  // namespace gnomon::tools

#endif  // TOOLS_KEPT_GUEST_H_
