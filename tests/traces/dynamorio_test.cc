// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/scenario/random.h"
#include "tests/traces/reading.h"
#include "traces/formats/all.h"

namespace gnomon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string entry(uint16_t type, uint16_t size, uint64_t address) {
  return le(type) + le(size) + le(address);
}
const std::string& header() {
  static const std::string bytes = entry(25, 0, 7) + entry(28, 12, 7) + entry(28, 9, 0x40);
  return bytes;
}
std::string thread(uint64_t tid, uint64_t pid) { return entry(22, 4, tid) + entry(24, 4, pid); }
const std::string& footer() {
  static const std::string bytes = entry(26, 0, 0);
  return bytes;
}

TraceEvent event(EventKind kind, uint32_t process, uint32_t thread_number) {
  TraceEvent e;
  e.kind = kind;
  e.process = process;
  e.thread = thread_number;
  return e;
}

TEST(Dynamorio, TakesAGoldenTrace) {
  const std::string bytes =
      header() + thread(7001, 7000) + entry(28, 10, 64) + entry(28, 18, 4096) +
      entry(28, 2, 13350000000000000) + entry(28, 3, 1) + entry(47, 3, 0x1234) +
      entry(10, 3, 0x401000) +  // encoding, instruction
      entry(0, 8, 0x7ffd0000) + entry(1, 4, 0x7ffd0008) + entry(11, 2, 0x401003) +
      entry(12, 2, 0x401005) + entry(13, 2, 0x401007) + entry(14, 5, 0x401009) +
      entry(15, 2, 0x40100e) + entry(16, 1, 0x401010) + entry(31, 2, 0x401011) +
      entry(48, 2, 0x401013) + entry(49, 2, 0x401015) +
      entry(29, 2, 0x401015) +  // not fetched again
      entry(10, 0, 0x401100) +  // only names the instruction
      entry(23, 0, 7001) + footer();
  const Reading r = read_all(&make_dynamorio_reader, bytes);
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records, ElementsAre(fetch(0x401000, 3), load(0x7ffd0000, 8), store(0x7ffd0008, 4),
                                     fetch(0x401003, 2), fetch(0x401005, 2), fetch(0x401007, 2),
                                     fetch(0x401009, 5), fetch(0x40100e, 2), fetch(0x401010, 1),
                                     fetch(0x401011, 2), fetch(0x401013, 2), fetch(0x401015, 2),
                                     event_record(0)));
  EXPECT_THAT(r.events, ElementsAre(event(EventKind::kExit, 0, 0)));
  EXPECT_EQ(r.stats.records, 12u);
  EXPECT_EQ(r.stats.events, 1u);
  EXPECT_EQ(r.stats.warning, "");
  EXPECT_EQ(r.info.recorder, "DynamoRIO drmemtrace, version 7");
}

TEST(Dynamorio, EveryKnownTypeIsTakenOrSkipped) {
  for (uint16_t type = 0; type < 50; ++type) {
    if (type == 17) continue;  // the bundle has a test of its own
    const std::string bytes = header() + entry(type, 4, 0x1000) + footer();
    const Reading r = read_all(&make_dynamorio_reader, bytes);
    const bool data = type <= 1;
    const bool instruction =
        (type >= 10 && type <= 16) || type == 30 || type == 31 || type == 48 || type == 49;
    EXPECT_TRUE(r.status.ok()) << type << r.status;
    EXPECT_EQ(r.stats.records, data || instruction ? 1u : 0u) << type;
  }
  const std::string unknown = header() + entry(50, 4, 0x1000) + entry(0, 4, 0x1000) + footer();
  EXPECT_EQ(read_all(&make_dynamorio_reader, unknown).status.message(),
            "trace: record 4 (byte 36): type 50 is unknown");
  const Reading lenient = read_all(&make_dynamorio_reader, unknown, ReadMode::kLenient);
  EXPECT_EQ(lenient.records.size(), 1u);
  EXPECT_EQ(lenient.stats.left_out, 1u);
}

TEST(Dynamorio, ABundleIsInstructionsInARow) {
  const Reading r =
      read_all(&make_dynamorio_reader, header() + entry(10, 2, 0x1000) + entry(17, 3, 0x040302) +
                                           entry(30, 4, 0x1007) + entry(30, 4, 0x100b) + footer());
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records, ElementsAre(fetch(0x1000, 2), fetch(0x1002, 2), fetch(0x1004, 3),
                                     fetch(0x1007, 4), fetch(0x100b, 4)));
  EXPECT_EQ(read_all(&make_dynamorio_reader, header() + entry(17, 9, 0)).status.message(),
            "trace: record 4 (byte 36): a bundle of 9 instructions; 8 is the most");
}

TEST(Dynamorio, NumbersProcessesAndThreadsInOrderOfAppearance) {
  const std::string load_entry = entry(0, 8, 0x1000);
  const Reading r =
      read_all(&make_dynamorio_reader,
               header() + thread(55, 50) + load_entry + thread(99, 90) + load_entry +
                   thread(56, 50) + load_entry + entry(22, 4, 55) + load_entry + entry(22, 4, 99) +
                   entry(22, 4, 55) + load_entry + entry(23, 0, 99) + load_entry + footer());
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records,
              ElementsAre(load(0x1000, 8), event_record(0), load(0x1000, 8), event_record(1),
                          load(0x1000, 8), event_record(2), load(0x1000, 8), load(0x1000, 8),
                          event_record(3), load(0x1000, 8)));
  EXPECT_THAT(r.events,
              ElementsAre(event(EventKind::kSwitch, 1, 0), event(EventKind::kSwitch, 0, 1),
                          event(EventKind::kSwitch, 0, 0), event(EventKind::kExit, 1, 0)));
}

TEST(Dynamorio, SaysWhatIsWrong) {
  const struct {
    std::string bytes;
    absl::string_view message;
  } kBad[] = {
      {entry(10, 4, 0x1000),
       "trace: record 1 (byte 0): not a DynamoRIO trace: type 10 instead of "
       "a header"},
      {header() + entry(0, 0, 0x1000),
       "trace: record 4 (byte 36): type 0, size 0, address 0x1000: "
       "size is not 1 to 4096 bytes"},
      {header() + entry(1, 4097, 0x1000),
       "trace: record 4 (byte 36): type 1, size 4097, address "
       "0x1000: size is not 1 to 4096 bytes"},
      {header() + entry(0, 2, ~uint64_t{0}),
       "trace: record 4 (byte 36): type 0, size 2, address 0xffffffffffffffff: address outside the "
       "57-bit canonical range"},
      {header() + "abcde", "trace: record 4 (byte 36): cut off: 5 of 12 bytes"},
  };
  for (const auto& bad : kBad) {
    for (const size_t piece : {1, 7, 1000}) {
      const Reading r = read_all(&make_dynamorio_reader, bad.bytes, ReadMode::kStrict, piece);
      EXPECT_EQ(r.status.message(), bad.message);
      EXPECT_EQ(r.status.code(), absl::StatusCode::kInvalidArgument);
      const Reading lenient =
          read_all(&make_dynamorio_reader, bad.bytes, ReadMode::kLenient, piece);
      EXPECT_TRUE(lenient.status.ok());
      EXPECT_EQ(lenient.stats.left_out, 1u);
      EXPECT_EQ(lenient.stats.first_fault, bad.message);
    }
  }
}

TEST(Dynamorio, WarnsWhenThereIsNoFooter) {
  const Reading r = read_all(&make_dynamorio_reader, header() + entry(0, 4, 0x1000));
  EXPECT_TRUE(r.status.ok());
  EXPECT_EQ(r.records.size(), 1u);
  EXPECT_EQ(r.stats.warning, "trace: record 4 (byte 48): the trace was cut off: it has no footer");
}

TEST(Dynamorio, BoundsTheNumberOfThreads) {
  std::string bytes = header();
  std::string by_one = header();
  for (uint64_t i = 0; i < (1u << 16) + 10; ++i) {
    bytes += thread(i, 1) + entry(0, 4, 0x1000);
    by_one += thread(1, i) + entry(0, 4, 0x1000);
  }
  for (const std::string& text : {bytes, by_one}) {
    const Reading r = read_all(&make_dynamorio_reader, text);
    EXPECT_THAT(std::string(r.status.message()), HasSubstr("more than 65536 threads"));
    EXPECT_EQ(r.stats.records, 65536u);
  }
}

TEST(Dynamorio, WritesAGoldenTrace) {
  const Writing w = write_all(&create_dynamorio_writer,
                              {fetch(0x1000, 3), load(0x2000, 8), store(0x3000, 4),
                               modify(0x4000, 2), event_record(0), event_record(1)},
                              {event(EventKind::kSwitch, 0, 1), event(EventKind::kMark, 0, 0)});
  ASSERT_TRUE(w.status.ok());
  constexpr uint64_t kTid = uint64_t{1} << 32;
  EXPECT_EQ(w.bytes, header() + thread(kTid, 1) + entry(28, 10, 64) + entry(28, 18, 4096) +
                         entry(28, 2, 1) + entry(28, 3, 0) + entry(10, 3, 0x1000) +
                         entry(0, 8, 0x2000) + entry(1, 4, 0x3000) + entry(0, 2, 0x4000) +
                         entry(1, 2, 0x4000) + thread(kTid + 1, 1) + entry(23, 0, kTid + 1) +
                         footer());
  EXPECT_EQ(w.left_out, 1u);
  EXPECT_TRUE(is_dynamorio(w.bytes));
}

TEST(Dynamorio, WhatIsWrittenReadsTheSame) {
  scenario::Random random(11);
  std::vector<TraceRecord> records;
  std::vector<TraceEvent> events;
  uint32_t now = 0;
  for (int i = 0; i < 20000; ++i) {
    if (random.percent(2)) {
      const auto next = static_cast<uint32_t>(random.below(6));
      if (next != now) {
        now = next;
        events.push_back(event(EventKind::kSwitch, 0, now));
        records.push_back(event_record(events.size() - 1));
      }
    }
    records.push_back({Gva(random.below(uint64_t{1} << 47)),
                       static_cast<uint16_t>(1 + random.below(64)),
                       static_cast<RecordKind>(random.below(3)), false});
  }
  const Writing w = write_all(&create_dynamorio_writer, records, events);
  Reading r = read_all(&make_dynamorio_reader, w.bytes, ReadMode::kStrict, 4097, 300);
  ASSERT_TRUE(r.status.ok()) << r.status;
  EXPECT_EQ(w.left_out, 0u);
  ASSERT_EQ(r.events.back().kind, EventKind::kExit);  // the writer's own
  r.events.pop_back();
  r.records.pop_back();
  EXPECT_EQ(r.records, records);
  // Threads come out numbered by appearance.
  std::vector<uint32_t> order = {0};
  for (const TraceEvent& e : events) {
    if (std::find(order.begin(), order.end(), e.thread) == order.end()) order.push_back(e.thread);
  }
  ASSERT_EQ(r.events.size(), events.size());
  for (size_t i = 0; i < events.size(); ++i) {
    ASSERT_EQ(order[r.events[i].thread], events[i].thread) << i;
  }
}

TEST(Dynamorio, IsRecognizedByItsHeader) {
  EXPECT_TRUE(is_dynamorio(entry(25, 0, 7)));
  EXPECT_TRUE(is_dynamorio(header()));
  EXPECT_FALSE(is_dynamorio(entry(25, 0, 7).substr(0, 11)));
  EXPECT_FALSE(is_dynamorio(entry(55, 0, 7)));  // the numbers of a fork
  EXPECT_FALSE(is_dynamorio(entry(25, 0, 0x10000)));
  EXPECT_FALSE(is_dynamorio(entry(25, 0, 7) + entry(99, 0, 0)));
  EXPECT_FALSE(is_dynamorio(""));
}

}  // namespace
}  // namespace gnomon
