// SPDX-License-Identifier: Apache-2.0
//
// The options of `replay`, `compare` and `config` as tables: what they share is written once.
#include <array>

#include "tools/commands.h"
#include "tools/replay_plan.h"
#include "tools/words.h"

namespace gnomon::tools {
namespace {

constexpr OptionSpec kTraces = {
    "TRACE", 0, kFileValue, "",
    "traces (see docs/trace-formats.md), gen:PATTERN,KEY=VALUE,... (docs/generators.md), or - for standard "
    "input; several run side by side in one guest, unless --each",
    true, nullptr, "--guest"};

// What the machine, the guest and the costs are.
constexpr auto kMachine = std::to_array<OptionSpec>({
    {"--tlb", 't', "PRESET", "zen4", "TLBs and walk caches; `gnomon presets` lists them", false, tlb_words},
    {"--caches", 0, "PRESET", "auto",
     "data caches that walks and accesses share; auto: those of --tlb's processor; none: not modelled",
     false, cache_words},
    {"--cost", 0, "PRESET", "vtx", "prices of the modelled cycles; `gnomon presets` lists them", false, cost_words},
    {"--price", 0, "KEY=N", "", "one price, over the preset's; `gnomon config show` lists them; may be repeated",
     false, price_words},
    {"--mem", 0, "SIZE", "4G", "guest memory, 64K to 64G, taken from the host as it is touched; with --guest IMAGE 64M, and 2M to 32G"},
    {"--host-page", 0, "SIZE", "4K", "largest host page behind guest memory: 4K, 2M or 1G", false, page_words},
    {"--vcpus", 0, "N", "1", "processors of the machine, 1 to 64; processes and threads spread over them"},
    {"--guest", 'g', "KEY=VALUE,...", "",
     "without KEY=: the image of a guest to run instead of replaying traces, as `gnomon run` does. With it: the modelled guest's kernel: thp=never|madvise|always, placement=sequential|random|fragmented, pcid=on|off, "
     "kernel_entries=on|off, ... (docs/guest-model.md); may be repeated",
     false, guest_words},
    {"--tick", 0, "N", "10M", "memory operations between two timer interrupts of a processor; 0: none"},
    {"--copies", 0, "K", "1", "run each trace K times at once, each in processes of its own; 1 to 4096, 256 if --slice is above 4M"},
    {"--slice", 0, "N", "100k", "references before the next trace or copy has its turn"},
    {"--skip", 0, "N", "0", "pass over the first N references of each trace; its events still happen"},
    {"--warmup", 0, "N", "0", "then run N references without counting them"},
    {"--limit", 0, "N", "0", "then count N references and stop; 0: to the end"},
    {"--roi", 0, "", "", "count only between the marks of a region of interest"},
    {"--format", 0, "NAME", "", "format of the traces; by default they are told by their content", false,
     format_words},
    {"--lenient", 0, "", "", "leave out what is damaged in a trace, and count it"},
    {"--config", 0, "FILE", "", "settings as `gnomon config show --json` prints them; an option given beside it wins"},
});

// Of a guest that is run.
constexpr auto kImage = std::to_array<OptionSpec>({
    {"--append", 'a', "TEXT", "", "with --guest IMAGE: command line of the kernel"},
    {"--module", 0, "FILE", "", "with --guest IMAGE: a module, or the initial RAM disk of Linux; may be repeated"},
    {"--disk", 'd', "FILE", "", "with --guest IMAGE: disk image; may be repeated, up to four"},
});

constexpr auto kReport = std::to_array<OptionSpec>({
    {"--audit", 0, "", "",
     "check every backend's tables, and that guest memory is equal under all of them"},
    {"--each", 0, "", "", "replay each trace on its own, one after the other, not all in one guest"},
    {"--sweep", 0, "KEY=A,B,C", "",
     "replay once for each value of an option (--sweep slice=1k,10k,100k), of guest.KEY or price.KEY; may be "
     "repeated for every combination. mmu=A:X=1,Y=2;B is split as --mmu is",
     false, sweep_words},
    {"--jobs", 'j', "N", "0", "replays at the same time, up to 256; 0: one a processor of this host; the result is the same"},
    kJsonOption,
    {"--csv", 0, "", "", "print lines of point,backend,group,name,unit,value"},
    {"--export-html", 0, "FILE", "", "also write a report with plots, one file that needs no network"},
    {"--export-json", 0, "FILE", "", "also write what --json prints"},
    {"--export-csv", 0, "FILE", "", "also write what --csv prints"},
    {"--export-trace", 0, "FILE", "",
     "also write the timeline of the (single) backend as Chrome trace JSON, for ui.perfetto.dev"},
    {"--export-guest", 0, "FILE", "",
     "also write what the guest did (table writes, CR3 loads, INVLPG, accesses) as a .gtrace of a whole guest"},
    kQuietOption,
    {"--verbose", 'v', "", "", "show every row: walk references by level, cache levels, rows that are zero"},
});

template <size_t A, size_t B>
constexpr auto joined(const std::array<OptionSpec, A>& a, const std::array<OptionSpec, B>& b) {
  std::array<OptionSpec, A + B> all{};
  for (size_t i = 0; i < A; ++i) all[i] = a[i];
  for (size_t i = 0; i < B; ++i) all[A + i] = b[i];
  return all;
}

constexpr OptionSpec backends_option(absl::string_view fallback) {
  return {"--mmu", 'm', "LIST", fallback,
          "backends, separated by commas; one with options (shadow:unsync=off) ends at a semicolon; may be "
          "repeated",
          false, backend_words};
}

constexpr auto kReplayFront = std::to_array<OptionSpec>({kTraces, backends_option("shadow")});
constexpr auto kCompareFront =
    std::to_array<OptionSpec>({kTraces, backends_option("native,shadow,nested")});
constexpr auto kReplayOptions = joined(joined(joined(kReplayFront, kMachine), kImage), kReport);
constexpr auto kCompareOptions = joined(joined(joined(kCompareFront, kMachine), kImage), kReport);

}  // namespace

absl::Span<const OptionSpec> machine_options() { return kMachine; }
absl::Span<const OptionSpec> replay_options() { return kReplayOptions; }
absl::Span<const OptionSpec> compare_options() { return kCompareOptions; }

}  // namespace gnomon::tools
