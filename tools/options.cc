// SPDX-License-Identifier: Apache-2.0
#include "tools/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
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

absl::Status leftover_error(const Verb& verb, absl::string_view word) {
  if (word.size() < 2 || word[0] != '-') {
    return absl::InvalidArgumentError(absl::StrCat("unexpected argument '", word, "'"));
  }
  const absl::string_view name = word.substr(0, word.find('='));
  std::vector<absl::string_view> known = {"--help"};
  for (const OptionSpec& option : verb.options) known.push_back(option.name);
  return absl::InvalidArgumentError(
      absl::StrCat("unknown option '", name, "'", did_you_mean(name, known)));
}

}  // namespace

const Verb* find_verb(absl::string_view name) {
  for (const Verb& verb : verbs()) {
    if (verb.name == name) return &verb;
  }
  return nullptr;
}

absl::Status unknown_verb(absl::string_view name) {
  std::vector<absl::string_view> known;
  for (const Verb& verb : verbs()) known.push_back(verb.name);
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

absl::StatusOr<Arguments> parse_arguments(const Verb& verb, std::vector<std::string> words) {
  CLI::App app;
  app.set_help_flag("");
  app.allow_extras();
  const CLI::Option* help = app.add_flag("-h,--help");
  std::vector<std::pair<const OptionSpec*, const CLI::Option*>> options;
  for (const OptionSpec& spec : verb.options) {
    std::string name(spec.name);
    if (spec.letter != 0) name = absl::StrCat("-", std::string(1, spec.letter), ",", name);
    CLI::Option* option = spec.value.empty() && !spec.positional()
                              ? app.add_flag(name)
                              : app.add_option(name)->expected(1)->type_size(1)->take_all();
    options.emplace_back(&spec, option);
  }

  try {
    std::reverse(words.begin(), words.end());  // CLI11 takes them last first
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  if (help->count() != 0) return absl::CancelledError();
  if (const std::vector<std::string> rest = app.remaining(); !rest.empty()) {
    return leftover_error(verb, rest.front());
  }

  Arguments arguments(verb);
  for (const auto& [spec, option] : options) {
    if (option->count() == 0) {
      if (spec->positional() && spec->fallback.empty()) {
        return absl::InvalidArgumentError(absl::StrCat(spec->name, " is missing"));
      }
      continue;
    }
    for (const std::string& value : option->results()) arguments.add(spec->name, value);
  }
  return arguments;
}

}  // namespace gnomon::tools
