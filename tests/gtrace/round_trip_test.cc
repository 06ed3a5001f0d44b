// SPDX-License-Identifier: Apache-2.0
// What is written comes back, whatever it is and however it is cut up.
#include <gmock/gmock.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/gtrace/support.h"

namespace gnomon::gtrace_test {
namespace {

using ::testing::HasSubstr;

void expect_round_trip(const TraceBatch& batch, uint32_t block_records = 1u << 20,
                       size_t piece = ~size_t{0}, size_t at_once = 1000,
                       size_t written_at_once = ~size_t{0}) {
  const std::string bytes =
      written(batch, {.compression = 1, .block_records = block_records}, {}, written_at_once);
  const Reading r = read_all(bytes, ReadMode::kStrict, piece, at_once);
  ASSERT_TRUE(r.status.ok()) << r.status;
  EXPECT_EQ(r.stats.warning, "");
  EXPECT_EQ(r.stats.left_out, 0u);
  EXPECT_EQ(r.stats.bytes, bytes.size());
  expect_same(r.batch, batch);
}

TraceRecord random_record(Random& random, unsigned kinds) {
  const auto size = static_cast<uint16_t>(random.percent(80) ? 1u << random.below(7)
                                                             : 1 + random.below(kMaxRecordBytes));
  uint64_t address = random.next() >> random.below(64);
  if (random.percent(10)) address = ~uint64_t{0} - random.below(8192);
  if (address + (size - 1u) < address) address = uint64_t{0} - size;
  return {Gva(address), size, static_cast<RecordKind>(random.below(kinds)), random.percent(30)};
}

TEST(GtraceRoundTrip, Nothing) { expect_round_trip({}); }

TEST(GtraceRoundTrip, OneOfEachKind) {
  for (const bool supervisor : {false, true}) {
    for (const uint16_t size : {1, 31, 32, 4096}) {
      for (unsigned kind = 0; kind < 4; ++kind) {
        for (const uint64_t a :
             {uint64_t{0}, uint64_t{0x7fffffffe000}, uint64_t{0xffff800000000000},
              uint64_t{0x00ffffffffff0000}, uint64_t{0} - size}) {
          TraceBatch batch;
          append(batch, TraceRecord{Gva(a), size, static_cast<RecordKind>(kind), supervisor});
          expect_round_trip(batch);
        }
      }
    }
  }
}

TEST(GtraceRoundTrip, EveryEvent) {
  Random random(1);
  TraceBatch batch;
  for (int round = 0; round < 200; ++round) {
    for (size_t kind = 0; kind < kEventKindCount; ++kind) {
      append(batch, random_event(random, static_cast<EventKind>(kind)));
      if (random.percent(30)) append(batch, fetch(0x1000, 4));
    }
  }
  expect_round_trip(batch);
  expect_round_trip(batch, 100);
}

TEST(GtraceRoundTrip, LongTextsAreCut) {
  TraceBatch batch;
  append(batch, TraceEvent{.kind = EventKind::kMark, .text = std::string(kMaxEventText + 7, 'x')});
  const Reading r = read_all(written(batch));
  ASSERT_TRUE(r.status.ok()) << r.status;
  EXPECT_EQ(r.batch.events.at(0).text, std::string(kMaxEventText, 'x'));
}

TEST(GtraceRoundTrip, ManyLongTextsMakeMoreBlocks) {
  Random random(9);
  TraceBatch batch;
  for (int i = 0; i < 3000; ++i) {
    TraceEvent e{.kind = EventKind::kMark, .text = std::string(kMaxEventText, ' ')};
    for (char& c : e.text) c = static_cast<char>('a' + random.below(26));
    append(batch, e);
  }
  const TemporaryFile file(written(batch, {.compression = 1}));
  const auto blocks = read_gtrace_index(file.path());
  ASSERT_TRUE(blocks.ok()) << blocks.status();
  EXPECT_GT(blocks->size(), 2u);
  expect_round_trip(batch);
}

TEST(GtraceRoundTrip, HoweverItIsCutUp) {
  const TraceBatch batch = small_program(7, 3000);
  for (const uint32_t block : {1u, 7u, 100u, 2999u, 3000u, 0u, ~0u}) {
    for (const size_t piece : {size_t{1}, size_t{13}, ~size_t{0}}) {
      for (const size_t at_once : {TraceReader::kLeastBatch, size_t{257}, size_t{100000}}) {
        SCOPED_TRACE(absl::StrCat(block, " ", piece, " ", at_once));
        expect_round_trip(batch, block, piece, at_once, 1 + block % 1000);
      }
    }
  }
}

TEST(GtraceRoundTrip, RandomRecords) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    TraceBatch batch;
    const unsigned kinds = seed % 3 == 0 ? 1 : 4;
    const uint64_t repeats = 1 + random.below(20);
    while (batch.records.size() < 5000) {
      if (random.percent(2)) {
        append(batch, random_event(random, static_cast<EventKind>(random.below(kEventKindCount))));
      }
      TraceRecord record = random_record(random, kinds);
      for (uint64_t i = 0; i < repeats; ++i) append(batch, record);
    }
    expect_round_trip(batch, 1 + static_cast<uint32_t>(random.below(6000)));
  }
}

TEST(GtraceRoundTrip, PiecesOfAFewThatRepeat) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    std::vector<std::vector<TraceRecord>> pieces(1 + random.below(12));
    for (auto& piece : pieces) {
      for (uint64_t i = 0, n = 1 + random.below(90); i < n; ++i) {
        TraceRecord record = random_record(random, 4);
        const bool follows = i > 0 && record.kind == RecordKind::kFetch && random.percent(80);
        if (follows) record.address = Gva(piece.back().address.value() + piece.back().size);
        if (record.address.value() + (record.size - 1u) < record.address.value()) continue;
        piece.push_back(record);
      }
    }
    TraceBatch batch;
    while (batch.records.size() < 20000) {
      const uint64_t shift = random.percent(50) ? 0 : random.below(1 << 12);
      for (TraceRecord record : random.pick(pieces)) {
        const uint64_t moved = record.address.value() + shift;
        if (record.kind != RecordKind::kFetch && moved + 4096 > moved) record.address = Gva(moved);
        append(batch, record);
      }
    }
    expect_round_trip(batch, 1 + static_cast<uint32_t>(random.below(30000)));
  }
}

// More different runs than a dictionary holds: the block ends early.
TEST(GtraceRoundTrip, MoreRunsThanFitInABlock) {
  TraceBatch batch;
  for (uint64_t i = 0; i < 150000; ++i) append(batch, fetch(i * 64, 4));
  expect_round_trip(batch);
  const TemporaryFile file(written(batch, {.compression = 1}));
  EXPECT_EQ(read_gtrace_index(file.path())->size(), 3u);
}

TEST(GtraceRoundTrip, LongStraightCodeAndLongStringInstructions) {
  TraceBatch batch;
  for (int round = 0; round < 30; ++round) {
    for (uint64_t i = 0; i < 1000; ++i) append(batch, fetch(0x1000 + i * 4, 4));
    append(batch, fetch(0x9000, 2));
    for (uint64_t i = 0; i < 777; ++i) {
      append(batch, load(0x100000 + i, 1));
      append(batch, store(0x200000 + i, 1));
    }
  }
  expect_round_trip(batch);
  // It follows a pattern, so it costs next to nothing.
  EXPECT_LT(written(batch).size(), 3000u);
}

TEST(GtraceRoundTrip, SameInputSameBytes) {
  const TraceBatch batch = small_program(3, 20000);
  EXPECT_EQ(written(batch), written(batch, {}, {}, 17));
}

TEST(GtraceRoundTrip, ProgramsAreSmall) {
  const TraceBatch batch = small_program(3, 100000);
  EXPECT_LT(written(batch).size(), batch.records.size() / 4);
}

TEST(GtraceHeader, HoldsWhatTheTraceSaysOfItself) {
  const TraceInfo info{.format = "lackey",
                       .program = "sort -S 1M numbers",
                       .recorder = "valgrind 3.19",
                       .machine = std::string("x\0y", 3),
                       .note = "on a rainy day",
                       .physical = true,
                       .guest = true,
                       .references = 77};
  const Reading r = read_all(written({}, {}, info));
  ASSERT_TRUE(r.status.ok()) << r.status;
  EXPECT_EQ(r.info.format, "gtrace");
  EXPECT_EQ(r.info.program, info.program);
  EXPECT_EQ(r.info.recorder, info.recorder);
  EXPECT_EQ(r.info.machine, info.machine);
  EXPECT_EQ(r.info.note, "on a rainy day; converted from lackey");
  EXPECT_TRUE(r.info.physical);
  EXPECT_TRUE(r.info.guest);
  EXPECT_EQ(r.info.references, 77u);
  EXPECT_EQ(read_all(written({}, {}, r.info)).info.note, r.info.note);
}

TEST(GtraceHeader, UnknownStaysUnknown) {
  const Reading r = read_all(written({}));
  EXPECT_EQ(r.info.program + r.info.recorder + r.info.machine + r.info.note, "");
  EXPECT_FALSE(r.info.physical || r.info.guest || r.info.references.has_value());
}

TEST(GtraceHeader, HugeTextsAreCut) {
  TraceInfo info;
  info.program = info.recorder = info.machine = info.note = std::string(1 << 20, 'p');
  const Reading r = read_all(written({}, {}, info));
  ASSERT_TRUE(r.status.ok()) << r.status;
  EXPECT_EQ(r.info.program, std::string(1 << 14, 'p'));
  EXPECT_EQ(r.info.note, std::string(1 << 14, 'p'));
}

TEST(GtraceWriter, RefusesWhatNoTraceHolds) {
  auto writer = create_gtrace_writer(std::make_unique<StringSink>(), {}).value();
  const TraceRecord bad[] = {
      load(0x1000, 0),
      store(0x1000, 4097),
      fetch(~uint64_t{0}, 2),
      event(0),
      {Gva(0), 1, static_cast<RecordKind>(5), false},
  };
  for (const TraceRecord& record : bad) {
    const TraceRecord records[] = {load(0x2000, 8), record};
    const absl::Status status = writer->write(records, {});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("record 1 cannot be written"));
  }
  TraceEvent unknown;
  unknown.kind = EventKind::kCount;
  EXPECT_FALSE(writer->write({event(0)}, {unknown}).ok());
  EXPECT_TRUE(writer->finish().ok());
}

}  // namespace
}  // namespace gnomon::gtrace_test
