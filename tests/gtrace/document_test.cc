// SPDX-License-Identifier: Apache-2.0
// The file that docs/gtrace.md takes apart is one, and is what the writer makes.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <string>

#include "tests/gtrace/support.h"

namespace gnomon::gtrace_test {
namespace {

/// The bytes of the table: lines of an offset, two spaces, bytes, two spaces, text.
std::string documented() {
  std::ifstream document(GNOMON_TEST_SOURCE_DIR "/docs/gtrace.md");
  const std::regex row("^([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+) +[^ ].*$");
  std::string bytes, line;
  std::smatch match;
  while (std::getline(document, line)) {
    if (!std::regex_match(line, match, row)) continue;
    EXPECT_EQ(std::stoul(match[1], nullptr, 16), bytes.size()) << line;
    const std::string digits = match[2];
    for (size_t i = 0; i + 1 < digits.size() && digits[i] != ' '; i += 3) {
      bytes.push_back(static_cast<char>(std::stoul(digits.substr(i, 2), nullptr, 16)));
    }
  }
  return bytes;
}

TraceBatch described() {
  TraceBatch batch;
  append(batch, switch_to(1, 2));
  for (const uint64_t address : {0x7fff0010, 0x7fff0018, 0x7fff0020, 0x7fff0010}) {
    append(batch, fetch(0x401000, 4));
    append(batch, load(address, 8));
    append(batch, fetch(0x401004, 2));
  }
  return batch;
}

TEST(GtraceDocument, ItsFileReadsAsItSays) {
  const Reading r = read_all(documented());
  ASSERT_TRUE(r.status.ok()) << r.status;
  EXPECT_EQ(r.stats.warning, "");
  EXPECT_EQ(r.info.program, "demo");
  expect_same(r.batch, described());
}

TEST(GtraceDocument, TheWriterMakesIt) {
  TraceInfo info;
  info.program = "demo";
  EXPECT_EQ(documented(), written(described(), {}, info));
}

}  // namespace
}  // namespace gnomon::gtrace_test
