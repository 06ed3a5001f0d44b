// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "absl/strings/str_cat.h"
#include "gnomon/base/units.h"
#include "gnomon/cache/hierarchy.h"

// One row per preset: L1D, L2 and last level as {bytes, ways}.

namespace gnomon {
namespace {

constexpr uint32_t operator""_K(unsigned long long n) { return static_cast<uint32_t>(n << 10); }

constexpr auto kPresets = std::to_array<CachePreset>({
    {"skylake", "Intel Skylake client: 2 MB of last level for each core",
     "AnandTech 14664 (2019), core cache comparison; Intel Optimization Reference Manual",
     {{{{32_K, 8}, {256_K, 4}, {2048_K, 16}}}}},
    {"icelake", "Intel Ice Lake client: 2 MB of last level for each core",
     "AnandTech 14664 (2019), core cache comparison",
     {{{{48_K, 12}, {512_K, 8}, {2048_K, 16}}}}},
    {"goldencove", "Intel Golden Cove in Alder Lake: 3 MB of last level for each core",
     "CPUID leaf 4 of Alder Lake", {{{{48_K, 12}, {1280_K, 10}, {3072_K, 12}}}}},
    {"gracemont", "Intel Gracemont in Alder Lake: a quarter of what a cluster of four shares",
     "CPUID leaf 4 of Alder Lake", {{{{32_K, 8}, {512_K, 16}, {768_K, 12}}}}},
    {"zen2", "AMD Zen 2: a quarter of the 16 MB of a core complex",
     "7-cpu.com, Zen2; AnandTech 14664 (2019)", {{{{32_K, 8}, {512_K, 8}, {4096_K, 16}}}}},
    {"zen3", "AMD Zen 3: an eighth of the 32 MB of a core complex",
     "CPUID 0x8000001D", {{{{32_K, 8}, {512_K, 8}, {4096_K, 16}}}}},
    {"zen4", "AMD Zen 4: an eighth of the 32 MB of a core complex",
     "CPUID 0x8000001D", {{{{32_K, 8}, {1024_K, 8}, {4096_K, 16}}}}},
    {"zen5", "AMD Zen 5: an eighth of the 32 MB of a core complex",
     "CPUID 0x8000001D", {{{{48_K, 12}, {1024_K, 16}, {4096_K, 16}}}}},
    {"prescott", "Intel Pentium 4 of 2005 with VT-x (6x2): no third level",
     "CPUID leaf 4 of the Pentium 4 672", {{{{16_K, 8}, {2048_K, 8}, {}}}}},
    {"champsim", "ChampSim's default configuration",
     "L1D 64x12, L2C 1024x8, LLC 2048x16", {{{{48_K, 12}, {512_K, 8}, {2048_K, 16}}}}},
    {"dmt", "the simulation of DMT (ASPLOS 2024): one core with the whole last level of 22 MB",
     "DMT's published artefact, options of its simulator", {{{{32_K, 8}, {1024_K, 16}, {22528_K, 11}}}}},
    {"tiny", "eight lines, then 32, then 128: for tests and lessons", "made up",
     {{{{512, 2}, {2_K, 4}, {8_K, 8}}}}},
    {"none", "not modelled: a walk reference costs the price `cache_guess`", "made up", {}},
});

}  // namespace

absl::Span<const CachePreset> cache_presets() { return kPresets; }

absl::StatusOr<CachePreset> find_cache_preset(absl::string_view name) {
  std::string known;
  for (const CachePreset& preset : kPresets) {
    if (preset.name == name) return preset;
    absl::StrAppend(&known, known.empty() ? "" : ", ", preset.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no cache preset \"", name, "\"; there are ", known));
}

}  // namespace gnomon
