// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gnomon/traces/formats.h"
#include "tests/support/temporary_directory.h"
#include "tests/traces/reading.h"

namespace gnomon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Registry : public ::testing::Test {
 protected:
  std::string path(absl::string_view name) const { return folder_.path(name); }
  std::string put(absl::string_view name, absl::string_view bytes) const {
    return folder_.put(name, bytes);
  }
  void run(const std::string& command) const {
    ASSERT_EQ(std::system(absl::StrCat("cd ", folder_.path().string(), " && ", command).c_str()), 0)
        << command;
  }
  static Reading read(const std::string& path, const OpenOptions& options = {}) {
    auto reader = open_trace(path, options);
    if (reader.ok()) return read_to_end(**reader);
    Reading failed;
    failed.status = reader.status();
    return failed;
  }

  test_support::TemporaryDirectory folder_;
};

const std::vector<TraceRecord>& sample() {
  static const std::vector<TraceRecord> records = {fetch(0x401000, 3), load(0x1000, 8),
                                                   fetch(0x401003, 3), store(0x2000, 8)};
  return records;
}

OpenOptions named(absl::string_view format) {
  OpenOptions options;
  options.format = format;
  return options;
}

TEST_F(Registry, RowsAreComplete) {
  std::set<absl::string_view> names, suffixes;
  for (const TraceFormat& format : trace_formats()) {
    EXPECT_TRUE(names.insert(format.name).second) << format.name;
    EXPECT_TRUE(suffixes.insert(format.suffix).second) << format.suffix;
    EXPECT_TRUE(absl::StartsWith(format.suffix, "."));
    EXPECT_FALSE(format.description.empty());
    EXPECT_NE(format.read, nullptr);
    EXPECT_EQ(*find_trace_format(format.name), &format);
  }
  EXPECT_THAT(std::vector<std::string>(names.begin(), names.end()),
              ElementsAre("champsim", "champsim-cloudsuite", "csv", "dynamorio", "gem5", "gtrace",
                          "lackey", "pinatrace"));
  EXPECT_EQ(find_trace_format("elf").status().message(),
            "no trace format \"elf\"; known are gtrace, lackey, champsim, champsim-cloudsuite, "
            "dynamorio, pinatrace, gem5, csv");
}

TEST_F(Registry, OnlyItsOwnFormatRecognizesATrace) {
  for (const TraceFormat& format : trace_formats()) {
    if (format.write == nullptr || format.name == "gtrace") continue;
    const Writing w = write_all(format.write, sample());
    ASSERT_TRUE(w.status.ok());
    for (const TraceFormat& other : trace_formats()) {
      if (other.recognize == nullptr) continue;
      EXPECT_EQ(other.recognize(w.bytes), other.name == format.name)
          << other.name << " about " << format.name;
    }
  }
}

TEST_F(Registry, OpensWhatTheCommandsOfTheSystemCompressed) {
  for (const TraceFormat& format : trace_formats()) {
    if (format.write == nullptr || format.name == "gtrace") continue;
    const std::string plain = absl::StrCat("t", format.suffix);
    const Reading expected = read(put(plain, write_all(format.write, sample()).bytes));
    ASSERT_TRUE(expected.status.ok()) << expected.status;
    ASSERT_GE(expected.stats.records, 4u) << format.name;
    ASSERT_EQ(expected.info.format, format.name);
    run(absl::StrCat("gzip -k ", plain));
    run(absl::StrCat("xz -k ", plain));
    run(absl::StrCat("bzip2 -k ", plain));
    for (const absl::string_view suffix : {".gz", ".xz", ".bz2"}) {
      const Reading r = read(path(absl::StrCat(plain, suffix)));
      EXPECT_TRUE(r.status.ok()) << r.status;
      EXPECT_EQ(r.records, expected.records) << format.name << suffix;
      EXPECT_LT(r.stats.bytes, 1000u);
    }
    if (std::system("command -v zstd >/dev/null 2>&1") == 0) {
      run(absl::StrCat("zstd -q -k ", plain));
      EXPECT_EQ(read(path(plain + ".zst")).records, expected.records) << format.name;
    }
    if (std::system("command -v zip >/dev/null 2>&1") == 0) {
      run(absl::StrCat("zip -q ", plain, ".zip ", plain));
      EXPECT_EQ(read(path(plain + ".zip")).records, expected.records) << format.name;
      run(absl::StrCat("cat ", plain, " | zip -q - - > piped", plain, ".zip"));
      EXPECT_EQ(read(path(absl::StrCat("piped", plain, ".zip"))).records, expected.records);
    }
  }
}

TEST_F(Registry, KnowsTheNamesUnderWhichChampsimTracesArePublished) {
  const std::string bytes = write_all((*find_trace_format("champsim"))->write, sample()).bytes;
  for (const absl::string_view name : {"a.champsim", "600.perlbench_s-210B.champsimtrace.xz",
                                       "b.champsim.trace.gz", "c.champsim.xz"}) {
    const Reading r = read(put(name, bytes));
    EXPECT_TRUE(r.status.ok()) << r.status;
    EXPECT_EQ(r.info.format, "champsim");
  }
  EXPECT_EQ(read(put("d.cloudsuite.xz", std::string(192, '\0'))).info.format,
            "champsim-cloudsuite");
  EXPECT_EQ(read(put("e", bytes), named("champsim")).records.size(), 4u);
}

TEST_F(Registry, SaysWhatItDoesNotKnow) {
  const std::string known =
      "; name its format (--format): gtrace, lackey, champsim, champsim-cloudsuite, dynamorio, "
      "pinatrace, gem5, csv";
  const std::string odd = put("odd.txt", "hello\n");
  EXPECT_EQ(read(odd).status.message(), absl::StrCat(odd, ": not recognized as a trace", known));
  const std::string empty = put("empty", "");
  EXPECT_EQ(read(empty).status.message(), absl::StrCat(empty, ": empty", known));
  EXPECT_TRUE(read(put("empty.lackey", "")).status.ok());
  EXPECT_EQ(read(path("missing")).status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(read(odd, named("elf")).status.message()),
              HasSubstr("no trace format \"elf\""));
  EXPECT_EQ(read(odd, named("lackey")).status.message(),
            absl::StrCat(odd, ": line 1 (byte 0): not a lackey record: \"hello\""));
}

TEST_F(Registry, LenientIsHandedOn) {
  const std::string name = put("x.lackey", "I  1000,2\nrubbish\n");
  EXPECT_FALSE(read(name).status.ok());
  OpenOptions lenient;
  lenient.mode = ReadMode::kLenient;
  const Reading r = read(name, lenient);
  EXPECT_TRUE(r.status.ok());
  EXPECT_EQ(r.stats.left_out, 1u);
}

TEST_F(Registry, ADamagedFileIsAnErrorOfTheReader) {
  std::string text;
  for (int i = 0; i < 20000; ++i) absl::StrAppend(&text, "I  ", absl::Hex(i * 77777), ",2\n");
  put("x.lackey", text);
  run("gzip x.lackey && truncate -s 30000 x.lackey.gz");
  const Reading r = read(path("x.lackey.gz"));
  EXPECT_GT(r.records.size(), 1000u);
  EXPECT_THAT(std::string(r.status.message()),
              HasSubstr("x.lackey.gz: byte 30000: the gzip data are cut off; --lenient uses what comes before"));
}

}  // namespace
}  // namespace gnomon
