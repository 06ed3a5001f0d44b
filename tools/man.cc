// SPDX-License-Identifier: Apache-2.0
//
// The verb `man`: the manual page, from the table of verbs and options.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gnomon/traces/formats.h"
#include "gnomon/version.h"
#include "tools/commands.h"
#include "tools/output.h"

namespace gnomon::tools {
namespace {

/// Text as roff takes it: no character has a meaning of its own.
std::string roff(absl::string_view text) {
  std::string escaped = absl::StrReplaceAll(text, {{"\\", "\\e"},
                                                   {"-", "\\-"},
                                                   {"'", "\\(aq"},
                                                   {"`", "\\(ga"},
                                                   {"^", "\\(ha"},
                                                   {"~", "\\(ti"},
                                                   {"\"", "\\(dq"},
                                                   {"\n.", "\n\\&."}});
  if (absl::StartsWith(escaped, ".")) escaped.insert(0, "\\&");
  return escaped;
}

std::string bold(absl::string_view text) { return absl::StrCat("\\fB", roff(text), "\\fR"); }
std::string italic(absl::string_view text) { return absl::StrCat("\\fI", roff(text), "\\fR"); }

void add_option(const OptionSpec& o, std::string& page) {
  page += ".TP\n";
  if (o.positional()) {
    absl::StrAppend(&page, italic(o.name), o.many ? "..." : "");
  } else {
    if (o.letter != 0)
      absl::StrAppend(&page, bold(absl::StrCat("-", std::string(1, o.letter))), ", ");
    page += bold(o.name);
    if (!o.value.empty()) absl::StrAppend(&page, " ", italic(o.value));
  }
  absl::StrAppend(&page, "\n", roff(help_on(o)), "\n");
}

void add_examples(const Verb& verb, std::string& page) {
  for (const Example& e : verb.examples) {
    absl::StrAppend(&page, ".TP\n", bold(e.command), "\n", roff(e.meaning), "\n");
  }
}

void add_verb(const Verb& verb, std::string& page) {
  absl::StrAppend(&page, ".SS ", roff(verb_usage(verb)), "\n", roff(verb.summary), ".\n");
  if (!verb.details.empty()) absl::StrAppend(&page, ".PP\n", roff(verb.details), "\n");
  for (const OptionSpec& o : verb.options) add_option(o, page);
}

std::string manual_page() {
  std::string page = absl::StrCat(
      ".\\\" SPDX-License-Identifier: Apache-2.0\n.\\\" Written by `gnomon man`.\n"
      ".TH GNOMON 1 \"\" \"gnomon ",
      version(),
      "\" \"User Commands\"\n"
      ".SH NAME\ngnomon \\- what shadow paging, nested paging and their relatives cost on a real "
      "program\n"
      ".SH SYNOPSIS\n.B gnomon\n.I VERB\n.RI [ options ]\n"
      ".SH DESCRIPTION\n"
      "Gnomon records what a program does to memory, or reads the traces of other tools, and "
      "replays it in a\n"
      "modelled guest under several ways to virtualize memory: native, shadow, vtlb, direct, "
      "agile, nested\n"
      "(EPT) and NPT. It counts TLB misses, page faults, exits, the memory references of page "
      "walks and the\n"
      "memory that page tables take, and estimates cycles.\n"
      ".PP\nResults go to standard output; progress (on a terminal only), warnings and errors to "
      "standard\n"
      "error. The same input gives the same standard output. Sizes take the suffixes K, M, G and "
      "T, powers of\n"
      "1024; counts take k, M, G and T, powers of 1000.\n"
      ".PP\nEvery verb takes\n.B \\-h\nand\n.BR \\-\\-help .\n"
      "Words after\n.B \\-\\-\nare no options. Values may be joined to long options:\n.BR "
      "\\-\\-tlb=zen4 .\n"
      ".SH VERBS\n");
  for (const Verb* verb : verbs()) add_verb(*verb, page);
  page +=
      ".SH EXIT STATUS\n.TP\n.B 0\nDone.\n.TP\n.B 1\nDone, and the answer is no: an audit found "
      "something.\n"
      ".TP\n.B 2\nWrong use, bad input, or no way to go on.\n"
      ".TP\n.B 129, 130, 141, 143\nEnded by SIGHUP, SIGINT, SIGPIPE (the reader of the output went "
      "away; there is no message)\nor SIGTERM. Files that were not finished are removed; a recording "
      "is kept.\n"
      ".SH TRACE FORMATS\nTraces are recognized by their content, except where it says otherwise, "
      "and may be\n"
      "compressed with gzip, xz, zstd, bzip2 or zip.\n";
  for (const TraceFormat& f : trace_formats()) {
    absl::StrAppend(&page, ".TP\n", bold(f.name), " (", italic(f.suffix), ", ",
                    f.write == nullptr ? "read" : "read and written", ")\n", roff(f.description),
                    "\n");
  }
  page += ".SH EXAMPLES\n";
  for (const Verb* verb : verbs()) add_examples(*verb, page);
  page +=
      ".SH FILES\n.TP\n.I PROGRAM.gtrace\nWhat\n.B gnomon record\nwrites if it is not told "
      "otherwise.\n"
      ".SH ENVIRONMENT\n.TP\n.B GNOMON_VALGRIND_LIB\nWhere the valgrind tool of\n.B gnomon "
      "record\nlies.\n"
      ".SH SEE ALSO\n.BR valgrind (1)\n";
  return page;
}

int run_man(const Arguments& /*arguments*/) { return write_result(manual_page(), kSuccess); }

constexpr Example kManExamples[] = {{"gnomon man | man -l -", "read it"}};

}  // namespace

constexpr Verb kManVerb = {
    "man",
    "print the manual page",
    "In roff, for man(1). There is no JSON of it; `gnomon help --json` has the same.",
    kManExamples,
    {},
    run_man};

}  // namespace gnomon::tools
