// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_KEPT_STATE_H_
#define TOOLS_KEPT_STATE_H_

#include <cstdint>
#include <map>
#include <optional>

#include "absl/status/status.h"
#include "gnomon/traces/record.h"

namespace gnomon::tools {

/// What the part of a program's trace that is left out leaves behind for the part that is kept: who
/// runs, the mappings and heap of every process, and the region of interest that is under way. Of a
/// whole guest: KeptGuest.
class KeptState {
 public:
  /// The next event of the part that is left out. What cannot be changes nothing.
  /// ResourceExhausted: more mappings than any guest has.
  absl::Status pass(const TraceEvent& event);
  /// The records and events that bring a guest from its start to this state.
  TraceBatch batch() const;

 private:
  struct Mapping {
    uint64_t end = 0;
    TraceEvent made;  ///< a kMap of the whole mapping
    bool no_huge = false;
    bool untold =
        false;  ///< the trace remaps it without having told of it: kept only for the rules of that
    uint64_t memory =
        0;  ///< which shared memory without a file (then made.value: where in it); 0: none
  };
  using Mappings = std::map<uint64_t, Mapping>;  // by start, disjoint
  struct Process {
    Mappings mappings;
    std::optional<uint64_t> heap_start;
    uint64_t heap_end = 0;
  };

  static void advance(Mapping& mapping, uint64_t bytes);
  static bool joins(const Mappings::value_type& lower, const Mappings::value_type& upper);
  void cut(Mappings& all, uint64_t start, uint64_t end);
  void split(Mappings& all, uint64_t at);
  void put(Mappings& all, uint64_t start, uint64_t end, const Mapping& like);
  void set_break(Process& process, uint64_t address);
  void map(Mappings& all, const TraceEvent& event);
  void remap(Mappings& all, const TraceEvent& event);
  template <class F>
  void change(Mappings& all, const TraceEvent& event, const F& f);
  void fork(const TraceEvent& event);

  std::map<uint32_t, Process> processes_;
  size_t mappings_ = 0;  // of all of them
  uint64_t memories_ = 0;
  uint32_t process_ = 0;
  uint32_t thread_ = 0;
  std::optional<TraceEvent> region_;  // the mark that began it
};

}  // namespace gnomon::tools

#endif  // TOOLS_KEPT_STATE_H_
