// SPDX-License-Identifier: Apache-2.0
//
// The TLB on every pattern, against an independent one: same hits and misses in every level and
// structure.
#include "gnomon/tlb/tlb.h"

#include "absl/strings/str_cat.h"
#include "gnomon/tlb/presets.h"
#include "tests/generate/naive_tlb.h"
#include "tests/generate/stream.h"
#include "tests/support/scale.h"

namespace gnomon::generate_test {
namespace {

PagingRules user_rules() {
  Controls c;
  c.cr0 = cr0::kPE | cr0::kPG | cr0::kWP;
  c.cr4 = cr4::kPAE | cr4::kPGE;
  c.efer = efer::kLME | efer::kLMA | efer::kNXE;
  return derive_rules(c, {});
}

/// Both TLBs under one stream. Process p has PCID p mod 4096; pages that are unmapped are
/// invalidated one by one, and the PCID of a process that ends is flushed.
class Both {
 public:
  Both(const TlbConfig& config, std::string name)
      : name_(std::move(name)),
        tlb_(Tlb::create(config).value()),
        naive_(config),
        rules_(user_rules()) {}

  void run(const Stream& stream) {
    for (const TraceRecord& r : stream.records) {
      switch (r.kind) {
        case RecordKind::kFetch: access(r, AccessOp::kFetch); break;
        case RecordKind::kLoad: access(r, AccessOp::kRead); break;
        case RecordKind::kStore: access(r, AccessOp::kWrite); break;
        case RecordKind::kModify:
          access(r, AccessOp::kRead);
          access(r, AccessOp::kWrite);
          break;
        case RecordKind::kEvent: handle(stream.event(r)); break;
      }
      if (testing::Test::HasFailure()) return;
    }
    compare();
  }

 private:
  void access(const TraceRecord& r, AccessOp op) {
    const uint64_t last = (r.address.value() + r.size - 1) / 4096;
    for (uint64_t page = r.address.value() / 4096; page <= last; ++page) {
      const Gva va = Gva::from_frame(page);
      const Access access{op, Privilege::kUser, false};
      const TlbEntry* entry = tlb_->lookup(va, access, pcid_, rules_);
      ASSERT_EQ(tlb_->hit_level(), naive_.access(page, op, pcid_))
          << name_ << ": access " << accesses_ << ", page " << page;
      ++accesses_;
      if (entry != nullptr) {
        ASSERT_EQ(entry->gpa.value(), physical(page));
        continue;
      }
      Translation t;
      t.outcome = Outcome::kTranslated;
      t.rights = kRightWrite | kRightUser | kRightExec;
      t.dirty = t.cacheable = true;
      t.gpa = Gpa(physical(page));
      t.hpa = Hpa(physical(page) + 4096);
      tlb_->insert(va, access, t, pcid_);
    }
  }
  uint64_t physical(uint64_t page) const { return (page * 4096 + pcid_ * 8192) & 0x3ffffffff000; }

  void handle(const TraceEvent& e) {
    if (e.kind == EventKind::kSwitch) pcid_ = e.process % 4096;
    if (e.kind == EventKind::kExit || e.kind == EventKind::kExec) {
      tlb_->flush_pcid(pcid_);
      naive_.flush(pcid_);
    }
    if (e.kind != EventKind::kUnmap) return;
    for (uint64_t page = e.address / 4096; page < (e.address + e.length) / 4096; ++page) {
      tlb_->invalidate_page(Gva::from_frame(page), pcid_);
      naive_.invalidate(page, pcid_);
    }
  }

  void compare() {
    const TlbStatistics got = tlb_->statistics();
    for (const unsigned level : {1, 2}) {
      EXPECT_EQ(got.hits[level], naive_.hits[level]) << name_ << " level " << level;
      EXPECT_EQ(got.misses[level], naive_.misses[level]) << name_ << " level " << level;
    }
    for (const NaiveTlb::Structure& want : naive_.structures) {
      for (const TlbStatistics::Structure& s : got.structures) {
        if (s.name != want.config.name) continue;
        EXPECT_EQ(s.by_size[0].hits, want.hits) << name_ << " " << s.name;
        EXPECT_EQ(s.by_size[0].fills, want.fills) << name_ << " " << s.name;
        EXPECT_EQ(s.by_size[0].evictions, want.evictions) << name_ << " " << s.name;
        EXPECT_EQ(s.by_size[0].invalidations, want.invalidations) << name_ << " " << s.name;
      }
    }
  }

  std::string name_;
  std::unique_ptr<Tlb> tlb_;
  NaiveTlb naive_;
  PagingRules rules_;
  uint16_t pcid_ = 0;
  uint64_t accesses_ = 0;
};

constexpr const char* kSpecs[] = {
    "uniform,bytes=64M,writes=30",
    "uniform,bytes=300K",
    "uniform,bytes=1M,size=100",
    "sequential,bytes=128K,size=64",
    "stride,bytes=1M,step=4160,size=128",
    "stride,bytes=4G,step=512K",
    "zipf,bytes=64M,writes=20",
    "zipf,bytes=64M,law=loguniform,scatter=off",
    "chase,bytes=8M",
    "gups,bytes=16M",
    "bfs,vertices=20K,degree=8",
    "churn,bytes=1M,passes=2",
    "fork,touches=50,alive=3,exec=50",
    "fork,touches=3,bytes=40K",
    "switch,bytes=256K,processes=6,slice=500,writes=50",
};

class EveryPreset : public testing::TestWithParam<const char*> {};

TEST_P(EveryPreset, AnswersAsTheNaiveTlbOnEveryPattern) {
  const uint64_t refs = small_scale() ? 3'000 : 40'000;
  const TlbConfig config = find_tlb_preset(GetParam())->tlb();
  for (const TlbStructureConfig& s : config.structures) {
    ASSERT_EQ(s.replacement, Replacement::kLru);
  }
  TlbConfig untagged = config;
  for (TlbStructureConfig& s : untagged.structures) s.tagged = false;
  for (const char* spec : kSpecs) {
    for (const char* fetches : {"off", "on"}) {
      const std::string whole = absl::StrCat(spec, ",refs=", refs, ",fetches=", fetches);
      const Stream stream = draw(whole);
      Both(config, absl::StrCat(GetParam(), " on ", whole)).run(stream);
      Both(untagged, absl::StrCat(GetParam(), " untagged on ", whole)).run(stream);
      ASSERT_FALSE(HasFailure());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, EveryPreset,
                         testing::Values("dmt", "champsim", "zen4", "skylake", "icelake",
                                         "goldencove", "gracemont", "zen2", "zen3", "zen5", "tiny"),
                         [](const auto& preset) { return std::string(preset.param); });

}  // namespace
}  // namespace gnomon::generate_test
