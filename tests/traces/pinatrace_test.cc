// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/traces/reading.h"
#include "traces/formats/all.h"

namespace gnomon {
namespace {

using ::testing::ElementsAre;

TEST(Pinatrace, AnAccessBringsAFetchWhenTheInstructionChanges) {
  const Reading r = read_all(&make_pinatrace_reader,
                             "0x401000: R 0x7ffd00001000\n"
                             "0x401000: W 0x7ffd00001ffd\n"
                             "0x401003: W 0x20\r\n"
                             "\n"
                             "(nil): R 0x7ffd00001008\n"
                             "0x401003: R (nil)\n"
                             "#eof\n");
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records, ElementsAre(fetch(0x401000, 1), load(0x7ffd00001000, 8),
                                     store(0x7ffd00001ffd, 3), fetch(0x401003, 1), store(0x20, 8),
                                     load(0x7ffd00001008, 8), fetch(0x401003, 1), load(0, 8)));
  EXPECT_EQ(r.stats.warning, "");
  EXPECT_EQ(r.info.format, "pinatrace");
}

TEST(Pinatrace, AFourthColumnThatCanBeASizeIsOne) {
  const Reading r = read_all(&make_pinatrace_reader,
                             "0x1: R 0x1000 4 0x2a\n"
                             "0x1:  W  0x2ffe  16\n"
                             "0x1: R 0x3000 0x2a\n"
                             "0x1: R 0x4000 5000\n"
                             "0x1: R 0x5000 0\n"
                             "0x1: R 0x6000 thread 1\n"
                             "#eof\n");
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records,
              ElementsAre(fetch(1, 1), load(0x1000, 4), store(0x2ffe, 16), load(0x3000, 8),
                          load(0x4000, 8), load(0x5000, 8), load(0x6000, 8)));
}

TEST(Pinatrace, RejectsWhatIsNoRecord) {
  constexpr absl::string_view kMalformed = "not a pinatrace record";
  constexpr absl::string_view kRange = "address outside the 57-bit canonical range";
  const struct {
    absl::string_view line;
    absl::string_view fault;
  } kBad[] = {
      {"0x1 R 0x2", kMalformed},
      {"0x1: X 0x2", kMalformed},
      {"0x1: R0x2", kMalformed},
      {"0x1: R 2", kMalformed},
      {"0x1: R 0x", kMalformed},
      {"0x: R 0x1", kMalformed},
      {"0x1: R 0x12345678901234567", kMalformed},
      {"0x1: R 0x12g", kMalformed},
      {"1: R 0x2", kMalformed},
      {"0x1:", kMalformed},
      {"hello", kMalformed},
      {"0x1: R 0x100000000000000", kRange},
      {"0x8000000000000000: R 0x1", kRange},
      {"0x1: R 0xffffffffffffffff 2", kRange},
  };
  for (const auto& bad : kBad) {
    const std::string text = absl::StrCat("0x7: R 0x10\n", bad.line, "\n0x7: W 0x20\n#eof\n");
    const Reading strict = read_all(&make_pinatrace_reader, text);
    EXPECT_EQ(strict.status.message(),
              absl::StrCat("trace: line 2 (byte 12): ", bad.fault, ": \"", bad.line, "\""));
    EXPECT_EQ(strict.records.size(), 2u);
    const Reading lenient = read_all(&make_pinatrace_reader, text, ReadMode::kLenient);
    EXPECT_TRUE(lenient.status.ok());
    EXPECT_EQ(lenient.stats.left_out, 1u);
    EXPECT_THAT(lenient.records, ElementsAre(fetch(7, 1), load(0x10, 8), store(0x20, 8)));
  }
}

TEST(Pinatrace, WarnsWhenItMayBeCutOff) {
  const absl::string_view whole = "0x7: R 0x10\n0x7: R 0x2345\n";
  for (size_t length = 12; length <= whole.size(); ++length) {
    const Reading r = read_all(&make_pinatrace_reader, whole.substr(0, length));
    EXPECT_TRUE(r.status.ok()) << r.status;
    EXPECT_EQ(r.stats.warning, absl::StrCat("trace: line ", length == 12 ? 1 : 2,
                                            ": the trace may be cut off: it does not end in #eof"));
  }
}

TEST(Pinatrace, WritesWhatItCanHold) {
  const Writing w =
      write_all(&create_pinatrace_writer,
                {load(0x5, 8), fetch(0x1000, 4), load(0x10, 8), modify(0x20, 8), fetch(0x1004, 4),
                 fetch(0x1008, 4), store(0x30, 8), event_record(0), fetch(0x100c, 1)},
                {{}});
  EXPECT_EQ(w.bytes,
            "0x0: R 0x5\n"
            "0x1000: R 0x10\n0x1000: R 0x20\n0x1000: W 0x20\n"
            "0x1008: W 0x30\n"
            "#eof\n");
  EXPECT_EQ(w.left_out, 3u);  // two fetches without access, and the event
  EXPECT_THAT(read_all(&make_pinatrace_reader, w.bytes).records,
              ElementsAre(load(0x5, 8), fetch(0x1000, 1), load(0x10, 8), load(0x20, 8),
                          store(0x20, 8), fetch(0x1008, 1), store(0x30, 8)));
}

TEST(Pinatrace, IsRecognized) {
  EXPECT_TRUE(is_pinatrace("0x1: R 0x2\n"));
  EXPECT_TRUE(is_pinatrace("# made by hand\n\n0x1: W 0x2 8\r\nrest"));
  EXPECT_TRUE(is_pinatrace("#eof\n"));
  EXPECT_FALSE(is_pinatrace("0x1: R 0x2"));  // not a whole line
  EXPECT_FALSE(is_pinatrace("I  1000,2\n"));
  EXPECT_FALSE(is_pinatrace(""));
}

}  // namespace
}  // namespace gnomon
