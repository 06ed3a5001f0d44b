// SPDX-License-Identifier: Apache-2.0
#include "traces/gtrace/forecast.h"

#include <array>

namespace gnomon::gtrace {
namespace {

// Bases that are tried: the slot itself, the record before, and those slots that came before it
// when it was first used.
constexpr size_t kOlder = 3;
constexpr size_t kBases = 2 + kOlder;

struct Trial {
  uint32_t base = Slot::kOwn;
  uint32_t weight = 0;  // of `usual`, by majority vote
  uint32_t learned_hits = 0;
  uint32_t fixed_hits = 0;
  uint64_t usual = 0;   // offset
  uint64_t newest = 0;  // offset
};

struct Trials {
  std::array<Trial, kBases> of;
  uint32_t bases = 0;  // 0: not seen yet
  uint64_t last = 0;
  uint64_t first = 0;
};

void add_bases(Trials& t, uint32_t slot, const std::array<uint32_t, kOlder + 1>& before) {
  t.of[0].base = Slot::kOwn;
  t.of[1].base = Slot::kBefore;
  t.bases = 2;
  for (size_t i = 1; i < before.size(); ++i) {  // 0 is what kBefore stands for
    const uint32_t other = before[i];
    bool known = other == Slot::kOwn || other == slot;
    for (uint32_t k = 2; k < t.bases; ++k) known |= t.of[k].base == other;
    if (!known) t.of[t.bases++].base = other;
  }
}

class Chooser {
 public:
  explicit Chooser(size_t slots) : trials_(slots) {}

  /// First time through: what would learning hit, and which offset is the usual one?
  void learn(absl::Span<const DataRecord> data) {
    std::array<uint32_t, kOlder + 1> before;  // the newest first
    before.fill(Slot::kOwn);
    uint64_t previous = 0;
    for (const DataRecord& d : data) {
      Trials& t = trials_[d.slot];
      const bool is_first = t.bases == 0;
      if (is_first) {
        add_bases(t, d.slot, before);
        t.first = t.last = d.address;
      }
      for (uint32_t k = 0; k < t.bases; ++k) {
        Trial& trial = t.of[k];
        const uint64_t offset = d.address - last_of(t, trial, previous);
        trial.learned_hits += offset == trial.newest ? 1 : 0;
        trial.newest = offset;
        if (is_first && trial.base == Slot::kOwn) continue;  // there is none yet
        if (trial.weight == 0) trial.usual = offset;
        trial.weight += offset == trial.usual ? 1 : ~uint32_t{0};
      }
      t.last = previous = d.address;
      for (size_t i = before.size() - 1; i > 0; --i) before[i] = before[i - 1];
      before[0] = d.slot;
    }
  }

  /// Second time: what would the usual offset hit?
  void check(absl::Span<const DataRecord> data) {
    uint64_t previous = 0;
    for (Trials& t : trials_) t.last = t.first - t.of[0].usual;
    for (const DataRecord& d : data) {
      Trials& t = trials_[d.slot];
      for (uint32_t k = 0; k < t.bases; ++k) {
        Trial& trial = t.of[k];
        const uint64_t offset = d.address - last_of(t, trial, previous);
        trial.fixed_hits += offset == trial.usual ? 1 : 0;
      }
      t.last = previous = d.address;
    }
  }

  Slot choose(uint32_t slot) const {
    const Trials& t = trials_[slot];
    Slot best;
    uint32_t best_hits = 0;
    for (uint32_t k = 0; k < t.bases; ++k) {
      const Trial& trial = t.of[k];
      for (const bool learns : {false, true}) {
        const uint32_t hits = learns ? trial.learned_hits : trial.fixed_hits;
        if (hits <= best_hits && !(k == 0 && !learns)) continue;
        best_hits = hits;
        best = Slot{trial.base, learns, trial.usual, t.first - trial.usual};
      }
    }
    if (best.base != Slot::kOwn) best.last = 0;
    return best;
  }

 private:
  uint64_t last_of(const Trials& t, const Trial& trial, uint64_t previous) const {
    return trial.base == Slot::kOwn      ? t.last
           : trial.base == Slot::kBefore ? previous
                                         : trials_[trial.base].last;
  }

  std::vector<Trials> trials_;
};

}  // namespace

void choose_forecasts(absl::Span<const DataRecord> data, std::vector<Slot>& slots) {
  Chooser chooser(slots.size());
  chooser.learn(data);
  chooser.check(data);
  for (uint32_t i = 0; i < slots.size(); ++i) slots[i] = chooser.choose(i);
}

}  // namespace gnomon::gtrace
