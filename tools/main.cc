// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tools/commands.h"
#include "tools/output.h"
#include "tools/signals.h"

namespace gnomon::tools {
namespace {

int run(std::vector<std::string> words) {
  if (words.empty()) {
    print_message("no verb; `gnomon --help` lists them");
    return kFailure;
  }
  std::string name = std::move(words.front());
  words.erase(words.begin());
  if (name == "-h" || name == "--help") name = "help";
  if (name == "-V" || name == "--version") name = "version";
  const Verb* verb = find_verb(name);
  if (verb == nullptr) return report_failure(unknown_verb(name));
  const absl::StatusOr<Arguments> arguments = parse_arguments(*verb, std::move(words));
  if (absl::IsCancelled(arguments.status())) return write_result(verb_help(*verb), kSuccess);
  if (!arguments.ok()) {
    print_message(absl::StrCat(verb->name, ": ", arguments.status().message()));
    return kFailure;
  }
  return verb->run(*arguments);
}

}  // namespace
}  // namespace gnomon::tools

int main(int argc, char** argv) {
  gnomon::tools::keep_standard_files();
  gnomon::tools::handle_signals();
  const int code =
      gnomon::tools::run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
  if (code == gnomon::tools::kFailure && gnomon::tools::reader_gone()) {
    gnomon::tools::end_by_sigpipe();
  }
  return code;
}
