// SPDX-License-Identifier: Apache-2.0
// Each walk reference that a backend counts is looked up in the vCPU's caches, once, at the entry's
// host-physical address and under its dimension.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "gnomon/backend.h"
#include "gnomon/vcpu.h"
#include "gnomon/x86/entry_bits.h"
#include "tests/cache/naive_cache.h"
#include "tests/scenario/random.h"

namespace gnomon {
namespace {

using scenario::Random;

constexpr uint64_t kPage = 0x1000;
constexpr uint64_t kRw = pte::kPresent | pte::kWritable | pte::kUser;

struct Mode {
  absl::string_view name;
  uint64_t cr4, efer;
  unsigned levels;
  unsigned entry_bytes;
  unsigned index_bits;
};
constexpr Mode kModes[] = {
    {"level4", cr4::kPAE, efer::kLME | efer::kNXE, 4, 8, 9},
    {"level5", cr4::kPAE | cr4::kLA57, efer::kLME | efer::kNXE, 5, 8, 9},
    {"pae", cr4::kPAE, efer::kNXE, 3, 8, 9},
    {"legacy32", cr4::kPSE, 0, 2, 4, 10},
};

// A guest with two roots, some tables below them, and random pages; it does what guests do.
class Guest {
 public:
  Guest(absl::string_view spec, const Mode& mode, absl::string_view tlb, absl::string_view caches,
        uint64_t seed)
      : mode_(mode),
        random_(seed),
        naive_(find_cache_preset(caches).value().config),
        cache_(find_cache_preset(caches).value().config) {
    EXPECT_TRUE(p2m_.add_slot(Gpa(0), 8_MiB).ok());
    backend_ = create_backend(spec, p2m_).value();
    VcpuParts parts = VcpuParts::from(find_tlb_preset(tlb).value()).value();
    cpu_ = std::make_unique<Vcpu<>>(*backend_, p2m_, std::move(parts));
    cpu_->state().memory = &cache_;
    cpu_->state().log = &log_;
    for (unsigned level = 1; level <= mode_.levels; ++level) {
      for (unsigned i = 0; i < 40; ++i) write_entry(level);
    }
    EXPECT_TRUE(cpu_->write_cr3(root()));
    EXPECT_TRUE(cpu_->write_controls(cr0::kPE | cr0::kPG | cr0::kWP, mode_.cr4, mode_.efer));
    settle();
  }
  ~Guest() { cpu_.reset(); }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      switch (random_.below(20)) {
        case 0: write_entry(static_cast<unsigned>(1 + random_.below(mode_.levels))); break;
        case 1: cpu_->write_cr3(root()); break;
        case 2: cpu_->invlpg(address()); break;
        case 3:
          if (random_.percent(5)) backend_->drop_caches();
          break;
        default: {
          Access access{random_.percent(40) ? AccessOp::kWrite : AccessOp::kRead, Privilege::kUser};
          access = access.with_probe(random_.percent(5));
          cpu_->access(address(), access);
        }
      }
      settle();
    }
  }

  void check() {
    const Counters& c = cpu_->counters();
    const auto sum = [](const std::array<uint64_t, kCacheHitCount>& row) {
      return row[0] + row[1] + row[2] + row[3];
    };
    const CacheStats& s = cache_.stats;
    EXPECT_EQ(sum(s.guest), c.over_levels(Counter::kWalkGuestL1));
    EXPECT_EQ(sum(s.host), c.over_levels(Counter::kWalkHostL1));
    EXPECT_EQ(sum(s.shadow), c.over_levels(Counter::kWalkShadowL1));
    EXPECT_EQ(s.guest, expected_.guest);
    EXPECT_EQ(s.host, expected_.host);
    EXPECT_EQ(s.shadow, expected_.shadow);
    EXPECT_EQ(sum(s.data), 0u);
  }
  const CacheStats& stats() const { return cache_.stats; }

 private:
  uint64_t table(unsigned level) { return (16 + (level - 1) * 4 + random_.below(3)) * kPage; }
  uint64_t root() { return (16 + (mode_.levels - 1) * 4 + random_.below(2)) * kPage; }
  uint64_t index() { return random_.below(3) * 67; }
  Gva address() {
    uint64_t va = random_.below(kPage);
    for (unsigned level = 1; level <= mode_.levels; ++level) {
      const bool pdpt = mode_.levels == 3 && level == 3;
      va |= (pdpt ? random_.below(3) : index()) << (12 + mode_.index_bits * (level - 1));
    }
    return Gva(va);
  }
  void write_entry(unsigned level) {
    const bool pdpt = mode_.levels == 3 && level == 3;
    const uint64_t slot = pdpt ? random_.below(3) : index();
    const uint64_t to = level == 1 ? (64 + random_.below(64)) * kPage : table(level - 1);
    uint64_t entry = to | (pdpt ? uint64_t{pte::kPresent} : kRw);
    if (random_.percent(10)) entry = 0;
    backend_->write_physical(cpu_->state(), Gpa(table(level) + slot * mode_.entry_bytes), entry,
                             mode_.entry_bytes);
  }
  // What the naive caches say about the references that were just logged. Frames never move here,
  // so that the p2m still knows where each guest entry was.
  void settle() {
    for (const WalkReference& r : log_) {
      Hpa at(r.address);
      if (r.dimension == WalkReference::Dimension::kGuest) {
        at = p2m_.lookup(Gpa(r.address)).frame().with_offset(PageSize::k4K, r.address);
      }
      const auto found = static_cast<size_t>(naive_.reference(at));
      switch (r.dimension) {
        case WalkReference::Dimension::kGuest: ++expected_.guest[found]; break;
        case WalkReference::Dimension::kHost: ++expected_.host[found]; break;
        case WalkReference::Dimension::kShadow: ++expected_.shadow[found]; break;
      }
    }
    log_.clear();
  }

  const Mode& mode_;
  Random random_;
  NaiveHierarchy naive_;
  CacheHierarchy cache_;
  CacheStats expected_;
  std::vector<WalkReference> log_;
  std::unique_ptr<HostMemory> host_ = HostMemory::create(64_MiB).value();
  P2m p2m_{*host_};
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Vcpu<>> cpu_;
};

TEST(WalkReferences, AllThatIsCountedIsLookedUp) {
  uint64_t guest = 0, host = 0, shadow = 0;
  for (const absl::string_view spec :
       {"native", "shadow", "shadow:unsync=off", "vtlb", "nested", "nested:ad=on", "nested:ad=off",
        "npt", "agile", "agile:writes=0", "agile:interval=4", "direct"}) {
    for (const Mode& mode : kModes) {
      if (spec == "direct" && mode.levels != 4) continue;
      for (const absl::string_view tlb : {"none", "tiny", "skylake"}) {
        SCOPED_TRACE(absl::StrCat(spec, " ", mode.name, " ", tlb));
        Guest g(spec, mode, tlb, tlb == "skylake" ? "skylake" : "tiny", 17);
        g.run(1500);
        g.check();
        if (testing::Test::HasFailure()) return;
        const auto any = [](const auto& row) { return row[0] + row[1] + row[3]; };
        guest += any(g.stats().guest);
        host += any(g.stats().host);
        shadow += any(g.stats().shadow);
      }
    }
  }
  EXPECT_GT(guest, 1000u);
  EXPECT_GT(host, 1000u);
  EXPECT_GT(shadow, 1000u);
}

TEST(WalkReferences, CachesWithoutALog) {
  for (const absl::string_view spec :
       {"native", "shadow", "nested", "npt", "agile", "vtlb", "direct"}) {
    auto memory = HostMemory::create(64_MiB).value();
    P2m p2m(*memory);
    ASSERT_TRUE(p2m.add_slot(Gpa(0), 8_MiB).ok());
    auto backend = create_backend(spec, p2m).value();
    CacheHierarchy cache(find_cache_preset("tiny").value().config);
    Vcpu<> cpu(*backend, p2m);
    for (uint64_t level = 4; level >= 1; --level) {
      const uint64_t to = level == 1 ? 64 * kPage : (20 - level + 1) * kPage;
      backend->write_physical(cpu.state(), Gpa((20 - level) * kPage), to | kRw, 8);
    }
    ASSERT_TRUE(cpu.write_cr3(16 * kPage));
    ASSERT_TRUE(cpu.write_controls(cr0::kPE | cr0::kPG, cr4::kPAE, efer::kLME));
    const Access read{AccessOp::kRead, Privilege::kUser};
    ASSERT_TRUE(cpu.access(Gva(0), read).ok()) << spec;
    EXPECT_EQ(cache.stats.guest, CacheStats{}.guest) << spec << ": not attached yet";
    cpu.counters().reset();
    cpu.state().memory = &cache;
    ASSERT_TRUE(cpu.access(Gva(0), read).ok()) << spec;
    uint64_t found = 0;
    for (size_t i = 0; i < kCacheHitCount; ++i) {
      found += cache.stats.guest[i] + cache.stats.host[i] + cache.stats.shadow[i];
    }
    EXPECT_EQ(found, cpu.counters().walk_references()) << spec;
    EXPECT_GE(found, 4u) << spec;
    cpu.state().memory = nullptr;
  }
}

}  // namespace
}  // namespace gnomon
