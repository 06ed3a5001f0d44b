// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_GTRACE_SUPPORT_H_
#define TESTS_GTRACE_SUPPORT_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gnomon/traces/gtrace.h"
#include "tests/scenario/random.h"
#include "tests/support/temporary_directory.h"

namespace gnomon::gtrace_test {

using scenario::Random;
using test_support::TemporaryFile;

inline TraceRecord fetch(uint64_t a, uint16_t n) { return {Gva(a), n, RecordKind::kFetch, false}; }
inline TraceRecord load(uint64_t a, uint16_t n) { return {Gva(a), n, RecordKind::kLoad, false}; }
inline TraceRecord store(uint64_t a, uint16_t n) { return {Gva(a), n, RecordKind::kStore, false}; }
inline TraceRecord event(uint64_t i) { return {Gva(i), 0, RecordKind::kEvent, false}; }

inline void append(TraceBatch& to, const TraceRecord& record) { to.records.push_back(record); }
inline void append(TraceBatch& to, const TraceEvent& what) {
  to.records.push_back(event(to.events.size()));
  to.events.push_back(what);
}
inline TraceEvent switch_to(uint32_t process, uint32_t thread) {
  return {.kind = EventKind::kSwitch, .process = process, .thread = thread, .text = {}};
}

/// The bytes of a file with this in it, given to the writer `at_once` records at a time.
inline std::string written(const TraceBatch& batch, const GtraceOptions& options = {},
                           const TraceInfo& info = {}, size_t at_once = ~size_t{0}) {
  auto sink = std::make_unique<StringSink>();
  const StringSink& bytes = *sink;
  auto writer = create_gtrace_writer(std::move(sink), info, options).value();
  absl::Span<const TraceRecord> rest(batch.records);
  while (!rest.empty()) {
    const auto front = rest.first(std::min(at_once, rest.size()));
    const absl::Status status = writer->write(front, batch.events);
    EXPECT_TRUE(status.ok()) << status;
    rest.remove_prefix(front.size());
  }
  const absl::Status status = writer->finish();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(writer->bytes_written(), bytes.bytes().size());
  return bytes.bytes();
}

struct Reading {
  TraceBatch batch;
  TraceInfo info;
  ReadStats stats;
  absl::Status status;
};

inline Reading read_all(absl::string_view bytes, ReadMode mode = ReadMode::kStrict,
                        size_t piece = ~size_t{0}, size_t at_once = 1000) {
  auto reader = make_gtrace_reader(std::make_unique<MemoryBytes>(bytes, "trace", piece), mode);
  Reading all;
  std::vector<TraceRecord> some(at_once);
  std::vector<TraceEvent> events;
  while (true) {
    const absl::StatusOr<size_t> got = reader->read(absl::MakeSpan(some), events);
    all.status = got.status();
    if (!got.ok() || *got == 0) break;
    size_t next_event = 0;
    for (const TraceRecord& record : absl::MakeSpan(some).first(*got)) {
      if (record.kind == RecordKind::kEvent) {
        EXPECT_EQ(record, event(next_event));
        append(all.batch, events.at(next_event++));
      } else {
        all.batch.records.push_back(record);
      }
    }
    EXPECT_EQ(next_event, events.size());
  }
  const absl::StatusOr<size_t> again = reader->read(absl::MakeSpan(some), events);
  EXPECT_EQ(again.status(), all.status) << "what ends a reading must stay";
  EXPECT_TRUE(!again.ok() || *again == 0);
  all.info = reader->info();
  all.stats = reader->stats();
  EXPECT_EQ(all.stats.events, all.batch.events.size());
  EXPECT_EQ(all.stats.records + all.stats.events, all.batch.records.size());
  return all;
}

/// Fails unless both hold the same records, and the same events in the same places.
inline void expect_same(const TraceBatch& got, const TraceBatch& wanted) {
  ASSERT_EQ(got.records.size(), wanted.records.size());
  for (size_t i = 0; i < wanted.records.size(); ++i) {
    const TraceRecord& a = got.records[i];
    const TraceRecord& b = wanted.records[i];
    ASSERT_EQ(a.kind, b.kind) << "record " << i;
    if (a.kind == RecordKind::kEvent) {
      ASSERT_EQ(got.events.at(a.address.value()), wanted.events.at(b.address.value())) << i;
    } else {
      ASSERT_EQ(a, b) << "record " << i;
    }
  }
}

/// The records that are no events.
inline std::vector<TraceRecord> memory_of(const TraceBatch& batch) {
  std::vector<TraceRecord> records;
  for (const TraceRecord& record : batch.records) {
    if (record.kind != RecordKind::kEvent) records.push_back(record);
  }
  return records;
}

/// Something like a program: a few loops over arrays and a stack that call each other at random.
TraceBatch small_program(uint64_t seed, size_t records);
/// An event with random values in just the fields its kind has.
TraceEvent random_event(Random& random, EventKind kind);

}  // namespace gnomon::gtrace_test

#endif  // TESTS_GTRACE_SUPPORT_H_
