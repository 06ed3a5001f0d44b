// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_OPTIONS_H_
#define TOOLS_OPTIONS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

// The command line as data: verbs and their options are rows of one table (verbs.cc), from which
// the parser is fed and help is printed.

namespace gnomon::tools {

/// Exit codes of the program.
inline constexpr int kSuccess = 0;
inline constexpr int kMismatch = 1;  ///< it ran, and the answer is no
inline constexpr int kFailure = 2;   ///< wrong use, bad input, or no way to go on

struct OptionSpec {
  absl::string_view name;      ///< "--tlb"; without dashes it is a positional argument: "TRACE"
  char letter = 0;             ///< short form, 0 for none
  absl::string_view value;     ///< what the value is called in help; empty for a switch
  absl::string_view fallback;  ///< the value when it is not given
  absl::string_view help;

  bool positional() const { return name[0] != '-'; }
};

struct Example {
  absl::string_view command;
  absl::string_view meaning;
};

class Arguments;

struct Verb {
  absl::string_view name;
  absl::string_view summary;
  absl::string_view details;
  absl::Span<const Example> examples;
  absl::Span<const OptionSpec> options;
  int (*run)(const Arguments& arguments);
};

absl::Span<const Verb> verbs();
const Verb* find_verb(absl::string_view name);  ///< nullptr: there is none
/// The error for such a name.
absl::Status unknown_verb(absl::string_view name);

/// What was given on the command line for one verb, with fallbacks filled in.
class Arguments {
 public:
  explicit Arguments(const Verb& verb) : verb_(&verb) {}

  void add(absl::string_view option, std::string value);
  bool given(absl::string_view option) const;
  /// The last value given, or the fallback.
  std::string text(absl::string_view option) const;
  /// All values given, or the fallback alone.
  std::vector<std::string> all(absl::string_view option) const;
  /// Numbers; InvalidArgument names the option.
  absl::StatusOr<uint64_t> count(absl::string_view option) const;
  absl::StatusOr<uint64_t> bytes(absl::string_view option) const;

 private:
  const OptionSpec& spec(absl::string_view option) const;

  const Verb* verb_;
  std::map<std::string, std::vector<std::string>> values_;
};

/// Parses the words after the verb. InvalidArgument is a line for the user; Cancelled: help was
/// asked for.
absl::StatusOr<Arguments> parse_arguments(const Verb& verb, std::vector<std::string> words);

}  // namespace gnomon::tools

#endif  // TOOLS_OPTIONS_H_
