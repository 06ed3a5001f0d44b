// SPDX-License-Identifier: Apache-2.0
#include "gnomon/tlb/tlb.h"

#include <set>

#include "gnomon/tlb/presets.h"
#include "gtest/gtest.h"

// Streams whose hits and misses are known in closed form, and the rules one by one.

namespace gnomon {
namespace {

constexpr PageSize k4K = PageSize::k4K, k2M = PageSize::k2M, k1G = PageSize::k1G;
constexpr Access kRead{AccessOp::kRead, Privilege::kUser};
constexpr Access kWrite{AccessOp::kWrite, Privilege::kUser};

PagingRules long_mode_rules() {
  Controls c;
  c.cr0 = cr0::kPE | cr0::kPG | cr0::kWP;
  c.cr4 = cr4::kPAE | cr4::kPGE;
  c.efer = efer::kLME | efer::kLMA | efer::kNXE;
  return derive_rules(c, {});
}

struct Page {
  PageSize size = k4K;
  bool global = false;
  bool dirty = true;
  bool splintered = false;
  Rights rights = kAllRights;
};

class Driver {
 public:
  explicit Driver(const TlbConfig& config) : tlb(Tlb::create(config).value()) {}
  explicit Driver(TlbStructureConfig only) : Driver(TlbConfig{{std::move(only)}}) {}

  bool hits(uint64_t va, Access access = kRead, uint16_t pcid = 0) {
    return tlb->lookup(Gva(va), access, pcid, rules) != nullptr;
  }
  void insert(uint64_t va, Page page = {}, Access access = kRead, uint16_t pcid = 0) {
    Translation t;
    t.outcome = Outcome::kTranslated;
    t.cacheable = true;
    t.size = page.size;
    t.global = page.global;
    t.dirty = page.dirty;
    t.splintered = page.splintered;
    t.rights = page.rights;
    t.gpa = Gpa(va);
    t.hpa = Hpa(va);
    tlb->insert(Gva(va), access, t, pcid);
  }
  /// Accesses `va` and fills on a miss; true if it hit.
  bool touch(uint64_t va, Page page = {}) {
    if (hits(va)) return true;
    insert(va, page);
    return false;
  }
  /// `rounds` times over `pages` pages that lie `stride` pages apart; returns how many missed.
  uint64_t cycle(uint64_t pages, uint64_t stride, unsigned rounds, Page page = {}) {
    uint64_t misses = 0;
    for (unsigned r = 0; r < rounds; ++r) {
      for (uint64_t i = 0; i < pages; ++i) misses += !touch(i * stride << shift_of(page.size), page);
    }
    return misses;
  }

  std::unique_ptr<Tlb> tlb;
  PagingRules rules = long_mode_rules();
};

TlbStructureConfig one(uint32_t entries, uint32_t ways, Replacement r = Replacement::kLru) {
  TlbStructureConfig c;
  c.name = "one";
  c.entries = entries;
  c.ways = ways;
  c.replacement = r;
  return c;
}

TEST(TlbClosedForm, SequentialBytesMissOncePerPage) {
  for (const TlbPreset& preset : tlb_presets()) {
    Driver d(preset.tlb());
    if (d.tlb->config().structures.empty()) continue;
    uint64_t misses = 0;
    for (uint64_t va = 0; va < 3000 * 4096; va += 64) misses += !d.touch(va);
    EXPECT_EQ(misses, 3000u) << preset.name;
    EXPECT_EQ(d.tlb->statistics().hits[1], 3000u * 63) << preset.name;
  }
}

TEST(TlbClosedForm, CyclesFitOrThrash) {
  for (const uint32_t entries : {1u, 4u, 17u, 64u, 96u}) {
    EXPECT_EQ(Driver(one(entries, 0)).cycle(entries, 1, 10), entries);
    EXPECT_EQ(Driver(one(entries, 0)).cycle(entries + 1, 1, 10), (entries + 1) * 10);
    EXPECT_EQ(Driver(one(entries, 0, Replacement::kFifo)).cycle(entries + 1, 1, 10),
              (entries + 1) * 10);
  }
}

TEST(TlbClosedForm, StridesOfTheNumberOfSetsShareOneSet) {
  for (const uint32_t sets : {1u, 2u, 16u, 24u, 128u, 384u, 1000u}) {
    for (const uint32_t ways : {1u, 4u, 8u, 12u}) {
      EXPECT_EQ(Driver(one(sets * ways, ways)).cycle(ways, sets, 5), ways) << sets;
      EXPECT_EQ(Driver(one(sets * ways, ways)).cycle(ways + 1, sets, 5), (ways + 1) * 5) << sets;
      EXPECT_EQ(Driver(one(sets * ways, ways)).cycle(sets * ways, 1, 3), sets * ways) << sets;
    }
  }
}

TEST(TlbClosedForm, TreePlruOfFourWaysFollowsTheTextbook) {
  Driver d(one(4, 0, Replacement::kTreePlru));
  for (uint64_t i = 0; i < 4; ++i) EXPECT_FALSE(d.touch(i << 12));
  EXPECT_TRUE(d.touch(0));        // protects the left half and way 0
  EXPECT_FALSE(d.touch(4 << 12));  // right half: way 2 is older than way 3
  EXPECT_FALSE(d.hits(2 << 12));
  EXPECT_FALSE(d.touch(5 << 12));  // left half: way 1
  EXPECT_FALSE(d.hits(1 << 12));
  EXPECT_TRUE(d.hits(0) && d.hits(3 << 12));
}

TEST(TlbClosedForm, BanksOfIceLakeHoldAllOf2048Pages) {
  Driver d(find_tlb_preset("icelake")->tlb());
  EXPECT_EQ(d.cycle(2048, 1, 4), 2048u);
  Driver large(find_tlb_preset("icelake")->tlb());
  EXPECT_EQ(large.cycle(1024, 1, 4, {.size = k2M}), 1024u);
}

TEST(TlbClosedForm, FewerWaysForLargePagesInZenSecondLevel) {
  // 384 sets: of 2M pages in one set, six stay in level 2 (and level 1 holds none of the others).
  TlbConfig config = find_tlb_preset("zen4")->tlb();
  std::erase_if(config.structures, [](const TlbStructureConfig& c) { return c.level == 1; });
  EXPECT_EQ(Driver(config).cycle(6, 384, 5, {.size = k2M}), 6u);
  EXPECT_EQ(Driver(config).cycle(7, 384, 5, {.size = k2M}), 35u);
  EXPECT_EQ(Driver(config).cycle(8, 384, 5), 8u);
}

TEST(Tlb, LevelTwoRefillsLevelOne) {
  Driver d(find_tlb_preset("skylake")->tlb());
  d.cycle(64 + 4, 16, 1);  // all in one set of L1D
  EXPECT_TRUE(d.hits(0));
  EXPECT_EQ(d.tlb->hit_level(), 2u);
  EXPECT_TRUE(d.hits(0));
  EXPECT_EQ(d.tlb->hit_level(), 1u);
}

TEST(Tlb, SplitStructuresServeTheirOperationsOnly) {
  Driver d(find_tlb_preset("icelake")->tlb());
  d.insert(0x1000, {}, kRead);
  EXPECT_TRUE(d.hits(0x1000, kWrite));
  EXPECT_EQ(d.tlb->hit_level(), 2u);
  EXPECT_TRUE(d.hits(0x1000, {AccessOp::kFetch, Privilege::kUser}));
  EXPECT_EQ(d.tlb->hit_level(), 2u);
}

TEST(Tlb, DeniedEntriesAreDropped) {
  Driver d(one(4, 0));
  d.insert(0x1000, {.dirty = false});
  EXPECT_TRUE(d.hits(0x1000));
  EXPECT_FALSE(d.hits(0x1000, kWrite)) << "not dirty";
  EXPECT_FALSE(d.hits(0x1000));
  d.insert(0x1000, {.rights = kRightWrite | kRightExec});
  EXPECT_FALSE(d.hits(0x1000)) << "supervisor page";
  EXPECT_EQ(d.tlb->statistics().structures[0].by_size[0].denied, 2u);
}

TEST(Tlb, GlobalsOutliveEverythingButFullFlushes) {
  Driver d(one(8, 0));
  const auto fill = [&] {
    d.insert(0x1000, {.global = true}, kRead, 1);
    d.insert(0x2000, {}, kRead, 1);
  };
  fill();
  EXPECT_TRUE(d.hits(0x1000, kRead, 2));
  EXPECT_FALSE(d.hits(0x2000, kRead, 2));
  EXPECT_TRUE(d.hits(0x2000, kRead, 1));
  d.tlb->flush_pcid(1);
  EXPECT_TRUE(d.hits(0x1000, kRead, 1));
  EXPECT_FALSE(d.hits(0x2000, kRead, 1));
  fill();
  d.tlb->flush_non_global();
  EXPECT_TRUE(d.hits(0x1000, kRead, 1));
  EXPECT_FALSE(d.hits(0x2000, kRead, 1));
  d.tlb->invalidate_page(Gva(0x1000), 1, /*globals=*/false);
  EXPECT_TRUE(d.hits(0x1000, kRead, 1));
  d.tlb->invalidate_page(Gva(0x1fff), 5);
  EXPECT_FALSE(d.hits(0x1000, kRead, 1));
  fill();
  d.tlb->flush_vpid();
  EXPECT_FALSE(d.hits(0x1000, kRead, 1));
  fill();
  d.tlb->flush_all();
  EXPECT_FALSE(d.hits(0x1000, kRead, 1));
}

TEST(Tlb, MachinesDoNotSeeEachOther) {
  Driver d(one(8, 0));
  d.insert(0x1000, {.global = true});
  d.tlb->set_vpid(7);
  EXPECT_FALSE(d.hits(0x1000));
  d.insert(0x1000);
  d.tlb->flush_vpid();
  EXPECT_FALSE(d.hits(0x1000));
  d.tlb->set_vpid(0);
  EXPECT_TRUE(d.hits(0x1000));
}

TEST(Tlb, UntaggedStructuresForgetOnASwitch) {
  TlbStructureConfig c = one(8, 0);
  c.tagged = false;
  Driver d(c);
  d.insert(0x1000);
  d.insert(0x2000, {.global = true});
  EXPECT_TRUE(d.hits(0x1000) && d.hits(0x2000));
  EXPECT_FALSE(d.hits(0x1000, kRead, 3));
  EXPECT_TRUE(d.hits(0x2000, kRead, 3));
  EXPECT_FALSE(d.hits(0x1000, kRead, 0));
}

TEST(Tlb, InvalidatingAPageReachesEveryPieceOfIt) {
  // The guest's page is 2M; this TLB has room for 4K pages only.
  Driver d(one(16, 4));
  for (uint64_t va : {0x20'0000, 0x20'1000, 0x2f'f000}) d.insert(va, {.size = k2M});
  d.insert(0x40'0000);
  d.tlb->invalidate_page(Gva(0x28'0000), 0);
  for (uint64_t va : {0x20'0000, 0x20'1000, 0x2f'f000}) EXPECT_FALSE(d.hits(va));
  EXPECT_TRUE(d.hits(0x40'0000));
  d.insert(0x20'1000, {.splintered = true});  // the host's pages are 4K
  d.tlb->invalidate_page(Gva(0x20'0000), 0);
  EXPECT_FALSE(d.hits(0x20'1000));
}

TEST(Tlb, TheLowerWayAnswersWhenALocalAndAGlobalEntryMatch) {
  TlbStructureConfig c = one(4, 0);
  c.sizes = {{k2M, 0}};
  Driver d(c);
  d.insert(0x60'0000, {.size = k2M}, kRead, 1);  // way 0
  d.insert(0x20'0000, {.size = k2M});            // way 1
  EXPECT_TRUE(d.hits(0x20'5000) && d.hits(0x20'5000));
  d.tlb->invalidate_page(Gva(0x60'0000), 1);
  d.insert(0x20'9000, {.size = k2M, .global = true}, kRead, 1);  // way 0
  const TlbEntry* e = d.tlb->lookup(Gva(0x20'5000), kRead, 0, d.rules);
  ASSERT_NE(e, nullptr);
  EXPECT_TRUE(e->global);
}

TEST(Tlb, NonCanonicalAddressesNeverHit) {
  Driver d(one(16, 4));
  for (const uint64_t high : {0x0200'0000'0000'0000u, 0x8000'0000'0000'0000u, 0x0100'0000'0000'0000u}) {
    d.insert(0x1000);
    EXPECT_TRUE(d.hits(0x1000));
    EXPECT_FALSE(d.hits(0x1000 | high));
    d.insert(0x3000 | high);
    EXPECT_FALSE(d.hits(0x3000 | high));
    EXPECT_FALSE(d.hits(0x3000));
  }
}

TEST(Tlb, MoreFlushesThanContextNumbers) {
  Driver d(find_tlb_preset("tiny")->tlb());
  d.insert(0x1000, {.global = true}, kRead, 1);
  d.insert(0x2000, {}, kRead, 1);
  for (unsigned i = 0; i < 400'000; ++i) {
    d.insert(0x3000, {}, kRead, 2);
    ASSERT_TRUE(d.hits(0x3000, kRead, 2));
    d.tlb->flush_pcid(2);
    ASSERT_FALSE(d.hits(0x3000, kRead, 2)) << i;
  }
  EXPECT_TRUE(d.hits(0x1000, kRead, 1));
  EXPECT_TRUE(d.hits(0x2000, kRead, 1));
  // Machines come and go: their contexts are forgotten with them.
  for (unsigned i = 0; i < 200'000; ++i) {
    d.tlb->set_vpid(static_cast<uint16_t>(i));
    ASSERT_FALSE(d.hits(0x3000, kRead, static_cast<uint16_t>(i % 4096)));
  }
  d.tlb->set_vpid(0);
  EXPECT_TRUE(d.hits(0x2000, kRead, 1));
}

TEST(TlbConfig, SaysWhatIsWrong) {
  const auto message = [](auto change) {
    TlbStructureConfig c = one(8, 4);
    change(c);
    return std::string(Tlb::create({{c}}).status().message());
  };
  EXPECT_EQ(message([](auto&) {}), "");
  EXPECT_EQ(message([](auto& c) { c.level = 3; }), "TLB structure \"one\": level must be 1 or 2");
  for (const auto& change : std::vector<void (*)(TlbStructureConfig&)>{
           [](auto& c) { c.level = 0; }, [](auto& c) { c.serves = 0; }, [](auto& c) { c.serves = 8; },
           [](auto& c) { c.entries = 0; }, [](auto& c) { c.entries = 1u << 20; },
           [](auto& c) { c.ways = 3; }, [](auto& c) { c.ways = 16; }, [](auto& c) { c.sizes.clear(); },
           [](auto& c) { c.sizes = {{PageSize::k4M, 0}}; },
           [](auto& c) { c.sizes = {{k4K, 0}, {k4K, 0}}; }, [](auto& c) { c.sizes = {{k4K, 5}}; },
           [](auto& c) { c = one(128, 128, Replacement::kTreePlru); }}) {
    EXPECT_NE(message(change), "");
  }
  EXPECT_FALSE(Tlb::create({std::vector<TlbStructureConfig>(17, one(4, 4))}).ok());
}

TEST(TlbPresets, AreValidAndDistinct) {
  std::set<std::string> names;
  for (const TlbPreset& preset : tlb_presets()) {
    EXPECT_TRUE(names.insert(std::string(preset.name)).second) << preset.name;
    EXPECT_TRUE(preset.tlb().validate().ok()) << preset.name;
    EXPECT_TRUE(preset.walk_caches().validate().ok()) << preset.name;
    EXPECT_FALSE(preset.description.empty() || preset.source.empty());
    EXPECT_EQ(find_tlb_preset(preset.name)->name, preset.name);
  }
  EXPECT_EQ(names.size(), 12u);
  EXPECT_EQ(find_tlb_preset("pentium").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(find_tlb_preset("none")->tlb().structures.empty());
}

TEST(TlbPresets, TranslateEverySizeForEveryOperation) {
  for (const TlbPreset& preset : tlb_presets()) {
    if (preset.tlb().structures.empty()) continue;
    for (const PageSize size : {k4K, k2M, k1G}) {
      for (const AccessOp op : {AccessOp::kRead, AccessOp::kWrite, AccessOp::kFetch}) {
        Driver d(preset.tlb());
        const Access access{op, Privilege::kUser};
        d.insert(0x4000'1234, {.size = size}, access);
        EXPECT_TRUE(d.hits(0x4000'1ff0, access)) << preset.name << " " << name_of(size);
        EXPECT_EQ(d.tlb->hit_level(), 1u) << preset.name << " " << name_of(size);
      }
    }
  }
}

}  // namespace
}  // namespace gnomon
