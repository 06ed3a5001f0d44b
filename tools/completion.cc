// SPDX-License-Identifier: Apache-2.0
//
// The verb `completion`: what a shell needs to complete command lines, from the table of verbs and
// options.

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "tools/commands.h"
#include "tools/output.h"
#include "tools/words.h"

namespace gnomon::tools {
namespace {

std::string words_of(const OptionSpec& o) {
  return o.words == nullptr ? "" : absl::StrJoin(o.words(), " ");
}

/// Help in a line beside a word: up to the first semicolon.
absl::string_view brief(const OptionSpec& o) { return o.help.substr(0, o.help.find(';')); }

std::string single_quoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

std::string letter_of(const OptionSpec& o) { return absl::StrCat("-", std::string(1, o.letter)); }

// bash. Its words are split at "=" and ":" too.

constexpr absl::string_view kBashFront = R"(# SPDX-License-Identifier: Apache-2.0
# Completion of gnomon for bash, written by `gnomon completion bash`.
_gnomon() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}
  local words= options= kind= list= i
  COMPREPLY=()
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
  if (( COMP_CWORD == 1 )); then
    verb=
  fi
)";

constexpr absl::string_view kBashBack = R"(  for (( i = 2; i < COMP_CWORD; ++i )); do
    if [[ ${COMP_WORDS[i]} == -- ]]; then
      options=
    fi
  done
  if [[ $cur == -* && -n $options ]]; then
    words=$options kind=
  fi
  if [[ $cur == *,* && -z $kind ]]; then
    list=${cur%,*},
    cur=${cur##*,}
  fi
  if [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -P "$list" -W "$words" -- "$cur")
  fi
  if [[ ${COMPREPLY[0]-} == *= && ${#COMPREPLY[@]} == 1 ]]; then
    compopt -o nospace 2>/dev/null
  fi
  case $kind in
    FILE)
      compopt -o filenames 2>/dev/null
      mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur")
      ;;
    COMMAND) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
  esac
}
complete -F _gnomon gnomon
)";

/// What one value completes to.
std::string bash_value(const OptionSpec& o) {
  const bool file = o.value == kFileValue || o.value == kCommandValue;
  return absl::StrCat("words=", single_quoted(words_of(o)),
                      file ? absl::StrCat(" kind=", o.value) : "");
}

std::string bash() {
  std::string text(kBashFront);
  absl::StrAppend(
      &text, "  case $verb in\n    '') words=",
      single_quoted(absl::StrCat(absl::StrJoin(verb_words(), " "), " --help --version")), " ;;\n");
  for (const Verb* verb : verbs()) {
    std::string options = "--help";
    std::string values;
    std::string rest;
    for (const OptionSpec& o : verb->options) {
      if (o.positional()) {
        // Which of them is meant cannot be told well enough; the first one with words or files is.
        if (rest.empty() && (o.words != nullptr || !o.value.empty())) rest = bash_value(o);
        continue;
      }
      absl::StrAppend(&options, " ", o.name);
      if (o.value.empty()) continue;
      absl::StrAppend(&values, "        ", o.letter == 0 ? "" : absl::StrCat(letter_of(o), "|"),
                      o.name, ") ", bash_value(o), " ;;\n");
    }
    absl::StrAppend(&text, "    ", verb->name, ")\n      case $prev in\n", values,
                    "        *) options=", single_quoted(options), rest.empty() ? "" : " ", rest,
                    " ;;\n      esac\n      ;;\n");
  }
  return absl::StrCat(text, "  esac\n", kBashBack);
}

// zsh.

/// A part of a specification of _arguments, in which brackets and colons have a meaning.
std::string zsh_escaped(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"[", "\\["}, {"]", "\\]"}, {":", "\\:"}});
}

std::string zsh_action(const OptionSpec& o) {
  if (o.value == kFileValue) return "_files";
  if (o.value == kCommandValue) return "_normal";
  if (o.words == nullptr) return " ";
  return absl::StrCat("_sequence compadd -S \"\" - ", words_of(o));
}

std::string zsh_option(const OptionSpec& o) {
  if (o.positional()) {
    // "*::" gives the rest of the line to the program that is named.
    const absl::string_view front = o.value == kCommandValue ? "*::"
                                    : o.many                 ? "*:"
                                    : o.fallback.empty()     ? ":"
                                                             : "::";
    return single_quoted(absl::StrCat(front, o.name, ":", zsh_action(o)));
  }
  const std::string about = absl::StrCat("[", zsh_escaped(brief(o)), "]");
  const std::string value =
      o.value.empty() ? "" : absl::StrCat(":", zsh_escaped(o.value), ":", zsh_action(o));
  const std::string name = absl::StrCat(o.name, o.value.empty() ? "" : "=");
  if (o.letter == 0) return single_quoted(absl::StrCat("*", name, about, value));
  return absl::StrCat("'*'{", letter_of(o), ",", name, "}",
                      single_quoted(absl::StrCat(about, value)));
}

std::string zsh() {
  std::string text =
      "#compdef gnomon\n# SPDX-License-Identifier: Apache-2.0\n"
      "# Completion of gnomon for zsh, written by `gnomon completion zsh`.\n"
      "_gnomon() {\n  if (( CURRENT == 2 )); then\n    local -a verbs=(\n";
  for (const Verb* verb : verbs()) {
    absl::StrAppend(&text, "      ", single_quoted(absl::StrCat(verb->name, ":", verb->summary)),
                    "\n");
  }
  text +=
      "    )\n    _describe verb verbs\n    return\n  fi\n  local verb=$words[2]\n"
      "  shift words\n  (( CURRENT-- ))\n  case $verb in\n";
  for (const Verb* verb : verbs()) {
    absl::StrAppend(&text, "    ", verb->name,
                    ")\n      _arguments -s \\\n        '(- *)'{-h,--help}'[this text]'");
    for (const OptionSpec& o : verb->options)
      absl::StrAppend(&text, " \\\n        ", zsh_option(o));
    text += "\n      ;;\n";
  }
  return text +
         "  esac\n}\nif [[ $funcstack[1] == _gnomon ]]; then\n  _gnomon \"$@\"\nelse\n"
         "  compdef _gnomon gnomon\nfi\n";
}

// fish.

std::string fish_quoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

std::string fish() {
  std::string text =
      "# SPDX-License-Identifier: Apache-2.0\n"
      "# Completion of gnomon for fish, written by `gnomon completion fish`.\n"
      "function __gnomon_verb\n"
      "    set -l words (commandline -opc)\n"
      "    test (count $words) -ge 2; and test $words[2] = $argv[1]\n"
      "end\n"
      "function __gnomon_no_verb\n"
      "    test (count (commandline -opc)) -eq 1\n"
      "end\n"
      "complete -c gnomon -f\n";
  for (const Verb* verb : verbs()) {
    absl::StrAppend(&text, "complete -c gnomon -n __gnomon_no_verb -a ", verb->name, " -d ",
                    fish_quoted(verb->summary), "\n");
  }
  for (const Verb* verb : verbs()) {
    const std::string front =
        absl::StrCat("complete -c gnomon -n '__gnomon_verb ", verb->name, "'");
    absl::StrAppend(&text, front, " -s h -l help -d 'this text'\n");
    for (const OptionSpec& o : verb->options) {
      const std::string words =
          o.words == nullptr ? "" : absl::StrCat(" -a ", fish_quoted(words_of(o)));
      if (o.positional()) {
        if (o.value == kFileValue) absl::StrAppend(&text, front, " -F\n");
        if (o.value == kCommandValue)
          absl::StrAppend(&text, front, " -a '(__fish_complete_subcommand)'\n");
        if (!words.empty()) absl::StrAppend(&text, front, words, "\n");
        continue;
      }
      absl::StrAppend(&text, front,
                      o.letter == 0 ? "" : absl::StrCat(" -s ", std::string(1, o.letter)), " -l ",
                      o.name.substr(2),
                      o.value.empty()         ? ""
                      : o.value == kFileValue ? " -r -F"
                                              : " -x",
                      words, " -d ", fish_quoted(brief(o)), "\n");
    }
  }
  return text;
}

int run_completion(const Arguments& arguments) {
  const std::string shell = arguments.text("SHELL");
  if (shell == "bash") return write_result(bash(), kSuccess);
  if (shell == "zsh") return write_result(zsh(), kSuccess);
  if (shell == "fish") return write_result(fish(), kSuccess);
  return report_failure(absl::InvalidArgumentError(
      absl::StrCat("completion: no shell '", shell, "'; there are bash, zsh and fish")));
}

constexpr OptionSpec kCompletionOptions[] = {
    {"SHELL", 0, "", "", "bash, zsh or fish", false, shell_words}};
constexpr Example kCompletionExamples[] = {
    {"source <(gnomon completion bash)", "in ~/.bashrc, or by hand"},
    {"gnomon completion zsh >~/.zfunc/_gnomon", "with ~/.zfunc in fpath before compinit runs"},
    {"gnomon completion fish | source", "in config.fish"},
};

}  // namespace

const Verb kCompletionVerb = {"completion",
                              "print what a shell needs to complete command lines",
                              "An installed gnomon brings these files with it.",
                              kCompletionExamples,
                              kCompletionOptions,
                              run_completion};

}  // namespace gnomon::tools
