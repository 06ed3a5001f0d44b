// SPDX-License-Identifier: Apache-2.0
#include "tools/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tools/suggest.h"
#include "tools/units.h"

namespace gnomon::tools {
namespace {

absl::Status prefixed(absl::string_view option, const absl::Status& status) {
  return absl::InvalidArgumentError(absl::StrCat(option, ": ", status.message()));
}

absl::Status unknown_option(const Verb& verb, absl::string_view word) {
  const absl::string_view name = word.substr(0, word.find('='));
  std::vector<absl::string_view> known = {"--help"};
  bool runs_command = false;
  for (const OptionSpec& option : verb.options) {
    if (!option.positional()) known.push_back(option.name);
    runs_command |= option.value == kCommandValue;
  }
  std::string hint = did_you_mean(name, known);
  if (hint.empty()) {
    hint = runs_command ? "; put -- before the program, and its options after that"
                        : absl::StrCat("; `gnomon ", verb.name, " --help` lists them");
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown option '", name, "'", hint));
}

}  // namespace

const Verb* find_verb(absl::string_view name) {
  for (const Verb* verb : verbs()) {
    if (verb->name == name) return verb;
  }
  return nullptr;
}

absl::Status unknown_verb(absl::string_view name) {
  std::vector<absl::string_view> known;
  for (const Verb* verb : verbs()) known.push_back(verb->name);
  const std::string hint = did_you_mean(name, known);
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown verb '", name, "'", hint.empty() ? "; `gnomon --help` lists them" : hint));
}

const OptionSpec& Arguments::spec(absl::string_view option) const {
  // The verb's own code names its options: one that is not in the table would be a bug here.
  return *std::find_if(verb_->options.begin(), verb_->options.end(),
                       [&](const OptionSpec& o) { return o.name == option; });
}

void Arguments::add(absl::string_view option, std::string value) {
  values_[std::string(option)].push_back(std::move(value));
}

void Arguments::set(absl::string_view option, std::string value) {
  values_[std::string(option)] = {std::move(value)};
}

const OptionSpec* Arguments::find(absl::string_view option) const {
  for (const OptionSpec& o : verb_->options) {
    if (o.name == option || (!o.positional() && o.name.substr(2) == option)) return &o;
  }
  return nullptr;
}

bool Arguments::given(absl::string_view option) const {
  return values_.count(std::string(spec(option).name)) != 0;
}

std::vector<std::string> Arguments::all(absl::string_view option) const {
  const auto it = values_.find(std::string(option));
  if (it != values_.end()) return it->second;
  return {std::string(spec(option).fallback)};
}

std::string Arguments::text(absl::string_view option) const { return all(option).back(); }

absl::StatusOr<uint64_t> Arguments::count(absl::string_view option) const {
  absl::StatusOr<uint64_t> n = parse_count(text(option));
  return n.ok() ? n : prefixed(option, n.status());
}

absl::StatusOr<uint64_t> Arguments::bytes(absl::string_view option) const {
  absl::StatusOr<uint64_t> n = parse_bytes(text(option));
  return n.ok() ? n : prefixed(option, n.status());
}

namespace {

/// What CLI11 objects to, in our words: an option without its value, or a switch with one.
absl::Status parse_error(const Verb& verb, const CLI::ParseError& error) {
  const std::string text = error.what();
  for (const OptionSpec& o : verb.options) {
    if (o.positional()) continue;
    // "--mem: 1 required", "json was given a disallowed flag override".
    const bool named = absl::StartsWith(text, absl::StrCat(o.name, ":")) ||
                       absl::StartsWith(text, absl::StrCat(o.name.substr(2), " "));
    if (!named) continue;
    return absl::InvalidArgumentError(
        o.value.empty() ? absl::StrCat(o.name, " takes no value")
                        : absl::StrCat(o.name, " needs a value: ", o.name, " ", o.value));
  }
  return absl::InvalidArgumentError(text);
}

/// Nothing after "--limit=": CLI11 would take the next word for the value, which may be a trace
/// that an export then replaces.
absl::Status refuse_empty_values(const Verb& verb, const std::vector<std::string>& words) {
  for (const absl::string_view word : words) {
    if (!absl::EndsWith(word, "=")) continue;
    const absl::string_view name = word.substr(0, word.size() - 1);
    for (const OptionSpec& o : verb.options) {
      if (o.positional() || o.name != name) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(name, o.value.empty() ? " takes no value" : ": the value is empty"));
    }
  }
  return absl::OkStatus();
}

/// The option that gives a positional argument, too: --output of OUTPUT. Null: there is none.
const OptionSpec* other_way(const Verb& verb, const OptionSpec& positional) {
  for (const OptionSpec& o : verb.options) {
    if (!o.positional() && absl::EqualsIgnoreCase(o.name.substr(2), positional.name)) return &o;
  }
  return nullptr;
}

/// Gives the words without dashes to the positional arguments, in their order.
absl::Status add_positionals(const Verb& verb, std::vector<std::string> words,
                             Arguments& arguments) {
  size_t next = 0;
  for (const OptionSpec& o : verb.options) {
    if (!o.positional()) continue;
    const OptionSpec* const other = other_way(verb, o);
    if (other != nullptr && arguments.given(other->name)) {
      if (next < words.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat(other->name, " and the argument '", words[next], "' exclude each other"));
      }
      arguments.add(o.name, arguments.text(other->name));
      continue;
    }
    if (next == words.size() && !o.instead.empty() && arguments.given(o.instead)) continue;
    if (next == words.size() && o.fallback.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(o.name, " is missing"));
    }
    for (bool more = true; more && next < words.size(); more = o.many) {
      if (words[next].empty()) return absl::InvalidArgumentError(absl::StrCat(o.name, " is empty"));
      arguments.add(o.name, std::move(words[next++]));
      // What follows a program's name is the program's, empty or not.
      if (o.value != kCommandValue) continue;
      while (next < words.size()) arguments.add(o.name, std::move(words[next++]));
    }
  }
  if (next == words.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("unexpected argument '", words[next], "'"));
}

}  // namespace

absl::StatusOr<Arguments> parse_arguments(const Verb& verb, std::vector<std::string> words) {
  CLI::App app;
  app.set_help_flag("");
  app.allow_extras();
  const CLI::Option* help = app.add_flag("-h,--help")->disable_flag_override();
  std::vector<std::pair<const OptionSpec*, const CLI::Option*>> options;
  for (const OptionSpec& spec : verb.options) {
    if (spec.positional()) continue;
    std::string name(spec.name);
    if (spec.letter != 0) name = absl::StrCat("-", std::string(1, spec.letter), ",", name);
    CLI::Option* option = spec.value.empty()
                              ? app.add_flag(name)->disable_flag_override()
                              : app.add_option(name)->type_size(1)->expected(1)->take_all();
    options.emplace_back(&spec, option);
  }

  std::vector<std::string> verbatim;
  if (const auto end = std::find(words.begin(), words.end(), "--"); end != words.end()) {
    verbatim.assign(end + 1, words.end());
    words.erase(end, words.end());
  }
  if (absl::Status s = refuse_empty_values(verb, words); !s.ok()) return s;
  try {
    std::reverse(words.begin(), words.end());  // CLI11 takes them last first
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return parse_error(verb, error);
  }
  if (help->count() != 0) return absl::CancelledError();

  Arguments arguments(verb);
  std::vector<std::string> positionals = app.remaining();
  for (const std::string& word : positionals) {
    if (word.size() > 1 && word[0] == '-') return unknown_option(verb, word);
  }
  std::move(verbatim.begin(), verbatim.end(), std::back_inserter(positionals));
  for (const auto& [spec, option] : options) {
    if (option->count() == 0) continue;
    for (const std::string& value : option->results()) {
      if (value.empty()) {
        return absl::InvalidArgumentError(absl::StrCat(spec->name, ": the value is empty"));
      }
      arguments.add(spec->name, value);
    }
  }
  if (absl::Status s = add_positionals(verb, std::move(positionals), arguments); !s.ok()) return s;
  return arguments;
}

}  // namespace gnomon::tools
