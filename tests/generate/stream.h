// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_GENERATE_STREAM_H_
#define TESTS_GENERATE_STREAM_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "gnomon/traces/generators.h"

namespace gnomon::generate_test {

/// A whole stream in memory. Event records index into `events`, however it was read.
struct Stream {
  std::vector<TraceRecord> records;
  std::vector<TraceEvent> events;
  TraceInfo info;
  ReadStats stats;
  bool ended = false;

  const TraceEvent& event(const TraceRecord& r) const { return events[r.address.value()]; }
  uint64_t references() const {
    uint64_t sum = 0;
    for (const TraceRecord& r : records) sum += references_of(r.kind);
    return sum;
  }
  /// The memory operations that are no instruction fetches.
  std::vector<TraceRecord> data() const {
    std::vector<TraceRecord> some;
    for (const TraceRecord& r : records) {
      if (r.kind != RecordKind::kEvent && r.kind != RecordKind::kFetch) some.push_back(r);
    }
    return some;
  }
};

inline constexpr uint64_t kBase = uint64_t{1} << 40;

/// The records of `spec` up to `most`, read `at_once` at a time.
inline Stream draw(const std::string& spec, size_t most = 10'000'000, size_t at_once = 4096) {
  Stream stream;
  auto reader = create_generator(spec);
  EXPECT_TRUE(reader.ok()) << reader.status();
  if (!reader.ok()) return stream;
  std::vector<TraceRecord> batch(at_once);
  std::vector<TraceEvent> events;
  while (stream.records.size() < most) {
    const absl::StatusOr<size_t> got = (*reader)->read(absl::MakeSpan(batch), events);
    EXPECT_TRUE(got.ok()) << got.status();
    stream.ended = got.ok() && *got == 0;
    if (!got.ok() || *got == 0) break;
    const uint64_t before = stream.events.size();
    for (size_t i = 0; i < *got && stream.records.size() < most; ++i) {
      TraceRecord r = batch[i];
      if (r.kind == RecordKind::kEvent) {
        stream.events.push_back(events.at(r.address.value()));
        EXPECT_EQ(stream.events.size() - before, r.address.value() + 1) << spec;
        r.address = Gva(stream.events.size() - 1);
      }
      stream.records.push_back(r);
    }
  }
  stream.info = (*reader)->info();
  stream.stats = (*reader)->stats();
  return stream;
}

/// FNV-1a over every field, each as eight bytes from the lowest up.
class Hash {
 public:
  Hash& operator<<(uint64_t word) {
    for (unsigned i = 0; i < 8; ++i) byte(static_cast<uint8_t>(word >> (8 * i)));
    return *this;
  }
  Hash& operator<<(const std::string& text) {
    *this << text.size();
    for (const char c : text) byte(static_cast<uint8_t>(c));
    return *this;
  }
  uint64_t value() const { return value_; }

 private:
  void byte(uint8_t b) { value_ = (value_ ^ b) * 0x100000001b3; }
  uint64_t value_ = 0xcbf29ce484222325;
};

inline uint64_t hash_of(const Stream& stream) {
  Hash hash;
  for (const TraceRecord& r : stream.records) {
    hash << r.address.value() << r.size << static_cast<uint64_t>(r.kind) << r.supervisor;
  }
  for (const TraceEvent& e : stream.events) {
    hash << static_cast<uint64_t>(e.kind) << e.process << e.thread << e.flags << e.address
         << e.length << e.value << e.extra << e.file << e.text;
  }
  return hash.value();
}

}  // namespace gnomon::generate_test

#endif  // TESTS_GENERATE_STREAM_H_
