// SPDX-License-Identifier: Apache-2.0
#include "tools/commands.h"
#include "tools/options.h"

namespace gnomon::tools {
namespace {

constexpr OptionSpec kJson = {"--json", 0, "", "", "print one JSON document"};

constexpr OptionSpec kCompareOptions[] = {
    {"TRACE", 0, "", "", "recording of valgrind lackey (--trace-mem=yes), or - for standard input"},
    {"--mmu", 'm', "LIST", "native,shadow,nested",
     "backends, separated by commas; one with options (shadow:unsync=off) ends at a semicolon; "
     "may be repeated"},
    {"--tlb", 't', "PRESET", "zen4", "TLBs and walk caches; `gnomon presets` lists them"},
    {"--mem", 0, "SIZE", "4G", "guest memory, taken from the host as it is touched"},
    {"--host-page", 0, "SIZE", "4K", "largest host page behind guest memory: 4K, 2M or 1G"},
    {"--processes", 0, "K", "1", "replay the recording in K address spaces, in turn"},
    {"--slice", 0, "N", "100k", "with --processes: references between two switches"},
    {"--skip", 0, "N", "0", "leave out the first N references"},
    {"--warmup", 0, "N", "0", "run the next N references without counting them"},
    {"--limit", 0, "N", "0", "count N references, then stop; 0: to the end"},
    {"--audit", 0, "", "",
     "check every backend's tables, and that guest memory is equal under all of them"},
    {"--lenient", 0, "", "", "leave out lines that are no records, and count them"},
    kJson,
    {"--csv", 0, "", "", "print lines of backend,group,name,unit,value"},
    {"--quiet", 'q', "", "", "no progress and no notes on standard error"},
    {"--verbose", 'v', "", "", "show walk references by level, and rows that are zero everywhere"},
};
constexpr Example kCompareExamples[] = {
    {"valgrind --tool=lackey --trace-mem=yes --log-fd=9 sort file 9>&1 >/dev/null | gnomon compare "
     "-",
     "record a program and replay it at once; nothing is stored"},
    {"gnomon compare sort.lackey --mmu native,nested --host-page 2M",
     "what larger host pages do for nested walks"},
    {"gnomon compare sort.lackey --mmu 'shadow;shadow:unsync=off' --processes 4",
     "two ways to run a shadow MMU, with context switches"},
    {"gnomon compare sort.lackey --tlb skylake --warmup 1M --limit 10M --json",
     "a window of the recording, as JSON"},
};

constexpr OptionSpec kJsonOptions[] = {kJson};
constexpr Example kCountersExamples[] = {
    {"gnomon counters", "name, unit, kind and meaning of each"}};
constexpr Example kPresetsExamples[] = {
    {"gnomon presets", "what --tlb takes, and where it is from"}};
constexpr Example kBackendsExamples[] = {{"gnomon backends", "what --mmu takes"}};
constexpr Example kVersionExamples[] = {{"gnomon version", "for a bug report"}};
constexpr OptionSpec kHelpOptions[] = {{"VERB", 0, "", "all", "the verb to explain"}};
constexpr Example kHelpExamples[] = {{"gnomon help compare", "the same as gnomon compare --help"}};

constexpr Verb kVerbs[] = {
    {"compare", "replay a memory trace under several MMU backends and compare what it costs",
     "Replays the recording in a small 64-bit guest that pages on demand, once for each backend, "
     "in one\n"
     "pass over the recording. Prints TLB misses, page faults, exits by cause, memory references "
     "of page\n"
     "walks by dimension, and page-table memory, a column for each backend.",
     kCompareExamples, kCompareOptions, run_compare},
    {"counters", "list every counter with its unit and meaning", "", kCountersExamples,
     kJsonOptions, run_counters},
    {"presets", "list the TLB presets", "", kPresetsExamples, kJsonOptions, run_presets},
    {"backends", "list the MMU backends", "", kBackendsExamples, kJsonOptions, run_backends},
    {"version", "print version, compiler and build type", "", kVersionExamples, kJsonOptions,
     run_version},
    {"help", "explain a verb", "", kHelpExamples, kHelpOptions, run_help},
};

}  // namespace

absl::Span<const Verb> verbs() { return kVerbs; }

}  // namespace gnomon::tools
