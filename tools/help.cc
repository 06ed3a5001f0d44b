// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tools/commands.h"
#include "tools/json_text.h"
#include "tools/output.h"
#include "tools/table.h"
#include "tools/words.h"

namespace gnomon::tools {
namespace {

constexpr absl::string_view kExitCodes =
    "exit status: 0 done; 1 done, and the answer is no (an audit found something);\n"
    "             2 wrong use, bad input, or no way to go on\n";

void add_examples(absl::Span<const Example> examples, std::string& text) {
  for (const Example& e : examples) {
    absl::StrAppend(&text, "  ", e.command, "\n      ", e.meaning, "\n");
  }
}

/// `text` in lines of at most `width` characters.
std::vector<std::string> wrap(absl::string_view text, size_t width) {
  std::vector<std::string> lines;
  std::string line;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (!line.empty() && line.size() + 1 + word.size() > width) {
      lines.push_back(std::move(line));
      line.clear();
    }
    absl::StrAppend(&line, line.empty() ? "" : " ", word);
  }
  lines.push_back(std::move(line));
  return lines;
}

std::string left_side(const OptionSpec& o) {
  if (o.positional()) return std::string(o.name);
  const std::string letter =
      o.letter != 0 ? absl::StrCat("-", std::string(1, o.letter), ", ") : "    ";
  return absl::StrCat(letter, o.name, o.value.empty() ? "" : " ", o.value);
}

}  // namespace

std::string verb_usage(const Verb& verb) {
  std::string text = absl::StrCat("gnomon ", verb.name);
  std::string command;
  for (const OptionSpec& o : verb.options) {
    if (!o.positional()) continue;
    std::string name = absl::StrCat(o.name, o.many ? "..." : "");
    if (!o.fallback.empty()) name = absl::StrCat("[", name, "]");
    if (o.value == kCommandValue) {
      command = absl::StrCat(" -- ", name);
    } else {
      absl::StrAppend(&text, " ", name);
    }
  }
  return absl::StrCat(text, " [options]", command);
}

std::string help_on(const OptionSpec& option) {
  if (option.fallback.empty()) return std::string(option.help);
  return absl::StrCat(option.help, " (default: ", option.fallback, ")");
}

std::string program_help() {
  std::string text =
      "gnomon: what shadow paging, nested paging and their relatives cost on a real program\n\n"
      "examples:\n";
  for (const Verb* verb : verbs()) {
    if (verb->name == "compare") add_examples(verb->examples, text);
  }
  text += "\nusage: gnomon VERB [options]\n\n";
  Table table(Table::Align::kLeft);
  for (const Verb* verb : verbs()) {
    table.add_row({absl::StrCat("  ", verb->name), std::string(verb->summary)});
  }
  return absl::StrCat(text, table.to_string(), "\n`gnomon VERB --help` says more about each.\n\n",
                      kExitCodes);
}

std::string verb_help(const Verb& verb) {
  constexpr size_t kHelpWidth = 72;
  std::string text = absl::StrCat("gnomon ", verb.name, ": ", verb.summary, "\n\nexamples:\n");
  add_examples(verb.examples, text);
  absl::StrAppend(&text, "\nusage: ", verb_usage(verb), "\n\n");
  if (!verb.details.empty()) absl::StrAppend(&text, verb.details, "\n\n");
  Table table(Table::Align::kLeft);
  for (const OptionSpec& o : verb.options) {
    std::string left = "  " + left_side(o);
    for (std::string& line : wrap(help_on(o), kHelpWidth)) {
      table.add_row({std::move(left), std::move(line)});
      left.clear();
    }
  }
  table.add_row({"  -h, --help", "this text"});
  return absl::StrCat(text, table.to_string(), "\n", kExitCodes);
}

namespace {

using Json = nlohmann::ordered_json;

/// The table itself, for programs.
Json to_json(const Verb& verb) {
  Json options = Json::array();
  for (const OptionSpec& o : verb.options) {
    options.push_back({{"name", std::string(o.name)},
                       {"letter", o.letter == 0 ? std::string() : std::string(1, o.letter)},
                       {"value", std::string(o.value)},
                       {"default", std::string(o.fallback)},
                       {"many", o.many},
                       {"help", std::string(o.help)},
                       {"words", o.words == nullptr ? std::vector<std::string>() : o.words()}});
  }
  Json examples = Json::array();
  for (const Example& e : verb.examples) {
    examples.push_back({{"command", std::string(e.command)}, {"meaning", std::string(e.meaning)}});
  }
  return {{"name", std::string(verb.name)},
          {"summary", std::string(verb.summary)},
          {"details", std::string(verb.details)},
          {"examples", std::move(examples)},
          {"options", std::move(options)}};
}

int run_help(const Arguments& arguments) {
  const std::string name = arguments.given("VERB") ? arguments.text("VERB") : "";
  const Verb* const verb = find_verb(name);
  if (!name.empty() && verb == nullptr) return report_failure(unknown_verb(name));
  if (arguments.given("--json")) {
    Json rows = Json::array();
    for (const Verb* v : verbs()) {
      if (verb == nullptr || v == verb) rows.push_back(to_json(*v));
    }
    return write_result(json_text({{"schema", "gnomon.help/1"}, {"verbs", std::move(rows)}}),
                        kSuccess);
  }
  return write_result(verb == nullptr ? program_help() : verb_help(*verb), kSuccess);
}

constexpr OptionSpec kHelpOptions[] = {
    {"VERB", 0, "", "all", "the verb to explain", false, verb_words}, kJsonOption};
constexpr Example kHelpExamples[] = {
    {"gnomon help compare", "the same as gnomon compare --help"},
    {"gnomon help --json", "every verb and option, for programs"},
};

}  // namespace

const Verb kHelpVerb = {"help", "explain a verb", "", kHelpExamples, kHelpOptions, run_help};

}  // namespace gnomon::tools
