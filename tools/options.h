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
// the parser is fed, and from which help, the manual page and shell completions are written.

namespace gnomon::tools {

/// Exit codes of the program.
inline constexpr int kSuccess = 0;
inline constexpr int kMismatch = 1;  ///< it ran, and the answer is no
inline constexpr int kFailure = 2;   ///< wrong use, bad input, or no way to go on

/// Values of these names are a file, and the name of a program with its arguments.
inline constexpr absl::string_view kFileValue = "FILE";
inline constexpr absl::string_view kCommandValue = "COMMAND";

/// The words that a value is one of, as far as they can be listed.
using Words = std::vector<std::string> (*)();

struct OptionSpec {
  /// "--tlb"; without dashes it is a positional argument: "TRACE". An option of a positional argument's
  /// name, --output of OUTPUT, is another way to give it.
  absl::string_view name;
  char letter = 0;         ///< short form, 0 for none
  /// What the value is called in help; empty for a switch. kFileValue and kCommandValue (of
  /// positional arguments too) are also what a shell completes.
  absl::string_view value;
  absl::string_view fallback;  ///< the value when it is not given
  absl::string_view help;
  bool many = false;      ///< positional: one or more; the last one of its verb
  Words words = nullptr;  ///< for completion
  absl::string_view instead = {};  ///< positional: the option that makes it unnecessary

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

absl::Span<const Verb* const> verbs();
const Verb* find_verb(absl::string_view name);  ///< nullptr: there is none
/// The error for such a name.
absl::Status unknown_verb(absl::string_view name);

/// What was given on the command line for one verb, with fallbacks filled in.
class Arguments {
 public:
  explicit Arguments(const Verb& verb) : verb_(&verb) {}

  void add(absl::string_view option, std::string value);
  /// Takes back what was given, and gives this.
  void set(absl::string_view option, std::string value);
  bool given(absl::string_view option) const;
  /// The last value given, or the fallback.
  std::string text(absl::string_view option) const;
  /// All values given, or the fallback alone.
  std::vector<std::string> all(absl::string_view option) const;
  /// Numbers; InvalidArgument names the option.
  absl::StatusOr<uint64_t> count(absl::string_view option) const;
  absl::StatusOr<uint64_t> bytes(absl::string_view option) const;
  const Verb& verb() const { return *verb_; }
  /// The row of an option, by its name with or without dashes; nullptr: there is none.
  const OptionSpec* find(absl::string_view option) const;

 private:
  const OptionSpec& spec(absl::string_view option) const;

  const Verb* verb_;
  std::map<std::string, std::vector<std::string>> values_;
};

/// Parses the words after the verb; those after "--" are positional, whatever they look like.
/// InvalidArgument is a line for the user; Cancelled: help was asked for.
absl::StatusOr<Arguments> parse_arguments(const Verb& verb, std::vector<std::string> words);

}  // namespace gnomon::tools

#endif  // TOOLS_OPTIONS_H_
