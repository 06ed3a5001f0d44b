// SPDX-License-Identifier: Apache-2.0
//
// TLB hits and misses of whole replays: against an independent TLB, and as arithmetic says.
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gnomon/tlb/presets.h"
#include "tests/replay/naive_tlb.h"
#include "tests/replay/support.h"
#include "tests/support/scale.h"

namespace gnomon::replay_test {
namespace {

/// What a guest without entries for its kernel does to a TLB, from the rules alone: pages are read
/// before they are written as a page of zeros, so the first write faults again; a fault drops the
/// page, and a switch to another process everything (no PCIDs).
class Expected {
 public:
  explicit Expected(const TlbConfig& config) : tlb_(config) {}

  void run(const TraceBatch& batch) {
    for (const TraceRecord& r : batch.records) {
      if (r.kind == RecordKind::kEvent) {
        const TraceEvent& e = batch.events[r.address.value()];
        if (e.kind == EventKind::kSwitch && e.process != process_) {
          process_ = e.process;
          tlb_.flush(0);
        }
        continue;
      }
      if (r.kind == RecordKind::kFetch) access(r, AccessOp::kFetch);
      if (r.kind == RecordKind::kLoad || r.kind == RecordKind::kModify) access(r, AccessOp::kRead);
      if (r.kind == RecordKind::kStore || r.kind == RecordKind::kModify)
        access(r, AccessOp::kWrite);
    }
  }

  uint64_t accesses = 0, hits[3] = {}, misses = 0, faults = 0;

 private:
  enum class Page : uint8_t { kNone, kZeros, kOwn };

  void access(const TraceRecord& r, AccessOp op) {
    const uint64_t last = (r.address.value() + r.size - 1) / kPage;
    for (uint64_t page = r.address.value() / kPage; page <= last; ++page) {
      Page& state = pages_[{process_, page}];
      const bool fetch = op == AccessOp::kFetch;
      if (op == AccessOp::kWrite ? state != Page::kOwn : state == Page::kNone) {
        ++faults;
        ++misses;
        ++accesses;
        tlb_.invalidate(page, 0);
        state = op == AccessOp::kWrite || fetch ? Page::kOwn : Page::kZeros;
      }
      ++accesses;
      const unsigned level = tlb_.access(page, op, 0);
      ++(level == 0 ? misses : hits[level]);
    }
  }

  generate_test::NaiveTlb tlb_;
  std::map<std::pair<uint32_t, uint64_t>, Page> pages_;
  uint32_t process_ = 0;
};

constexpr const char* kSpecs[] = {
    "gen:uniform,bytes=16M,writes=30",
    "gen:uniform,bytes=1M,size=100",
    "gen:sequential,bytes=1M,size=64,writes=10",
    "gen:stride,bytes=8M,step=4160,size=128",
    "gen:stride,bytes=256M,step=512K",
    "gen:zipf,bytes=32M,writes=20",
    "gen:chase,bytes=8M",
    "gen:gups,bytes=8M",
    "gen:bfs,vertices=20K,degree=8",
    "gen:switch,bytes=256K,processes=6,slice=500,writes=50",
};

class Preset : public testing::TestWithParam<const char*> {};

TEST_P(Preset, AnswersAsTheIndependentTlbThroughAReplay) {
  const uint64_t refs = small_scale() ? 5'000 : 30'000;
  for (const char* spec : kSpecs) {
    for (const char* fetches : {"off", "on"}) {
      const std::string whole = absl::StrCat(spec, ",refs=", refs, ",fetches=", fetches);
      SCOPED_TRACE(whole);
      Expected want(find_tlb_preset(GetParam())->tlb());
      want.run(read_trace(whole));
      ReplaySetup setup = small_setup({whole});
      setup.machine.tlb = GetParam();
      setup.machine.guest.kernel_entries = false;
      // Pages of a shadow MMU that the guest has not written yet are not writable there, so a first
      // write is another miss; the others translate as the hardware does.
      for (const ReplayResult& m : replayed(setup, {"native", "nested"}).machines) {
        SCOPED_TRACE(m.spec);
        EXPECT_EQ(m.counters[Counter::kAccesses], want.accesses);
        EXPECT_EQ(m.counters[Counter::kGuestFaults], want.faults);
        EXPECT_EQ(m.counters[Counter::kTlbHitsL1], want.hits[1]);
        EXPECT_EQ(m.counters[Counter::kTlbHitsL2], want.hits[2]);
        EXPECT_EQ(m.counters[Counter::kTlbMisses], want.misses);
      }
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, Preset,
                         testing::Values("dmt", "champsim", "zen4", "skylake", "icelake", "tiny"),
                         [](const auto& preset) { return std::string(preset.param); });

ReplaySetup without_kernel(const std::string& spec, const std::string& tlb) {
  ReplaySetup setup = small_setup({spec});
  setup.machine.tlb = tlb;
  setup.machine.guest.kernel_entries = false;
  return setup;
}

struct Closed {
  const char* spec;
  const char* tlb;
  uint64_t references, pages, hits_l1, hits_l2;
};

// Each page's first access faults and is made again: two misses. What hits otherwise is arithmetic.
TEST(ClosedForms, ColdMissesAndReach) {
  const Closed kAll[] = {
      // One pass: 512 words in each page.
      {"gen:sequential,bytes=4M,refs=524288", "dmt", 524288, 1024, 524288 - 1024, 0},
      {"gen:sequential,bytes=4M,refs=524288", "zen4", 524288, 1024, 524288 - 1024, 0},
      {"gen:sequential,bytes=4M,refs=524288", "tiny", 524288, 1024, 524288 - 1024, 0},
      // More pages than any level holds, in turn: least recently used is next to be used.
      {"gen:stride,bytes=64M,step=4K,refs=49152", "dmt", 49152, 16384, 0, 0},
      {"gen:stride,bytes=64M,step=4K,refs=49152", "zen4", 49152, 16384, 0, 0},
      {"gen:stride,bytes=20K,step=4K,refs=1000", "tiny", 1000, 5, 0, 0},
      // As many as the first level holds.
      {"gen:stride,bytes=256K,step=4K,refs=6400", "dmt", 6400, 64, 6400 - 64, 0},
      {"gen:stride,bytes=288K,step=4K,refs=7200", "zen4", 7200, 72, 7200 - 72, 0},
      {"gen:stride,bytes=16K,step=4K,refs=1000", "tiny", 1000, 4, 1000 - 4, 0},
      // One more than that, or five in one set of four: the second level answers.
      {"gen:stride,bytes=292K,step=4K,refs=7300", "zen4", 7300, 73, 0, 7300 - 73},
      {"gen:stride,bytes=320K,step=64K,refs=1000", "dmt", 1000, 5, 0, 1000 - 5},
      {"gen:stride,bytes=256K,step=64K,refs=1000", "dmt", 1000, 4, 1000 - 4, 0},
      // 13 pages in one set of 12 of the second level, and of the first: never.
      {"gen:stride,bytes=6656K,step=512K,refs=1300", "dmt", 1300, 13, 0, 0},
      {"gen:stride,bytes=6144K,step=512K,refs=1200", "dmt", 1200, 12, 0, 1200 - 12},
      {"gen:stride,bytes=6656K,step=512K,refs=1300", "skylake", 1300, 13, 0, 0},
  };
  for (const Closed& c : kAll) {
    for (const ReplayResult& m :
         replayed(without_kernel(c.spec, c.tlb), {"native", "nested"}).machines) {
      SCOPED_TRACE(absl::StrCat(c.spec, " on ", c.tlb, " under ", m.spec));
      EXPECT_EQ(m.counters[Counter::kAccesses], c.references + c.pages);
      EXPECT_EQ(m.counters[Counter::kGuestFaults], c.pages);
      EXPECT_EQ(m.counters[Counter::kTlbHitsL1], c.hits_l1);
      EXPECT_EQ(m.counters[Counter::kTlbHitsL2], c.hits_l2);
      EXPECT_EQ(m.counters[Counter::kTlbMisses], c.references + c.pages - c.hits_l1 - c.hits_l2);
    }
  }
}

// P(hit) = E / N for a fully associative LRU of E entries over N pages used at random.
TEST(ClosedForms, UniformHitsInProportion) {
  ReplaySetup setup = without_kernel("gen:uniform,bytes=256K,refs=120000", "tiny");
  setup.warmup = 20'000;
  const Counters c = replayed_native(setup).counters;
  EXPECT_EQ(c[Counter::kAccesses], 100'000u);
  EXPECT_NEAR(static_cast<double>(c[Counter::kTlbHitsL1]), 100'000.0 * 4 / 64, 4 * 76.6);
}

TEST(ClosedForms, ReferencesOfAWalk) {
  const std::map<std::string, std::map<PageSize, uint64_t>> kWant = {
      {"native", {{PageSize::k4K, 4}, {PageSize::k2M, 4}, {PageSize::k1G, 4}}},
      {"shadow", {{PageSize::k4K, 4}, {PageSize::k2M, 4}}},
      {"shadow:unsync=off", {{PageSize::k4K, 4}}},
      {"vtlb", {{PageSize::k4K, 4}}},
      {"direct", {{PageSize::k4K, 4}}},
      // 4 references of the guest's, each and the data after a walk of the host's: 4 (h + 1) + h.
      {"nested", {{PageSize::k4K, 24}, {PageSize::k2M, 19}, {PageSize::k1G, 14}}},
      {"npt", {{PageSize::k4K, 24}, {PageSize::k2M, 19}, {PageSize::k1G, 14}}},
      {"nested:levels=5", {{PageSize::k4K, 29}}},
  };
  for (const auto& [backend, pages] : kWant) {
    for (const auto& [host_page, references] : pages) {
      SCOPED_TRACE(absl::StrCat(backend, " ", bytes_of(host_page)));
      // The first 64 references fault; what follows walks and nothing else, for there is no TLB.
      ReplaySetup setup = without_kernel("gen:stride,bytes=256K,step=4K,refs=2000", "none");
      setup.machine.guest.memory_bytes = 1 << 30;
      setup.machine.host_page = host_page;
      setup.warmup = 64;
      setup.limit = 1000;
      const Counters c = replayed(setup, {backend}).machines[0].counters;
      EXPECT_EQ(c[Counter::kAccesses], 1000u);
      EXPECT_EQ(c[Counter::kTlbMisses], 1000u);
      EXPECT_EQ(c.exits(), 0u);
      EXPECT_EQ(c.walk_references(), 1000 * references);
    }
  }
}

// Pages as large as the guest's: one level less in each dimension.
TEST(ClosedForms, ReferencesOfAWalkToAHugePage) {
  for (const auto& [backend, references] :
       {std::pair{"native", 3}, {"shadow", 3}, {"nested", 15}, {"npt", 15}}) {
    ReplaySetup setup = without_kernel("gen:stride,bytes=64M,step=2M,refs=2000,thp=on", "none");
    setup.machine.guest.thp = HugePages::kMadvise;
    setup.machine.host_page = PageSize::k2M;
    setup.warmup = 32;
    setup.limit = 1000;
    const Counters c = replayed(setup, {backend}).machines[0].counters;
    EXPECT_EQ(c.walk_references(), 1000u * static_cast<unsigned>(references)) << backend;
    EXPECT_EQ(c[Counter::kTlbMissesAt2M], 1000u) << backend;
  }
}

}  // namespace
}  // namespace gnomon::replay_test
