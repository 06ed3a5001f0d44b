// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "tests/scenario/random.h"
#include "tests/traces/reading.h"
#include "traces/formats/all.h"

namespace gnomon {
namespace {

using ::testing::ElementsAre;

std::string instruction(uint64_t ip, std::array<uint64_t, 2> stores,
                        std::array<uint64_t, 4> loads) {
  std::string bytes = le(ip) + std::string(8, '\x07');  // branches and registers: any
  for (const uint64_t a : stores) bytes += le(a);
  for (const uint64_t a : loads) bytes += le(a);
  return bytes;
}

/// What the reader takes for the size of the last instruction.
uint16_t assumed_last(uint64_t ip) {
  return static_cast<uint16_t>(std::min<uint64_t>(4, 4096 - ip % 4096));
}

std::string sparc(uint64_t ip, std::array<uint64_t, 4> stores, std::array<uint64_t, 4> loads) {
  std::string bytes = le(ip) + std::string(10, '\x07') + std::string(6, '\xee');  // and padding
  for (const uint64_t a : stores) bytes += le(a);
  for (const uint64_t a : loads) bytes += le(a);
  return bytes + "\x05\x06" + std::string(6, '\xee');
}

TEST(Champsim, OneRecordIsAFetchItsLoadsAndItsStores) {
  const std::string bytes = instruction(0x401000, {0x7000, 0x7fff}, {0, 0x8000, 0, 0x9ffc}) +
                            instruction(0x401003, {0, 0}, {0, 0, 0, 0}) +
                            instruction(0x500ffe, {0, 0}, {0, 0, 0, 0});
  ASSERT_EQ(bytes.size(), 192u);
  const Reading r = read_all(&make_champsim_reader, bytes);
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records,
              ElementsAre(fetch(0x401000, 3),                // up to the next
                          load(0x8000, 8), load(0x9ffc, 4),  // not into the next page
                          store(0x7000, 8), store(0x7fff, 1), fetch(0x401003, 4),  // it jumps
                          fetch(0x500ffe, 2)));  // the last, at the end of its page
  EXPECT_EQ(r.info.format, "champsim");
}

TEST(Champsim, TheDistanceToTheNextInstructionIsTheSize) {
  for (uint64_t distance = 0; distance < 20; ++distance) {
    const std::string bytes = instruction(0x1000, {}, {}) + instruction(0x1000 + distance, {}, {});
    const Reading r = read_all(&make_champsim_reader, bytes);
    ASSERT_EQ(r.records.size(), 2u);
    EXPECT_EQ(r.records[0].size, distance >= 1 && distance <= 15 ? distance : 4) << distance;
  }
}

TEST(Champsim, CloudSuiteRecordsHave96Bytes) {
  const std::string bytes = sparc(0x1000, {0x10, 0, 0x30, 0x40}, {0, 0, 0x50, 0x60}) +
                            sparc(0x1004, {0, 0, 0, 0}, {0x70, 0, 0, 0});
  ASSERT_EQ(bytes.size(), 192u);
  const Reading r = read_all(&make_cloudsuite_reader, bytes);
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records,
              ElementsAre(fetch(0x1000, 4), load(0x50, 8), load(0x60, 8), store(0x10, 8),
                          store(0x30, 8), store(0x40, 8), fetch(0x1004, 4), load(0x70, 8)));
  EXPECT_EQ(r.info.format, "champsim-cloudsuite");
}

TEST(Champsim, ACutFileIsAnErrorAfterItsWholeRecords) {
  const std::string whole = instruction(0x1000, {}, {0x2000}) + instruction(0x1004, {}, {});
  for (size_t length = 65; length < 128; ++length) {
    const absl::string_view cut = absl::string_view(whole).substr(0, length);
    const Reading r = read_all(&make_champsim_reader, cut, ReadMode::kStrict, 5);
    EXPECT_EQ(r.status.message(),
              absl::StrCat("trace: record 2 (byte 64): cut off: ", length - 64, " of 64 bytes"));
    EXPECT_THAT(r.records, ElementsAre(fetch(0x1000, 4), load(0x2000, 8)));
    const Reading lenient = read_all(&make_champsim_reader, cut, ReadMode::kLenient);
    EXPECT_TRUE(lenient.status.ok());
    EXPECT_EQ(lenient.records, r.records);
    EXPECT_EQ(lenient.stats.left_out, 1u);
    EXPECT_EQ(lenient.stats.first_fault, r.status.message());
  }
}

TEST(Champsim, AnImpossibleAddressCondemnsItsInstruction) {
  const std::string bytes = instruction(0x1000, {}, {}) +
                            instruction(0x1004, {uint64_t{1} << 60, 0}, {0x5000}) +
                            instruction(0x8000000000000000, {}, {}) + instruction(0x1008, {}, {});
  const Reading r = read_all(&make_champsim_reader, bytes);
  EXPECT_EQ(r.status.message(),
            "trace: record 2 (byte 64): store of 0x1000000000000000: address outside the 57-bit "
            "canonical range");
  EXPECT_THAT(r.records, ElementsAre(fetch(0x1000, 4)));
  const Reading lenient = read_all(&make_champsim_reader, bytes, ReadMode::kLenient);
  EXPECT_THAT(lenient.records, ElementsAre(fetch(0x1000, 4), fetch(0x1008, 4)));
  EXPECT_EQ(lenient.stats.left_out, 2u);
}

TEST(Champsim, TheWriterGathersAnInstruction) {
  const Writing w =
      write_all(&create_champsim_writer,
                {fetch(0x1000, 4), load(0x10, 8), store(0x20, 8), load(0x30, 8), modify(0x40, 8),
                 fetch(0x1004, 2), fetch(0x2000, 4), event_record(0), load(0, 8)},
                {{}});
  ASSERT_TRUE(w.status.ok());
  EXPECT_EQ(w.left_out, 2u);  // the event, and the load from 0
  const std::string expected =
      le<uint64_t>(0x1000) + std::string(8, '\0') + le<uint64_t>(0x20) + le<uint64_t>(0x40) +
      le<uint64_t>(0x10) + le<uint64_t>(0x30) + le<uint64_t>(0x40) + le<uint64_t>(0) +
      // It jumps: a taken branch that writes register 26, the instruction pointer.
      le<uint64_t>(0x1004) + std::string("\x01\x01\x1a\0\0\0\0\0", 8) + std::string(48, '\0') +
      le<uint64_t>(0x2000) + std::string(56, '\0');
  EXPECT_EQ(w.bytes, expected);
}

TEST(Champsim, TooManyOperandsRepeatTheInstruction) {
  std::vector<TraceRecord> records = {fetch(0x1000, 4)};
  for (uint64_t i = 1; i <= 6; ++i) records.push_back(load(i * 0x100, 8));
  const Writing w = write_all(&create_champsim_writer, records);
  const Reading r = read_all(&make_champsim_reader, w.bytes);
  EXPECT_THAT(r.records,
              ElementsAre(fetch(0x1000, 4), load(0x100, 8), load(0x200, 8), load(0x300, 8),
                          load(0x400, 8), fetch(0x1000, 4), load(0x500, 8), load(0x600, 8)));
}

TEST(Champsim, AccessesWithoutAFetchGetOne) {
  const Writing w = write_all(&create_champsim_writer, {load(0x100, 8), store(0x200, 8)});
  EXPECT_THAT(read_all(&make_champsim_reader, w.bytes).records,
              ElementsAre(fetch(0x400000, 4), load(0x100, 8), store(0x200, 8)));
}

TEST(Champsim, WhatItCanHoldReadsTheSame) {
  scenario::Random random(5);
  std::vector<TraceRecord> records;
  uint64_t ip = 0x400000;
  for (int i = 0; i < 5000; ++i) {
    const auto size = static_cast<uint16_t>(1 + random.below(15));
    records.push_back(fetch(ip, size));
    ip += size;
    for (uint64_t n = random.below(5); n > 0; --n) {
      records.push_back(load(8 + random.below(1 << 30) * 8, 8));
    }
    for (uint64_t n = random.below(3); n > 0; --n) {
      records.push_back(store(8 + random.below(1 << 30) * 8, 8));
    }
  }
  records.push_back(fetch(ip, assumed_last(ip)));
  const Writing w = write_all(&create_champsim_writer, records);
  for (const size_t piece : {~size_t{0}, size_t{1000}}) {
    EXPECT_EQ(read_all(&make_champsim_reader, w.bytes, ReadMode::kStrict, piece).records, records);
  }
  EXPECT_EQ(w.left_out, 0u);
}

}  // namespace
}  // namespace gnomon
