// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "absl/strings/str_cat.h"
#include "gnomon/tlb/presets.h"
#include "gnomon/tlb/tlb.h"
#include "gtest/gtest.h"
#include "tests/scenario/random.h"
#include "tests/support/scale.h"
#include "tests/tlb/naive_tlb.h"

// Every hit, miss and entry of the engine's TLB against the literal simulation, on random streams
// with all page sizes, PCIDs, machines, globals, denied accesses, every kind of invalidation, and insertions
// that do not follow the search for the same page.

namespace gnomon {
namespace {

using scenario::Random;

PagingRules some_rules(Random& r) {
  Controls c;
  c.cr0 = cr0::kPE | cr0::kPG | (r.percent(80) ? cr0::kWP : 0);
  c.cr4 = cr4::kPAE | cr4::kPGE | cr4::kPKE | (r.percent(50) ? cr4::kSMEP : 0) |
          (r.percent(50) ? cr4::kSMAP : 0);
  c.efer = efer::kLME | efer::kLMA | efer::kNXE;
  c.pkru = r.percent(50) ? 0 : 0x0c;
  return derive_rules(c, {});
}

// A stream of calls on both TLBs. Which page size an address has changes now and then, without any
// invalidation: pages of several sizes for one address are then in the TLB together.
class Stream {
 public:
  Stream(const TlbConfig& config, uint64_t seed)
      : random_(seed), tlb_(Tlb::create(config).value()), naive_(config),
        pages_(8u << random_.below(10)), rules_(some_rules(random_)) {}

  void run(uint64_t accesses) {
    for (uint64_t i = 0; i < accesses && !::testing::Test::HasFailure(); ++i) {
      if (random_.below(200) == 0) disturb();
      access();
    }
    if (!::testing::Test::HasFailure()) compare_counts();
  }
  uint64_t hits() const { return hits_; }
  uint64_t flushes() const { return tlb_->statistics().flushes; }

 private:
  Gva address() {
    // Two in three accesses stay near the last ones.
    if (!random_.percent(33)) return Gva(recent_[random_.below(recent_.size())] ^ random_.below(4096));
    uint64_t page = random_.below(pages_);
    if (random_.percent(50)) page = page * 512 + random_.below(4);  // one per 2M region, nearly
    uint64_t va = page << 12 | random_.below(4096);
    switch (random_.below(16)) {
      case 0: va |= uint64_t{0xffff'8000'0000'0000}; break;
      case 1: va |= uint64_t{1} << 56; break;                // canonical in no mode
      case 2: va |= random_.below(2) << 55 | 1ull << 47; break;  // 57-bit addresses
      case 3: va |= uint64_t{0x3f} << 57; break;
      default: break;
    }
    recent_[random_.below(recent_.size())] = va;
    return Gva(va);
  }

  Translation translation(Gva va, AccessOp op) {
    static constexpr PageSize kSizes[] = {PageSize::k4K, PageSize::k4K, PageSize::k2M, PageSize::k4M,
                                          PageSize::k1G};
    const uint64_t mix = (va.frame(PageSize::k2M) + pcid_ * 7 + sizes_seed_) * 0x9e37'79b9'7f4a'7c15;
    Translation t;
    t.outcome = Outcome::kTranslated;
    t.cacheable = true;
    t.size = kSizes[(mix >> 40) % 5];
    t.global = (mix >> 50) % 5 == 0;
    t.splintered = (mix >> 53) % 9 == 0;
    t.rights = static_cast<Rights>(random_.percent(80) ? kAllRights : random_.below(8));
    t.dirty = op == AccessOp::kWrite || random_.percent(40);
    t.key = static_cast<uint8_t>(random_.below(16) == 0 ? 1 : 0);
    t.trapped = random_.below(50) == 0;
    t.gpa = Gpa(va.value() & 0xffff'ffff'ffff);
    t.hpa = Hpa((va.value() + (pcid_ << 30)) & 0xffff'ffff'ffff);
    return t;
  }

  void access() {
    const Gva va = address();
    const Access a{static_cast<AccessOp>(random_.below(3)), static_cast<Privilege>(random_.below(3))};
    if (random_.below(64) == 0) return insert(va, a);  // without having looked
    if (look_up(va, a)) {
      if (random_.below(32) == 0) insert(va, a);  // what is there already
      return;
    }
    if (::testing::Test::HasFailure() || random_.percent(3)) return;  // as after a fault
    if (random_.below(32) == 0) return interrupted(va, a);
    insert(va, a);
  }

  // Something else happens between the search that finds nothing and the insertion.
  void interrupted(Gva va, Access a) {
    const uint16_t pcid = pcid_;
    switch (random_.below(7)) {
      case 0: disturb(); break;
      case 1: look_up(address(), a); break;
      case 2: insert(va, a); break;  // twice, then
      case 3: a = a.with(static_cast<AccessOp>(random_.below(3))); break;
      case 4: insert(va, a.with(static_cast<AccessOp>(random_.below(3)))); break;
      case 5:  // there and back
        pcid_ = static_cast<uint16_t>(random_.below(6));
        look_up(random_.percent(50) ? va : address(), a);
        insert(va, a);
        pcid_ = pcid;
        break;
      default:
        for (const uint16_t vpid : {static_cast<uint16_t>(random_.below(3)), vpid_}) {
          tlb_->set_vpid(vpid);
          naive_.set_vpid(vpid);
        }
    }
    if (!::testing::Test::HasFailure()) insert(va, a);
  }

  bool look_up(Gva va, Access a) {
    const TlbEntry* got = tlb_->lookup(va, a, pcid_, rules_);
    const auto want = naive_.lookup(va, a, pcid_, rules_);
    compare_answers(va, a, got, want);
    return got != nullptr;
  }
  void compare_answers(Gva va, Access a, const TlbEntry* got, const std::optional<naive::Answer>& want) {
    ASSERT_EQ(got != nullptr, want.has_value()) << to_string(va) << " " << to_string(a);
    if (got == nullptr) {
      ASSERT_EQ(tlb_->hit_level(), 0u);
      return;
    }
    ++hits_;
    ASSERT_EQ(tlb_->hit_level(), want->level);
    ASSERT_EQ(*got, want->entry) << to_string(va);
    ASSERT_EQ(translation_of(*got, va).hpa.offset_in(got->size), va.offset_in(got->size));
  }

  void insert(Gva va, Access a) {
    const Translation t = translation(va, a.op());
    tlb_->insert(va, a, t, pcid_);
    naive_.insert(va, a, t, pcid_);
  }

  void disturb() {
    if (random_.below(400) == 0) use_up_contexts();
    const auto pcid = static_cast<uint16_t>(random_.percent(60) ? pcid_ : random_.below(6));
    switch (random_.below(40)) {
      case 0:
        tlb_->flush_all();
        naive_.flush_all();
        break;
      case 1:
        tlb_->flush_vpid();
        naive_.flush_vpid();
        break;
      case 2:
        tlb_->flush_non_global();
        naive_.flush_non_global();
        break;
      case 3:
      case 4:
        tlb_->flush_pcid(pcid);
        naive_.flush_pcid(pcid);
        break;
      case 5:
        vpid_ = static_cast<uint16_t>(random_.below(3));
        tlb_->set_vpid(vpid_);
        naive_.set_vpid(vpid_);
        break;
      case 6: sizes_seed_ = random_.below(4); break;
      case 7: rules_ = some_rules(random_); break;
      case 8: case 9: case 10: case 11: case 12: case 13: case 14: pcid_ = pcid; break;
      default: {
        const Gva va = address();
        const bool globals = random_.percent(60);
        tlb_->invalidate_page(va, pcid, globals);
        naive_.invalidate_page(va, pcid, globals);
      }
    }
  }

  // The engine numbers its contexts anew when there are no more; what other PCIDs have must survive that.
  void use_up_contexts() {
    for (int i = 0; i < 1 << 17; ++i) tlb_->flush_pcid(pcid_);
    naive_.flush_pcid(pcid_);
  }

  void compare_counts() {
    const TlbStatistics s = tlb_->statistics();
    size_t valid = 0;
    tlb_->for_each([&](size_t, const TlbEntry&) { ++valid; });
    EXPECT_EQ(valid, naive_.valid_entries());
    EXPECT_EQ(s.hits[1] + s.hits[2], hits_);
    for (size_t i = 0; i < s.structures.size(); ++i) {
      TlbSizeCounts sum;
      for (const TlbSizeCounts& c : s.structures[i].by_size) {
        sum.hits += c.hits;
        sum.fills += c.fills;
        sum.evictions += c.evictions;
        sum.invalidations += c.invalidations;
        sum.denied += c.denied;
      }
      const naive::Structure& want = naive_.structures()[i];
      EXPECT_EQ(sum, (TlbSizeCounts{want.hits, want.fills, want.evictions, want.invalidations,
                                    want.denied}))
          << want.config.name;
    }
  }

  Random random_;
  std::unique_ptr<Tlb> tlb_;
  naive::NaiveTlb naive_;
  uint64_t pages_;
  PagingRules rules_;
  std::array<uint64_t, 24> recent_{};
  uint16_t pcid_ = 0, vpid_ = 0;
  uint64_t sizes_seed_ = 0;
  uint64_t hits_ = 0;
};

constexpr Replacement kPolicies[] = {Replacement::kLru, Replacement::kTreePlru, Replacement::kFifo,
                                     Replacement::kRandom};

TEST(TlbRandom, EveryPresetUnderEveryPolicyEqualsTheNaiveTlb) {
  uint64_t accesses = 0, hits = 0, streams = 0;
  for (const TlbPreset& preset : tlb_presets()) {
    for (const Replacement policy : kPolicies) {
      TlbConfig config = preset.tlb();
      for (TlbStructureConfig& c : config.structures) {
        const uint32_t ways = c.ways == 0 ? c.entries : c.ways;
        c.replacement = policy == Replacement::kTreePlru && ways > 64 ? Replacement::kLru : policy;
      }
      for (uint64_t seed = 1; seed <= 4; ++seed) {
        SCOPED_TRACE(absl::StrCat(preset.name, " ", name_of(policy), " seed ", seed));
        const uint64_t n = by_scale(1'000, 20'000, 200'000);
        Stream stream(config, seed);
        stream.run(n);
        if (HasFailure()) return;
        accesses += n;
        hits += stream.hits();
        ++streams;
      }
    }
  }
  std::cout << streams << " streams, " << accesses << " accesses, " << hits << " hits\n";
  RecordProperty("accesses", std::to_string(accesses));
}

TlbConfig random_config(Random& r) {
  TlbConfig config;
  const uint64_t structures = 1 + r.below(6);
  for (uint64_t i = 0; i < structures; ++i) {
    TlbStructureConfig c;
    c.name = absl::StrCat("s", i);
    c.level = static_cast<uint8_t>(1 + r.below(2));
    c.serves = static_cast<TlbServes>(1 + r.below(7));
    const auto ways = static_cast<uint32_t>(1 + r.below(r.percent(20) ? 40 : 8));
    const auto sets = static_cast<uint32_t>(r.percent(30) ? 1 : 1 + r.below(24));
    c.entries = ways * sets;
    c.ways = sets == 1 && r.percent(50) ? 0 : ways;
    c.replacement = kPolicies[r.below(4)];
    c.tagged = !r.percent(15);
    c.seed = r.next();
    c.sizes.clear();
    const uint64_t sizes = 1 + r.below(7);
    for (unsigned n = 0; n < 3; ++n) {
      if ((sizes >> n & 1) == 0) continue;
      const auto fewer = static_cast<uint32_t>(r.percent(30) ? 1 + r.below(ways) : 0);
      c.sizes.push_back({kTlbSizeOf[n], fewer});
    }
    config.structures.push_back(c);
  }
  return config;
}

TEST(TlbRandom, RandomHierarchiesEqualTheNaiveTlb) {
  uint64_t accesses = 0, hits = 0;
  const uint64_t configs = by_scale(40, 800, 8000);
  for (uint64_t seed = 1; seed <= configs; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Random random(seed);
    Stream stream(random_config(random), seed);
    stream.run(2'500);
    if (HasFailure()) return;
    accesses += 2'500;
    hits += stream.hits();
  }
  std::cout << configs << " hierarchies, " << accesses << " accesses, " << hits << " hits\n";
  RecordProperty("accesses", std::to_string(accesses));
}

}  // namespace
}  // namespace gnomon
