// SPDX-License-Identifier: Apache-2.0
#include "gnomon/tlb/presets.h"

#include <array>

#include "absl/strings/str_cat.h"

// One row per preset; one line per structure:
//   name, level, serves, entries, ways (0: fully associative), {page size, ways of it (0: all)}…

namespace gnomon {
namespace {

constexpr PageSize k4K = PageSize::k4K, k2M = PageSize::k2M, k1G = PageSize::k1G;

TlbConfig none() { return {}; }

TlbConfig tiny() {
  return {{{"TLB", 1, kServeAll, 4, 0, {{k4K}, {k2M}, {k1G}}}}};
}

TlbConfig skylake() {
  return {{
      {"L1I 4K", 1, kServeFetch, 128, 8, {{k4K}}},
      {"L1I 2M", 1, kServeFetch, 8, 0, {{k2M}}},
      {"L1D 4K", 1, kServeData, 64, 4, {{k4K}}},
      {"L1D 2M", 1, kServeData, 32, 4, {{k2M}}},
      {"L1D 1G", 1, kServeData, 4, 4, {{k1G}}},
      {"L2 4K+2M", 2, kServeAll, 1536, 12, {{k4K}, {k2M}}},
      {"L2 1G", 2, kServeAll, 16, 4, {{k1G}}},
  }};
}

// Ice Lake and what followed: a small store TLB, and a second level in two halves.
TlbConfig split_store(uint32_t fetch_4k, uint32_t fetch_2m, uint32_t fetch_2m_ways, uint32_t load_4k,
                      uint32_t load_4k_ways) {
  return {{
      {"L1I 4K", 1, kServeFetch, fetch_4k, 8, {{k4K}}},
      {"L1I 2M", 1, kServeFetch, fetch_2m, fetch_2m_ways, {{k2M}}},
      {"L1D load 4K", 1, kServeLoad, load_4k, load_4k_ways, {{k4K}}},
      {"L1D load 2M", 1, kServeLoad, 32, 4, {{k2M}}},
      {"L1D load 1G", 1, kServeLoad, 8, 0, {{k1G}}},
      {"L1D store", 1, kServeStore, 16, 0, {{k4K}, {k2M}, {k1G}}},
      {"L2 4K+2M", 2, kServeAll, 1024, 8, {{k4K}, {k2M}}},
      {"L2 4K+1G", 2, kServeAll, 1024, 8, {{k4K}, {k1G}}},
  }};
}
TlbConfig icelake() { return split_store(128, 16, 0, 64, 4); }
TlbConfig goldencove() { return split_store(256, 32, 8, 96, 6); }

TlbConfig gracemont() {
  return {{
      {"L1I", 1, kServeFetch, 64, 0, {{k4K}}},
      {"L1D", 1, kServeData, 48, 0, {{k4K}}},
      {"L2 4K+2M", 2, kServeAll, 2048, 4, {{k4K}, {k2M}}},
      {"L2 1G", 2, kServeAll, 8, 0, {{k1G}}},
  }};
}

TlbConfig zen2() {
  return {{
      {"L1I", 1, kServeFetch, 64, 0, {{k4K}, {k2M}, {k1G}}},
      {"L1D", 1, kServeData, 64, 0, {{k4K}, {k2M}, {k1G}}},
      {"L2I", 2, kServeFetch, 1024, 8, {{k4K}, {k2M}}},
      {"L2D", 2, kServeData, 2048, 8, {{k4K}, {k2M, 4}}},
  }};
}

TlbConfig zen3_or_4(uint32_t l1d, uint32_t l2d, uint32_t l2d_2m_ways) {
  return {{
      {"L1I", 1, kServeFetch, 64, 0, {{k4K}, {k2M}, {k1G}}},
      {"L1D", 1, kServeData, l1d, 0, {{k4K}, {k2M}, {k1G}}},
      {"L2I", 2, kServeFetch, 512, 4, {{k4K}, {k2M, 2}}},
      {"L2D", 2, kServeData, l2d, 8, {{k4K}, {k2M, l2d_2m_ways}}},
      {"L2D 1G", 2, kServeData, 64, 0, {{k1G}}},
  }};
}
TlbConfig zen3() { return zen3_or_4(64, 2048, 4); }
TlbConfig zen4() { return zen3_or_4(72, 3072, 6); }

TlbConfig zen5() {
  return {{
      {"L1I", 1, kServeFetch, 64, 0, {{k4K}, {k2M}, {k1G}}},
      {"L1D", 1, kServeData, 96, 0, {{k4K}, {k2M}, {k1G}}},
      {"L2I", 2, kServeFetch, 2048, 4, {{k4K}, {k2M, 2}}},
      {"L2D", 2, kServeData, 4096, 8, {{k4K}, {k2M, 4}}},
      {"L2D 1G", 2, kServeData, 1024, 4, {{k1G}}},
  }};
}

TlbConfig champsim() {
  return {{
      {"ITLB", 1, kServeFetch, 64, 4, {{k4K}}},
      {"DTLB", 1, kServeData, 64, 4, {{k4K}}},
      {"STLB", 2, kServeAll, 1536, 12, {{k4K}}},
  }};
}

TlbConfig dmt() {
  return {{
      {"L1I", 1, kServeFetch, 128, 8, {{k4K}, {k2M}}},
      {"L1D", 1, kServeData, 64, 4, {{k4K}, {k2M}}},
      {"L2", 2, kServeAll, 1536, 12, {{k4K}, {k2M}}},
  }};
}

// Sizes of the paging-structure caches of Intel and AMD processors are not published. These are the
// ones that the DMT and ASAP simulators assume (2 entries of level 4, 4 of level 3, 32 of level 2),
// in both dimensions, and the 16-entry nested TLB of Bhargava et al. (ASPLOS 2008).
WalkCacheConfig usual_walk_caches() {
  WalkCacheConfig c;
  for (WalkCacheGeometry* levels : {c.guest, c.host}) {
    levels[5] = {1, 0};
    levels[4] = {2, 0};
    levels[3] = {4, 4};
    levels[2] = {32, 4};
  }
  c.nested = {16, 0};
  return c;
}

// PSCL5 2, PSCL4 4, PSCL3 2 sets of 4, PSCL2 4 sets of 8; one dimension only.
WalkCacheConfig champsim_walk_caches() {
  WalkCacheConfig c;
  c.guest[5] = {2, 0};
  c.guest[4] = {4, 0};
  c.guest[3] = {8, 4};
  c.guest[2] = {32, 8};
  return c;
}

WalkCacheConfig dmt_walk_caches() {
  WalkCacheConfig c = usual_walk_caches();
  c.guest[5] = c.host[5] = c.nested = {};
  return c;
}

WalkCacheConfig tiny_walk_caches() {
  WalkCacheConfig c;
  for (unsigned level = 2; level <= 5; ++level) c.guest[level] = c.host[level] = {1, 0};
  c.nested = {1, 0};
  return c;
}

WalkCacheConfig no_walk_caches() { return {}; }

constexpr auto kPresets = std::to_array<TlbPreset>({
    {"skylake", "Intel Skylake, client and server", "CPUID leaf 2; second level 12-way per Intel's manual "
     "(the CPUID descriptor says 6-way)", skylake, usual_walk_caches},
    {"icelake", "Intel Ice Lake, Rocket Lake", "CPUID leaf 0x18; L1I from Intel's manual, its 2M part "
     "taken as fully associative", icelake, usual_walk_caches},
    {"goldencove", "Intel Golden Cove: Alder Lake P, Sapphire Rapids", "CPUID leaf 0x18; load TLB 96/6 "
     "from Intel's disclosure (CPUID says 64/4)", goldencove, usual_walk_caches},
    {"gracemont", "Intel Gracemont (E core)", "CPUID leaf 0x18", gracemont, usual_walk_caches},
    {"zen2", "AMD Zen 2", "CPUID 0x80000005, 0x80000006", zen2, usual_walk_caches},
    {"zen3", "AMD Zen 3", "CPUID 0x80000005, 0x80000006, 0x80000019", zen3, usual_walk_caches},
    {"zen4", "AMD Zen 4", "CPUID 0x80000005, 0x80000006, 0x80000019", zen4, usual_walk_caches},
    {"zen5", "AMD Zen 5", "CPUID 0x80000005, 0x80000006, 0x80000019, scaled by 32 as "
     "0x80000021.EAX[14] says", zen5, usual_walk_caches},
    {"champsim", "ChampSim's default configuration", "ITLB and DTLB 16x4, STLB 128x12", champsim,
     champsim_walk_caches},
    {"dmt", "the evaluation of DMT (ASPLOS 2024)", "L1I 128/8, L1D 64/4, L2 1536/12", dmt,
     dmt_walk_caches},
    {"tiny", "four entries for everything: for tests and lessons", "made up", tiny, tiny_walk_caches},
    {"none", "no TLB and no walk caches: every access is a full walk", "made up", none, no_walk_caches},
});

}  // namespace

absl::Span<const TlbPreset> tlb_presets() { return kPresets; }

absl::StatusOr<TlbPreset> find_tlb_preset(absl::string_view name) {
  std::string known;
  for (const TlbPreset& preset : kPresets) {
    if (preset.name == name) return preset;
    absl::StrAppend(&known, known.empty() ? "" : ", ", preset.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no TLB preset \"", name, "\"; there are ", known));
}

}  // namespace gnomon
