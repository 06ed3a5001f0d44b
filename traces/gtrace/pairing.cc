// SPDX-License-Identifier: Apache-2.0
#include "traces/gtrace/pairing.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "traces/gtrace/run_finder.h"

namespace gnomon::gtrace {
namespace {

constexpr int kRounds = 8;
/// A pair that is rarer does not earn its place in the dictionary.
constexpr uint32_t kLeastCount = 12;
/// Records in all pairs: with 16 bytes each they should stay in a processor's second-level cache.
constexpr uint32_t kPairRecords = 1u << 15;

class Pairer {
 public:
  Pairer(Dictionary& dictionary, std::vector<uint32_t>& steps)
      : dictionary_(dictionary), steps_(steps) {
    for (const BasicRun& run : dictionary.basics) sizes_.push_back({run.records, run.data});
  }

  void run() {
    for (int i = 0; i < kRounds && round(); ++i) {
    }
    drop_unused();
  }

 private:
  struct Size {
    uint32_t records, data;
  };

  static uint64_t key(uint32_t a, uint32_t b) { return uint64_t{a} << 32 | b; }
  bool fits(uint32_t a, uint32_t b) const {
    return a != RunFinder::kEvent && b != RunFinder::kEvent &&
           sizes_[a].records + sizes_[b].records <= kMaxRunRecords &&
           sizes_[a].data + sizes_[b].data <= kMaxRunData;
  }
  uint32_t count(uint32_t a, uint32_t b) const {
    const auto found = counts_.find(key(a, b));
    return found == counts_.end() ? 0 : found->second;
  }

  /// False if there was nothing to be made.
  bool round() {
    counts_.clear();
    for (size_t i = 0; i + 1 < steps_.size(); ++i) {
      if (fits(steps_[i], steps_[i + 1])) ++counts_[key(steps_[i], steps_[i + 1])];
    }
    made_.clear();
    size_t to = 0;
    const size_t n = steps_.size();
    for (size_t i = 0; i < n; ++to) {
      const uint32_t a = steps_[i++];
      steps_[to] = a;
      if (i == n) continue;
      const uint32_t b = steps_[i];
      const uint32_t here = count(a, b);
      if (here < kLeastCount) continue;
      if (i + 1 < n && steps_[i + 1] != b && count(b, steps_[i + 1]) > here) continue;
      if (const uint32_t pair = pair_of(a, b); pair != RunFinder::kEvent) {
        steps_[to] = pair;
        ++i;
      }
    }
    steps_.resize(to);
    return !made_.empty();
  }

  uint32_t pair_of(uint32_t a, uint32_t b) {
    const auto [found, is_new] = made_.try_emplace(key(a, b), static_cast<uint32_t>(sizes_.size()));
    if (!is_new) return found->second;
    const Size size{sizes_[a].records + sizes_[b].records, sizes_[a].data + sizes_[b].data};
    if (sizes_.size() == kMaxRuns || records_ + size.records > kPairRecords ||
        dictionary_.records.size() + records_ + size.records > kMaxRunRecordsTotal) {
      made_.erase(found);
      return RunFinder::kEvent;
    }
    records_ += size.records;
    sizes_.push_back(size);
    dictionary_.pairs.emplace_back(a, b);
    return found->second;
  }

  /// Pairs that went into others every time.
  void drop_unused() {
    const auto basics = static_cast<uint32_t>(dictionary_.basics.size());
    std::vector<bool> used(sizes_.size());
    for (const uint32_t step : steps_) {
      if (step != RunFinder::kEvent) used[step] = true;
    }
    for (size_t i = sizes_.size(); i-- > basics;) {
      if (!used[i]) continue;
      const auto [a, b] = dictionary_.pairs[i - basics];
      used[a] = used[b] = true;
    }
    std::vector<uint32_t> number(sizes_.size());
    uint32_t next = 0;
    for (uint32_t i = 0; i < number.size(); ++i) {
      if (i < basics) used[i] = true;
      number[i] = next;
      if (!used[i]) continue;
      if (i >= basics) {
        const auto [a, b] = dictionary_.pairs[i - basics];
        dictionary_.pairs[next - basics] = {number[a], number[b]};
      }
      ++next;
    }
    dictionary_.pairs.resize(next - basics);
    for (uint32_t& step : steps_) {
      if (step != RunFinder::kEvent) step = number[step];
    }
  }

  Dictionary& dictionary_;
  std::vector<uint32_t>& steps_;
  std::vector<Size> sizes_;  // of all runs
  uint64_t records_ = 0;     // of the pairs
  absl::flat_hash_map<uint64_t, uint32_t> counts_;
  absl::flat_hash_map<uint64_t, uint32_t> made_;  // in this round
};

constexpr uint32_t kNone = ~uint32_t{0};

}  // namespace

void make_pairs(Dictionary& dictionary, std::vector<uint32_t>& steps) {
  Pairer(dictionary, steps).run();
}

void put_in_order(Dictionary& dictionary, std::vector<uint32_t>& steps) {
  const auto count = static_cast<uint32_t>(dictionary.basics.size());
  std::vector<uint32_t> number(count, kNone), order;
  order.reserve(count);
  const auto place = [&](uint32_t run) {
    if (run >= count || number[run] != kNone) return;
    number[run] = static_cast<uint32_t>(order.size());
    order.push_back(run);
  };
  for (const uint32_t step : steps) place(step);
  for (uint32_t run = 0; run < count; ++run) place(run);

  std::vector<BasicRun> basics;
  basics.reserve(count);
  for (const uint32_t run : order) basics.push_back(dictionary.basics[run]);
  dictionary.basics = std::move(basics);
  for (uint32_t& step : steps) {
    if (step < count) step = number[step];
  }
  for (auto& [a, b] : dictionary.pairs) {
    if (a < count) a = number[a];
    if (b < count) b = number[b];
  }

  std::vector<uint32_t> slot_number(dictionary.slots.size(), kNone);
  uint32_t next = 0;
  for (const BasicRun& run : dictionary.basics) {
    for (uint32_t i = 0; i < run.data; ++i) {
      uint32_t& slot = dictionary.slot_of[run.first_data + i];
      if (slot_number[slot] == kNone) slot_number[slot] = next++;
      slot = slot_number[slot];
    }
  }
}

Expansion::Expansion(const Dictionary& dictionary) {
  for (uint32_t i = 0; i < dictionary.basics.size(); ++i) {
    first_.push_back(static_cast<uint32_t>(basics_.size()));
    basics_.push_back(i);
  }
  for (const auto& [a, b] : dictionary.pairs) {
    const auto front = static_cast<uint32_t>(basics_.size());
    for (const uint32_t part : {a, b}) {
      const uint32_t last = part + 1 < first_.size() ? first_[part + 1] : front;
      for (uint32_t i = first_[part]; i < last; ++i) basics_.push_back(basics_[i]);
    }
    first_.push_back(front);
  }
  first_.push_back(static_cast<uint32_t>(basics_.size()));
}

}  // namespace gnomon::gtrace
