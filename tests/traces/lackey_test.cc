// SPDX-License-Identifier: Apache-2.0
#include "gnomon/traces/lackey.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/scenario/random.h"
#include "tests/traces/reading.h"

namespace gnomon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Reading read_lackey(absl::string_view text, ReadMode mode = ReadMode::kStrict,
                    size_t piece = ~size_t{0}, size_t buffer = kLackeyBuffer) {
  const auto reader =
      make_lackey_reader(std::make_unique<MemoryBytes>(text, "trace", piece), mode, buffer);
  return read_to_end(*reader, 256);
}

constexpr absl::string_view kShort =
    "==42== Lackey, an example Valgrind tool\n"
    "==42== Using Valgrind-3.19.0 and LibVEX; rerun with -h for copyright info\n"
    "==42== Command: ls -l\n"
    "==42== \n"
    "I  04001090,3\n"
    " S 1ffeffe7e,8\n"
    " L 04222c0,4\n"
    " M 0421C7CC,4\n"
    "==42== Counted 1 call\n";

TEST(Lackey, TakesTheFourKindsAndSkipsNotes) {
  const Reading r = read_lackey(kShort);
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records, ElementsAre(fetch(0x4001090, 3), store(0x1ffeffe7e, 8), load(0x4222c0, 4),
                                     modify(0x421c7cc, 4)));
  EXPECT_EQ(r.stats.records, 4u);
  EXPECT_EQ(r.stats.bytes, kShort.size());
  EXPECT_EQ(r.stats.warning, "");
  EXPECT_EQ(r.info.format, "lackey");
  EXPECT_EQ(r.info.program, "ls -l");
  EXPECT_EQ(r.info.recorder, "lackey, Valgrind-3.19.0");
}

TEST(Lackey, DoesNotDependOnHowTheBytesArrive) {
  const Reading whole = read_lackey(kShort);
  for (size_t piece = 1; piece <= kShort.size(); ++piece) {
    const Reading r = read_lackey(kShort, ReadMode::kStrict, piece, 96);
    ASSERT_TRUE(r.status.ok()) << r.status << " in pieces of " << piece;
    ASSERT_EQ(r.records, whole.records) << piece;
    ASSERT_EQ(r.stats.bytes, kShort.size());
  }
}

TEST(Lackey, TakesCarriageReturnsEmptyLinesAndSystemCalls) {
  const Reading r = read_lackey(
      "==1== x\r\nI  1000,2\r\n\r\nSYSCALL[1,1](12) sys_brk ( 0x0 ) --> ok\n --> [pre-fail] "
      "Failure(0x26) \n L 2000,8\r\n");
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records, ElementsAre(fetch(0x1000, 2), load(0x2000, 8)));
}

TEST(Lackey, KeepsTheRecordThatAMessageIsGluedTo) {
  const Reading r = read_lackey(
      " L 1000,8==42== Counted\n"
      "I  3000,1--42-- from -v\n"
      "**42** from a client request\n");
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records, ElementsAre(load(0x1000, 8), fetch(0x3000, 1)));
  EXPECT_EQ(r.stats.warning, "");
  const Reading cut = read_lackey(" S 20==42== cut inside the address\n L 1000,8\n");
  EXPECT_TRUE(cut.status.ok()) << cut.status;
  EXPECT_THAT(cut.records, ElementsAre(load(0x1000, 8)));
  EXPECT_EQ(cut.stats.warning,
            "trace: line 1 (byte 0): a message cuts a record short: "
            "\" S 20==42== cut inside the address\"");
}

TEST(Lackey, WarnsOfACutLastLine) {
  const std::string text(kShort.substr(0, kShort.rfind(" M")));
  for (size_t length = 0; length < 13; ++length) {
    const Reading r =
        read_lackey(absl::StrCat(text, absl::string_view(" M 0421C7CC,4").substr(0, length)));
    EXPECT_TRUE(r.status.ok()) << r.status;
    EXPECT_EQ(r.records.size(), 3u) << length;
    EXPECT_EQ(!r.stats.warning.empty(), length > 0) << length << r.stats.warning;
  }
  const Reading r = read_lackey(text + " M 0421C7CC,4");
  EXPECT_EQ(r.records.size(), 4u);
  EXPECT_THAT(r.stats.warning, HasSubstr("cut off after its last line"));
  EXPECT_EQ(read_lackey(text + "==42== end").stats.warning, "");
}

TEST(Lackey, NamesTheFirstBadLine) {
  const absl::string_view text = "==42== x\nI  1000,2\n X 2000,8\nI  3000,1\n";
  const Reading r = read_lackey(text);
  EXPECT_EQ(r.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(r.status.message(), "trace: line 3 (byte 19): not a lackey record: \" X 2000,8\"");
  EXPECT_THAT(r.records, ElementsAre(fetch(0x1000, 2)));
  const Reading lenient = read_lackey(text, ReadMode::kLenient);
  EXPECT_TRUE(lenient.status.ok());
  EXPECT_EQ(lenient.records.size(), 2u);
  EXPECT_EQ(lenient.stats.left_out, 1u);
  EXPECT_EQ(lenient.stats.first_fault, r.status.message());
}

TEST(Lackey, TheErrorNamesTheSameByteHoweverItArrives) {
  const std::string text = absl::StrCat(kShort, "rubbish\x01\n", kShort);
  for (size_t piece = 1; piece < 100; ++piece) {
    const Reading r = read_lackey(text, ReadMode::kStrict, piece, 96);
    EXPECT_EQ(r.status.message(), absl::StrCat("trace: line 10 (byte ", kShort.size(),
                                               "): not a lackey record: \"rubbish\\x01\""));
  }
}

TEST(Lackey, RejectsWhatIsNoRecord) {
  constexpr absl::string_view kMalformed = "not a lackey record";
  constexpr absl::string_view kSize = "size is not 1 to 4096 bytes";
  constexpr absl::string_view kRange = "address outside the 57-bit canonical range";
  const struct {
    absl::string_view line;
    absl::string_view fault;
  } kBad[] = {
      {"I 1000,2", kMalformed},
      {"I  ,2", kMalformed},
      {"I  1000", kMalformed},
      {"I  1000,", kMalformed},
      {"I  1000,2 ", kMalformed},
      {"I  1000,-2", kMalformed},
      {"I  0x1000,2", kMalformed},
      {"I  12345678901234567,2", kMalformed},
      {"I  1000,1234567890", kMalformed},
      {"L  1000,2", kMalformed},
      {" I 1000,2", kMalformed},
      {" ", kMalformed},
      {"==42 no mark", kMalformed},
      {" L 1000,0", kSize},
      {" L 1000,4097", kSize},
      {" L 1000,65536", kSize},  // does not fit 16 bits
      {" L 1000,65544", kSize},  // would be 8 there
      {" L 1000,999999999", kSize},
      {" L 100000000000000,1", kRange},
      {" L ffffffffffffff,2", kRange},
      {" L feffffffffffffff,1", kRange},
      {" S ffffffffffffffff,2", kRange},
  };
  for (const auto& bad : kBad) {
    const std::string text = absl::StrCat("I  1000,2\n", bad.line, "\n L 2000,1\n");
    const Reading strict = read_lackey(text);
    EXPECT_EQ(strict.status.message(),
              absl::StrCat("trace: line 2 (byte 10): ", bad.fault, ": \"", bad.line, "\""));
    const Reading lenient = read_lackey(text, ReadMode::kLenient);
    EXPECT_TRUE(lenient.status.ok()) << bad.line;
    EXPECT_THAT(lenient.records, ElementsAre(fetch(0x1000, 2), load(0x2000, 1))) << bad.line;
    EXPECT_EQ(lenient.stats.left_out, 1u) << bad.line;
  }
}

TEST(Lackey, TakesTheEndsOfTheAddressSpace) {
  const Reading r = read_lackey(
      " L 0,1\n L ffffffffffffff,1\n L ff00000000000000,1\n S ffffffffffffffff,1\n L 1000,4096\n");
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_EQ(r.records.size(), 5u);
}

TEST(Lackey, DropsALineThatDoesNotFitTheBuffer) {
  const std::string text =
      absl::StrCat("I  1000,2\n", std::string(1000, 'x'), "\n L 2000,1\n", std::string(500, 'y'));
  const Reading strict = read_lackey(text, ReadMode::kStrict, 33, 64);
  EXPECT_EQ(strict.status.message(), absl::StrCat("trace: line 2 (byte 10): line too long: \"",
                                                  std::string(40, 'x'), "\"..."));
  for (size_t piece = 1; piece < 200; ++piece) {
    const Reading r = read_lackey(text, ReadMode::kLenient, piece, 64);
    EXPECT_TRUE(r.status.ok());
    EXPECT_THAT(r.records, ElementsAre(fetch(0x1000, 2), load(0x2000, 1))) << piece;
    EXPECT_EQ(r.stats.left_out, 2u) << piece;
    EXPECT_EQ(r.stats.bytes, text.size());
  }
}

TEST(Lackey, AnEmptySourceHasNoRecords) {
  const Reading r = read_lackey("");
  EXPECT_TRUE(r.status.ok());
  EXPECT_THAT(r.records, IsEmpty());
  EXPECT_EQ(r.stats.warning, "");
}

TEST(Lackey, WhatIsWrittenReadsTheSame) {
  scenario::Random random(3);
  std::vector<TraceRecord> records;
  for (int i = 0; i < 10000; ++i) {
    records.push_back({Gva(random.next() >> (8 + random.below(56))),
                       static_cast<uint16_t>(1 + random.below(4096)),
                       static_cast<RecordKind>(random.below(4)), false});
  }
  records.push_back(store(~uint64_t{0}, 1));
  std::erase_if(records, [](const TraceRecord& r) {
    return r.address.value() >> 56 == 0 && r.address.value() + r.size > uint64_t{1} << 56;
  });
  const Writing w = write_all(&create_lackey_writer, records);
  ASSERT_TRUE(w.status.ok()) << w.status;
  EXPECT_EQ(read_lackey(w.bytes).records, records);
  EXPECT_TRUE(is_lackey(w.bytes));

  const Writing small = write_all(
      &create_lackey_writer, {event_record(0), fetch(0x1000, 2), modify(0x123456789a, 16)}, {{}});
  EXPECT_EQ(small.bytes, "I  00001000,2\n M 123456789a,16\n");
  EXPECT_EQ(small.left_out, 1u);
}

TEST(Lackey, IsRecognized) {
  EXPECT_TRUE(is_lackey(kShort));
  EXPECT_TRUE(is_lackey("I  1000,2\n"));
  EXPECT_TRUE(is_lackey("SYSCALL[1,1]\n L 1000,2==4== x\r\n"));
  EXPECT_FALSE(is_lackey("==42== Memcheck, a memory error detector\nhello\n"));
  EXPECT_FALSE(is_lackey("I 1000,2\n"));
  EXPECT_FALSE(is_lackey(""));
}

}  // namespace
}  // namespace gnomon
