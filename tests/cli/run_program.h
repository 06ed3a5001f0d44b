// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CLI_RUN_PROGRAM_H_
#define TESTS_CLI_RUN_PROGRAM_H_

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/string_view.h"

namespace gnomon::cli_test {

struct Finished {
  int status = -1;  ///< exit status; 128 + n when signal n ended it
  std::string out;
  std::string err;
};

/// Runs a shell command line in which `gnomon` is the program under test.
Finished run(const std::string& command_line);

/// A file in a temporary directory of this process, which is removed when it ends.
std::string scratch_file(absl::string_view name, absl::string_view contents);

/// A path in that directory, where nothing need be.
std::string scratch_path(absl::string_view name);

/// What is in a file; empty if there is none.
std::string contents_of(const std::string& file);

/// What a command line prints, which must be one JSON document, and its exit status 0.
nlohmann::json json_of(const std::string& command_line);

/// What is left of a text when its numbers (digits with their separators) become N and each run of
/// blanks becomes one: its rows, columns and words.
std::string shape_of(absl::string_view text);

/// A recording of 3000 references in 200 pages, and a file with it.
std::string small_recording();
std::string small_trace();

}  // namespace gnomon::cli_test

#endif  // TESTS_CLI_RUN_PROGRAM_H_
