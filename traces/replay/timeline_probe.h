// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_REPLAY_TIMELINE_PROBE_H_
#define TRACES_REPLAY_TIMELINE_PROBE_H_

#include <cstdint>

#include "gnomon/base/counters.h"
#include "gnomon/cache/hierarchy.h"
#include "gnomon/cost/model.h"
#include "gnomon/replay/timeline.h"

namespace gnomon {

/// Turns what a processor counts into slices of a timeline: asked after each step, it prices what has
/// been added since the last time.
class TimelineProbe {
 public:
  TimelineProbe(Timeline& timeline, const CostModel& prices, unsigned vcpu)
      : timeline_(timeline), prices_(prices), vcpu_(static_cast<uint16_t>(vcpu)) {}

  /// Measuring begins, or goes on: what was counted since the last step is left out.
  void start(const Counters& now, const CacheStats* caches);
  /// Puts down what was added. `address` is what the processor was doing.
  void step(const Counters& now, const CacheStats* caches, uint64_t address);

 private:
  Timeline& timeline_;
  const CostModel& prices_;
  uint16_t vcpu_;
  Counters before_;
  CacheStats caches_before_;
  double at_ = 0;  // modelled cycles so far
};

/// What was added between two sums.
Counters difference(const Counters& now, const Counters& before);
CacheStats difference(const CacheStats& now, const CacheStats& before);
void add(CacheStats& sum, const CacheStats& part);

}  // namespace gnomon

#endif  // TRACES_REPLAY_TIMELINE_PROBE_H_
