// SPDX-License-Identifier: Apache-2.0
#include "traces/gtrace/run_finder.h"

namespace gnomon::gtrace {
namespace {

// Straight code longer than this is cut, before a fetch if one comes in time.
constexpr uint32_t kLongRun = 48;
constexpr uint32_t kLongestRun = 64;
/// Data after one fetch; more (string instructions, state saving) goes on as data alone.
constexpr uint32_t kMostDataOfFetch = 8;
constexpr uint32_t kMostData = 32;
/// Of runs without fetches: short, so that streams without a pattern repeat themselves. Where there
/// is a pattern, pairs make them longer.
constexpr uint32_t kDataRun = 4;
static_assert(kLongestRun <= kMaxRunRecords && kMostData <= kMaxRunData);

bool is_data(const TraceRecord& record) {
  return record.kind < RecordKind::kEvent && record.kind != RecordKind::kFetch;
}

/// How many records from the front of `records`, which is no event, are a basic run.
uint32_t run_length(absl::Span<const TraceRecord> records) {
  const size_t room = records.size();
  size_t n = 0;
  if (is_data(records[0])) {
    while (n < kDataRun && n < room && is_data(records[n])) ++n;
    return static_cast<uint32_t>(n);
  }
  uint64_t address = records[0].address.value();
  uint32_t data = 0, data_of_fetch = 0;
  for (; n < room && n < kLongestRun; ++n) {
    const TraceRecord& record = records[n];
    if (record.kind == RecordKind::kFetch) {
      if (record.address.value() != address || n >= kLongRun) break;
      address += record.size;
      data_of_fetch = 0;
    } else {
      if (record.kind == RecordKind::kEvent || data == kMostData ||
          data_of_fetch == kMostDataOfFetch) {
        break;
      }
      ++data;
      ++data_of_fetch;
    }
  }
  return static_cast<uint32_t>(n);
}

constexpr uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15;
  return hash ^ hash >> 29;
}

uint64_t shape(const TraceRecord& record) {
  return record.size | static_cast<uint64_t>(record.kind) << 16 | uint64_t{record.supervisor} << 24;
}

}  // namespace

bool RunFinder::Same::operator()(const Key& a, const Key& b) const {
  if (a.hash != b.hash || a.count != b.count) return false;
  for (uint32_t i = 0; i < a.count; ++i) {
    if (shape(a.records[i]) != shape(b.records[i])) return false;
  }
  return is_data(a.records[0]) || a.records[0].address == b.records[0].address;
}

size_t RunFinder::find(absl::Span<const TraceRecord> records, Dictionary& dictionary,
                       std::vector<uint32_t>& steps) {
  runs_.clear();
  slots_.clear();
  dictionary.clear();
  steps.clear();
  size_t taken = 0;
  while (taken < records.size()) {
    if (records[taken].kind == RecordKind::kEvent) {
      steps.push_back(kEvent);
      ++taken;
      continue;
    }
    const absl::Span<const TraceRecord> rest = records.subspan(taken);
    Key key{rest.data(), run_length(rest), 0};
    if (!is_data(rest[0])) key.hash = mix(1, rest[0].address.value());
    for (uint32_t i = 0; i < key.count; ++i) key.hash = mix(key.hash, shape(rest[i]));
    const auto [found, is_new] =
        runs_.try_emplace(key, static_cast<uint32_t>(dictionary.basics.size()));
    if (is_new) {
      if (dictionary.basics.size() == kMaxRuns ||
          dictionary.records.size() + key.count > kMaxRunRecordsTotal) {
        break;
      }
      add(key, dictionary);
    }
    steps.push_back(found->second);
    taken += key.count;
  }
  return taken;
}

void RunFinder::add(const Key& key, Dictionary& dictionary) {
  BasicRun run{static_cast<uint32_t>(dictionary.records.size()),
               static_cast<uint32_t>(dictionary.slot_of.size()), key.count, 0};
  uint64_t fetch = 0;
  uint32_t since_fetch = 0;
  const bool data_alone = is_data(key.records[0]);
  for (uint32_t i = 0; i < key.count; ++i) {
    TraceRecord record = key.records[i];
    if (record.kind == RecordKind::kFetch) {
      fetch = record.address.value();
      since_fetch = 0;
    } else {
      auto slot = static_cast<uint32_t>(dictionary.slots.size());
      if (!data_alone) slot = slots_.try_emplace({fetch, since_fetch++}, slot).first->second;
      if (slot == dictionary.slots.size()) dictionary.slots.emplace_back();
      dictionary.slot_of.push_back(slot);
      ++run.data;
      record.address = Gva(0);
    }
    dictionary.records.push_back(record);
  }
  dictionary.basics.push_back(run);
}

}  // namespace gnomon::gtrace
