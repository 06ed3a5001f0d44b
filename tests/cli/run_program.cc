// SPDX-License-Identifier: Apache-2.0
#include "tests/cli/run_program.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/support/temporary_directory.h"

namespace gnomon::cli_test {
namespace {

const test_support::TemporaryDirectory& scratch() {
  static const test_support::TemporaryDirectory directory;
  return directory;
}

bool is_digit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

}  // namespace

std::string contents_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

Finished run(const std::string& command_line) {
  const std::string out = scratch().path("out");
  const std::string err = scratch().path("err");
  const std::string shell = absl::StrFormat("gnomon() { '%s' \"$@\"; }\n{ %s\n} >'%s' 2>'%s'",
                                            GNOMON_TEST_TOOL, command_line, out, err);
  const int status = system(shell.c_str());
  Finished finished;
  finished.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  finished.out = contents_of(out);
  finished.err = contents_of(err);
  return finished;
}

std::string scratch_file(absl::string_view name, absl::string_view contents) {
  return scratch().put(name, contents);
}

std::string scratch_path(absl::string_view name) { return scratch().path(name); }

nlohmann::json json_of(const std::string& command_line) {
  const Finished f = run(command_line);
  EXPECT_EQ(f.status, 0) << command_line << "\n" << f.err;
  nlohmann::json document = nlohmann::json::parse(f.out, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(document.is_discarded()) << command_line << "\n" << f.out;
  return document;
}

std::string shape_of(absl::string_view text) {
  std::string shape;
  for (size_t i = 0; i < text.size();) {
    if (!is_digit(text[i])) {
      if (text[i] != ' ' || shape.empty() || shape.back() != ' ') shape += text[i];
      ++i;
      continue;
    }
    while (i < text.size() &&
           (is_digit(text[i]) ||
            ((text[i] == ',' || text[i] == '.') && i + 1 < text.size() && is_digit(text[i + 1])))) {
      ++i;
    }
    if (!shape.empty() && shape.back() == ' ') shape.pop_back();
    shape += " N";
  }
  return shape;
}

std::string small_recording() {
  std::string text = "==42== Lackey\n";
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppendFormat(&text, "I  %08x,4\n S %010x,8\n L %010x,8\n", 0x400000 + 4 * i,
                          0x1ffe000000 + 4096 * (i % 150), 0x4800000 + 4096 * (i * 5 % 49));
  }
  return text + "==42== done\n";
}

std::string small_trace() {
  static const std::string path = scratch_file("small.lackey", small_recording());
  return path;
}

}  // namespace gnomon::cli_test
