// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tools/commands.h"
#include "tools/output.h"
#include "tools/table.h"

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

std::string usage(const Verb& verb) {
  std::string text = absl::StrCat("usage: gnomon ", verb.name);
  for (const OptionSpec& o : verb.options) {
    if (o.positional()) {
      absl::StrAppend(&text, " ", o.fallback.empty() ? "" : "[", o.name,
                      o.fallback.empty() ? "" : "]");
    }
  }
  return text + " [options]\n";
}

}  // namespace

std::string program_help() {
  std::string text =
      "gnomon: what shadow paging, nested paging and their relatives cost on a real program\n\n"
      "examples:\n";
  for (const Verb& verb : verbs()) {
    if (verb.name == "compare") add_examples(verb.examples, text);
  }
  text += "\nusage: gnomon VERB [options]\n\n";
  Table table(Table::Align::kLeft);
  for (const Verb& verb : verbs()) {
    table.add_row({absl::StrCat("  ", verb.name), std::string(verb.summary)});
  }
  return absl::StrCat(text, table.to_string(), "\n`gnomon VERB --help` says more about each.\n\n",
                      kExitCodes);
}

std::string verb_help(const Verb& verb) {
  constexpr size_t kHelpWidth = 72;
  std::string text = absl::StrCat("gnomon ", verb.name, ": ", verb.summary, "\n\nexamples:\n");
  add_examples(verb.examples, text);
  absl::StrAppend(&text, "\n", usage(verb), "\n");
  if (!verb.details.empty()) absl::StrAppend(&text, verb.details, "\n\n");
  Table table(Table::Align::kLeft);
  for (const OptionSpec& o : verb.options) {
    std::string help(o.help);
    if (!o.fallback.empty()) absl::StrAppend(&help, " (default: ", o.fallback, ")");
    std::string left = "  " + left_side(o);
    for (std::string& line : wrap(help, kHelpWidth)) {
      table.add_row({std::move(left), std::move(line)});
      left.clear();
    }
  }
  table.add_row({"  -h, --help", "this text"});
  return absl::StrCat(text, table.to_string(), "\n", kExitCodes);
}

int run_help(const Arguments& arguments) {
  if (!arguments.given("VERB")) return write_result(program_help(), kSuccess);
  const std::string name = arguments.text("VERB");
  if (const Verb* verb = find_verb(name); verb != nullptr) {
    return write_result(verb_help(*verb), kSuccess);
  }
  return report_failure(unknown_verb(name));
}

}  // namespace gnomon::tools
