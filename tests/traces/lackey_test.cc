// SPDX-License-Identifier: Apache-2.0
#include "gnomon/traces/lackey.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gnomon/traces/reference_stream.h"

namespace gnomon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Mode = LackeyReader::Mode;

struct Reading {
  std::vector<TraceRecord> records;
  absl::Status status;
  LackeyStats stats;
};

/// Everything in `text`, handed to the reader `piece` bytes at a time and taken `at_once` at a
/// time.
Reading read_all(absl::string_view text, Mode mode = Mode::kStrict, size_t piece = ~size_t{0},
                 size_t buffer = LackeyReader::kDefaultBuffer, size_t at_once = 7) {
  MemoryBytes bytes(text, "trace", piece);
  LackeyReader reader(bytes, mode, buffer);
  Reading result;
  std::vector<TraceRecord> some(at_once);
  while (true) {
    const absl::StatusOr<size_t> got = reader.read(absl::MakeSpan(some));
    result.status = got.status();
    if (!got.ok() || *got == 0) break;
    result.records.insert(result.records.end(), some.begin(),
                          some.begin() + static_cast<std::ptrdiff_t>(*got));
  }
  result.stats = reader.stats();
  return result;
}

TraceRecord fetch(uint64_t a, uint32_t n) { return {Gva(a), n, RecordKind::kFetch}; }
TraceRecord load(uint64_t a, uint32_t n) { return {Gva(a), n, RecordKind::kLoad}; }
TraceRecord store(uint64_t a, uint32_t n) { return {Gva(a), n, RecordKind::kStore}; }
TraceRecord modify(uint64_t a, uint32_t n) { return {Gva(a), n, RecordKind::kModify}; }

constexpr absl::string_view kShort =
    "==42== Lackey, an example Valgrind tool\n"
    "==42== \n"
    "I  04001090,3\n"
    " S 1ffeffe7e,8\n"
    " L 04222c0,4\n"
    " M 0421C7CC,4\n"
    "==42== Counted 1 call\n";

TEST(LackeyReader, TakesTheFourKindsAndSkipsNotes) {
  const Reading r = read_all(kShort);
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records, ElementsAre(fetch(0x4001090, 3), store(0x1ffeffe7e, 8), load(0x4222c0, 4),
                                     modify(0x421c7cc, 4)));
  EXPECT_EQ(r.stats.lines, 7u);
  EXPECT_EQ(r.stats.notes, 3u);
  EXPECT_EQ(r.stats.records, 4u);
  EXPECT_EQ(r.stats.bytes, kShort.size());
  EXPECT_FALSE(r.stats.cut_off);
}

TEST(LackeyReader, DoesNotDependOnHowTheBytesArrive) {
  const Reading whole = read_all(kShort);
  for (size_t piece = 1; piece <= kShort.size(); ++piece) {
    for (const size_t at_once : {1, 2, 100}) {
      const Reading r = read_all(kShort, Mode::kStrict, piece, 64, at_once);
      ASSERT_TRUE(r.status.ok()) << r.status << " in pieces of " << piece;
      ASSERT_EQ(r.records, whole.records) << piece;
      ASSERT_EQ(r.stats.lines, whole.stats.lines) << piece;
    }
  }
}

TEST(LackeyReader, TakesCarriageReturnsAndEmptyLines) {
  const Reading r = read_all("==1== x\r\nI  1000,2\r\n\r\n L 2000,8\r\n");
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records, ElementsAre(fetch(0x1000, 2), load(0x2000, 8)));
  EXPECT_EQ(r.stats.notes, 2u);
}

TEST(LackeyReader, KeepsTheRecordThatAMessageIsGluedTo) {
  const Reading r = read_all(
      " L 1000,8==42== Counted\n"
      " S 20==42== cut inside the address\n"
      "I  3000,1--42-- from -v\n"
      "**42** from a client request\n");
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records, ElementsAre(load(0x1000, 8), fetch(0x3000, 1)));
  EXPECT_EQ(r.stats.glued, 3u);
  EXPECT_EQ(r.stats.notes, 1u);
}

TEST(LackeyReader, ReportsACutLastLine) {
  const std::string text(kShort.substr(0, kShort.rfind(" M")));
  for (size_t length = 0; length < 13; ++length) {
    const Reading r =
        read_all(absl::StrCat(text, absl::string_view(" M 0421C7CC,4").substr(0, length)));
    EXPECT_TRUE(r.status.ok()) << r.status;
    EXPECT_EQ(r.records.size(), 3u) << length;
    EXPECT_EQ(r.stats.cut_off, length > 0) << length;
  }
  const Reading r = read_all(text + " M 0421C7CC,4");
  EXPECT_EQ(r.records.size(), 4u);
  EXPECT_TRUE(r.stats.cut_off);
  EXPECT_FALSE(read_all(text + "==42== end").stats.cut_off);
}

TEST(LackeyReader, NamesTheFirstBadLine) {
  const Reading r = read_all("==42== x\nI  1000,2\n X 2000,8\nI  3000,1\n");
  EXPECT_EQ(r.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(r.status.message(), "trace:3 (byte 19): not a lackey record: \" X 2000,8\"");
  EXPECT_THAT(r.records, ElementsAre(fetch(0x1000, 2)));
}

TEST(LackeyReader, TheErrorNamesTheSameByteHoweverItArrives) {
  const std::string text = absl::StrCat(kShort, "rubbish\x01\n", kShort);
  for (size_t piece = 1; piece < 100; ++piece) {
    const Reading r = read_all(text, Mode::kStrict, piece, 64);
    EXPECT_EQ(r.status.message(), absl::StrCat("trace:8 (byte ", kShort.size(),
                                               "): not a lackey record: \"rubbish\\x01\""));
  }
}

struct BadLine {
  absl::string_view line;
  LineFault fault;
};

TEST(LackeyReader, RejectsWhatIsNoRecord) {
  const BadLine kBad[] = {
      {"I 1000,2", LineFault::kMalformed},
      {"I  ,2", LineFault::kMalformed},
      {"I  1000", LineFault::kMalformed},
      {"I  1000,", LineFault::kMalformed},
      {"I  1000,2 ", LineFault::kMalformed},
      {"I  1000,-2", LineFault::kMalformed},
      {"I  0x1000,2", LineFault::kMalformed},
      {"I  12345678901234567,2", LineFault::kMalformed},
      {"I  1000,1234567890", LineFault::kMalformed},
      {"L  1000,2", LineFault::kMalformed},
      {" I 1000,2", LineFault::kMalformed},
      {" ", LineFault::kMalformed},
      {"==42 no mark", LineFault::kMalformed},
      {" L 1000,0", LineFault::kBadSize},
      {" L 1000,4097", LineFault::kBadSize},
      {" L 1000,999999999", LineFault::kBadSize},
      {" L 800000000000,1", LineFault::kNonCanonical},
      {" L 7fffffffffff,2", LineFault::kNonCanonical},
      {" L ffff7fffffffffff,1", LineFault::kNonCanonical},
      {" S ffffffffffffffff,2", LineFault::kNonCanonical},
  };
  for (const BadLine& bad : kBad) {
    const std::string text = absl::StrCat("I  1000,2\n", bad.line, "\n L 2000,1\n");
    EXPECT_EQ(read_all(text).status.code(), absl::StatusCode::kInvalidArgument) << bad.line;
    const Reading lenient = read_all(text, Mode::kLenient);
    EXPECT_TRUE(lenient.status.ok()) << bad.line;
    EXPECT_THAT(lenient.records, ElementsAre(fetch(0x1000, 2), load(0x2000, 1))) << bad.line;
    EXPECT_EQ(lenient.stats.rejected[static_cast<size_t>(bad.fault)], 1u) << bad.line;
    EXPECT_EQ(lenient.stats.rejected_lines(), 1u) << bad.line;
  }
}

TEST(LackeyReader, TakesTheEndsOfTheAddressSpace) {
  const Reading r = read_all(
      " L 0,1\n L 7fffffffffff,1\n L ffff800000000000,1\n S ffffffffffffffff,1\n L 1000,4096\n");
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_EQ(r.records.size(), 5u);
}

TEST(LackeyReader, DropsALineThatDoesNotFitTheBuffer) {
  const std::string text =
      absl::StrCat("I  1000,2\n", std::string(1000, 'x'), "\n L 2000,1\n", std::string(500, 'y'));
  const Reading strict = read_all(text, Mode::kStrict, 33, 64);
  EXPECT_THAT(std::string(strict.status.message()), HasSubstr("trace:2 (byte 10): line too long"));
  for (size_t piece = 1; piece < 200; ++piece) {
    const Reading r = read_all(text, Mode::kLenient, piece, 64);
    EXPECT_TRUE(r.status.ok());
    EXPECT_THAT(r.records, ElementsAre(fetch(0x1000, 2), load(0x2000, 1))) << piece;
    EXPECT_EQ(r.stats.rejected[static_cast<size_t>(LineFault::kTooLong)], 2u) << piece;
    EXPECT_EQ(r.stats.bytes, text.size());
  }
}

TEST(LackeyReader, AnEmptySourceHasNoRecords) {
  const Reading r = read_all("");
  EXPECT_TRUE(r.status.ok());
  EXPECT_THAT(r.records, IsEmpty());
  EXPECT_FALSE(r.stats.cut_off);
}

TEST(OpenBytes, SaysWhatIsMissing) {
  const auto source = open_bytes("/nowhere/at/all");
  EXPECT_EQ(source.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(source.status().message()), HasSubstr("/nowhere/at/all: cannot open"));
}

TEST(OpenBytes, ADirectoryCannotBeRead) {
  const auto source = open_bytes("/");
  ASSERT_TRUE(source.ok());
  LackeyReader reader(**source);
  TraceRecord record;
  EXPECT_EQ(reader.read(absl::MakeSpan(&record, 1)).status().code(),
            absl::StatusCode::kUnavailable);
}

std::vector<Reference> references_of(absl::string_view text, size_t at_once) {
  MemoryBytes bytes(text);
  LackeyReader reader(bytes);
  ReferenceStream stream(reader);
  std::vector<Reference> all;
  std::vector<Reference> some(at_once);
  while (true) {
    const absl::StatusOr<size_t> got = stream.read(absl::MakeSpan(some));
    if (!got.ok() || *got == 0) break;
    all.insert(all.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(*got));
  }
  return all;
}

TEST(ReferenceStream, SplitsModifiesAndCrossings) {
  const absl::string_view text = "I  1ffe,4\n M 3ffc,8\n L 5ff8,8\n M 6000,4096\n";
  const std::vector<Reference> expected = {
      {Gva(0x1ffe), AccessOp::kFetch, 1}, {Gva(0x2000), AccessOp::kFetch, 1},
      {Gva(0x3ffc), AccessOp::kRead, 2},  {Gva(0x4000), AccessOp::kRead, 2},
      {Gva(0x3ffc), AccessOp::kWrite, 2}, {Gva(0x4000), AccessOp::kWrite, 2},
      {Gva(0x5ff8), AccessOp::kRead, 3},  {Gva(0x6000), AccessOp::kRead, 4},
      {Gva(0x6000), AccessOp::kWrite, 4},
  };
  for (size_t at_once = 1; at_once < 12; ++at_once) {
    EXPECT_EQ(references_of(text, at_once), expected) << at_once;
  }
}

TEST(ReferenceStream, HandsOutWhatCameBeforeAnError) {
  MemoryBytes bytes("I  1000,1\nI  2000,1\nrubbish\n", "t");
  LackeyReader reader(bytes);
  ReferenceStream stream(reader);
  std::vector<Reference> out(10);
  EXPECT_EQ(stream.read(absl::MakeSpan(out)).value(), 2u);
  EXPECT_FALSE(stream.read(absl::MakeSpan(out)).ok());
  EXPECT_FALSE(stream.read(absl::MakeSpan(out)).ok());
}

}  // namespace
}  // namespace gnomon
