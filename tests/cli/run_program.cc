// SPDX-License-Identifier: Apache-2.0
#include "tests/cli/run_program.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gnomon::cli_test {
namespace {

class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "gnomon-cli-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

const std::filesystem::path& scratch() {
  static const Scratch directory;
  return directory.path();
}

std::string contents_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

bool is_digit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

}  // namespace

Finished run(const std::string& command_line) {
  const std::filesystem::path out = scratch() / "out";
  const std::filesystem::path err = scratch() / "err";
  const std::string shell =
      absl::StrFormat("gnomon() { '%s' \"$@\"; }\n{ %s\n} >'%s' 2>'%s'", GNOMON_TEST_TOOL,
                      command_line, out.string(), err.string());
  const int status = system(shell.c_str());
  Finished finished;
  finished.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  finished.out = contents_of(out);
  finished.err = contents_of(err);
  return finished;
}

std::string scratch_file(absl::string_view name, absl::string_view contents) {
  const std::filesystem::path path = scratch() / std::string(name);
  std::ofstream(path, std::ios::binary) << contents;
  return path.string();
}

std::string scratch_path(absl::string_view name) {
  return (scratch() / std::string(name)).string();
}

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
