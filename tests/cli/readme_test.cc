// SPDX-License-Identifier: Apache-2.0
//
// The README shows what the program prints: each `console` block of it is run, and what comes out
// must have the same shape (rows, columns, words; digits aside).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

struct Block {
  std::string command;
  std::string output;
};

std::vector<Block> console_blocks(const std::string& file) {
  std::ifstream in(file);
  EXPECT_TRUE(in) << file;
  std::vector<Block> blocks;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line == "```console") {
      inside = true;
    } else if (line == "```") {
      inside = false;
    } else if (inside && absl::StartsWith(line, "$ ")) {
      blocks.push_back({line.substr(2), ""});
    } else if (inside && !blocks.empty()) {
      absl::StrAppend(&blocks.back().output, line, "\n");
    }
  }
  return blocks;
}

/// The command as it is run here: the built program in the place of tools/run, which would build
/// it.
std::string runnable(const std::string& command) {
  // Without arguments tools/run takes a minute; the front of each sample gives the same rows.
  if (command == "tools/run") {
    return absl::StrCat("cd '", GNOMON_TEST_SOURCE_DIR,
                        "' && gnomon compare --each traces/samples/*.gtrace "
                        "--mmu native,shadow,vtlb,nested,agile --limit 100k");
  }
  return absl::StrReplaceAll(command, {{"tools/run ", "gnomon "}});
}

/// Which backends would change places depends on the numbers: "0.5 nested", or nothing. So does
/// which is the cheapest: "* nested".
/// A guest's console ends its lines as serial terminals want it.
std::string without_returns(const std::string& text) {
  return absl::StrReplaceAll(text, {{"\r\n", "\n"}});
}

std::string without_ranks(const std::string& shape) {
  static const std::regex ranks("( N(e[+-] N)? [a-z]+| -)(?=\n)");
  static const std::regex cheapest("\n\\* (?=[a-z]+ N)");
  return std::regex_replace(std::regex_replace(shape, ranks, " R"), cheapest, "\n ");
}

TEST(Readme, ItsCommandsPrintWhatItShows) {
  const std::vector<Block> blocks =
      console_blocks(absl::StrCat(GNOMON_TEST_SOURCE_DIR, "/README.md"));
  EXPECT_GE(blocks.size(), 1u);
  for (const Block& block : blocks) {
    const Finished f = run(runnable(block.command));
    EXPECT_EQ(f.status, 0) << block.command << "\n" << f.err;
    EXPECT_EQ(without_ranks(shape_of(without_returns(f.out))),
              without_ranks(shape_of(block.output)))
        << block.command;
  }
}

}  // namespace
}  // namespace gnomon::cli_test
