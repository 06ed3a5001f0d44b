// SPDX-License-Identifier: Apache-2.0
#include "traces/gtrace/block_encoder.h"

#include "traces/gtrace/coding.h"
#include "traces/gtrace/pairing.h"

namespace gnomon::gtrace {
namespace {

bool is_data(const TraceRecord& record) {
  return record.kind != RecordKind::kFetch && record.kind != RecordKind::kEvent;
}

void put_miss(Streams& to, uint32_t which, uint64_t correction) {
  const uint64_t code = zigzag(correction);
  unsigned size = 0;
  while (size < 3 && code >> (8 * kCorrectionBytes[size]) != 0) ++size;
  to[kMisses].push_back(static_cast<char>(which << kCorrectionSizeBits | size));
  for (size_t i = 0; i < kCorrectionBytes[size]; ++i) {
    to[kCorrections].push_back(static_cast<char>(code >> (8 * i) & 0xff));
  }
}

}  // namespace

size_t BlockEncoder::encode(absl::Span<const TraceRecord> records, Streams& to) {
  const size_t taken = finder_.find(records, dictionary_, steps_);
  const size_t basic_steps = steps_.size();
  make_pairs(dictionary_, steps_);
  put_in_order(dictionary_, steps_);

  data_.clear();
  data_.reserve(basic_steps);
  const Expansion expansion(dictionary_);
  size_t at = 0;
  for (const uint32_t step : steps_) {
    if (step == RunFinder::kEvent) {
      ++at;
      continue;
    }
    for (const uint32_t* basic = expansion.begin(step); basic != expansion.end(step); ++basic) {
      const BasicRun& run = dictionary_.basics[*basic];
      const uint32_t* slot = dictionary_.slot_of.data() + run.first_data;
      for (uint32_t i = 0; i < run.records; ++i, ++at) {
        if (is_data(records[at])) data_.push_back({records[at].address.value(), *slot++});
      }
    }
  }
  choose_forecasts(data_, dictionary_.slots);

  dictionary_.encode(to);
  put_tokens(to);
  put_misses(to);
  return taken;
}

void BlockEncoder::put_tokens(Streams& to) const {
  uint32_t fresh = 0;
  for (const uint32_t step : steps_) {
    uint32_t token = kTokenEvent;
    if (step == fresh && step < dictionary_.basics.size()) {
      token = kTokenFresh;
      ++fresh;
    } else if (step != RunFinder::kEvent) {
      token = kFirstRunToken + step;
    }
    to[kTokenLow].push_back(static_cast<char>(token & 0xff));
    to[kTokenHigh].push_back(static_cast<char>(token >> 8));
  }
}

void BlockEncoder::put_misses(Streams& to) {
  Forecaster forecaster(dictionary_.slots);
  const Expansion expansion(dictionary_);
  const DataRecord* next = data_.data();
  for (const uint32_t step : steps_) {
    if (step == RunFinder::kEvent) continue;
    uint32_t data = 0, misses = 0;
    for (const uint32_t* basic = expansion.begin(step); basic != expansion.end(step); ++basic) {
      for (uint32_t i = 0; i < dictionary_.basics[*basic].data; ++i, ++data) {
        const auto [address, slot] = *next++;
        const uint64_t expected = forecaster.expect(slot);
        if (address != expected) {
          put_miss(to, data, address - expected);
          ++misses;
        }
        forecaster.correct(slot, expected, address);
      }
    }
    to[kMissCounts].push_back(static_cast<char>(misses));
  }
}

}  // namespace gnomon::gtrace
