// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SCENARIO_EXECUTION_H_
#define TESTS_SCENARIO_EXECUTION_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "gnomon/foresight.h"
#include "tests/naive/naive_mmu.h"
#include "tests/scenario/history.h"
#include "tests/scenario/machine.h"
#include "tests/scenario/memory_check.h"
#include "tests/scenario/runner.h"

namespace gnomon::scenario {

/// A program on its way through a machine, next to its mirror; what `run` does.
class Execution {
 public:
  Execution(Machine& machine, Mirror& mirror, const Program& program, absl::string_view spec,
            const RunOptions& options, RunStats& stats);

  std::optional<Failure> run();

 private:
  // What is left of an access of `size` bytes in the frame where it starts.
  static unsigned clipped(uint64_t at, unsigned size) {
    return static_cast<unsigned>(std::min<uint64_t>(size, kFrame - at % kFrame));
  }

  // Actions.
  Problem apply(const Action& a);
  Problem change_host(const Action& a);
  void set_bit(VcpuState& cpu, History& history, ControlBit bit, bool on);
  Problem store(VcpuState& cpu, Gpa at, uint64_t value, unsigned size);

  // The whole life of one access.
  Problem use(VcpuState& cpu, const Action& a);
  // Tells the backend of this and the latest other accesses beforehand, which may change nothing.
  Problem foresee(const VcpuState& cpu, Gva va);
  Problem check_probe(VcpuState& cpu, Gva va, Access access, const NaiveResult& expected);
  // Is `got` what a TLB entry `c` would answer?
  bool agrees(const Cached& c, Gva va, Access access, const Translation& got) const;
  // The accessed and dirty flags that this access sets must be in memory now (or, when an older
  // translation may have served it, none of them).
  Problem check_flags(const NaiveResult& expected, bool may_be_stale);
  // May a TLB keep this answer as it is? `exact`: it is what the model says.
  Problem check_cacheable(const VcpuState& cpu, const History& history, size_t page,
                          const NaiveResult& expected, const Translation& got, bool exact);
  // The data of a load or store.
  Problem transfer(VcpuState& cpu, Access access, const Translation& t, uint64_t value,
                   unsigned size);
  void count(const Translation& t);

  void wrote(Gpa at, uint64_t value, unsigned size) {
    mirror_.store(at, value, size);
    changed_ = true;
  }
  void touch(Gpa at) { touched_.push_back(at); }

  void observe_all();
  // What an operating system must do after a change of its tables, before it relies on it.
  void flush_what_must_be();
  void flush_one_way(VcpuState& cpu, History& history, Gva va, bool global, uint64_t way);

  Machine& m_;
  const Program& program_;
  const RunOptions& options_;
  RunStats& stats_;
  Mirror& mirror_;
  NaiveMmu naive_;
  const bool direct_;
  const MemoryCheck memory_;
  std::deque<History> histories_;    // by vCPU
  std::deque<Foresight> foresight_;  // by vCPU
  std::array<Gva, 8> latest_{};      // addresses that were accessed
  size_t step_ = 0;
  std::vector<Gpa> touched_;
  bool changed_ = false;
};

}  // namespace gnomon::scenario

#endif  // TESTS_SCENARIO_EXECUTION_H_
