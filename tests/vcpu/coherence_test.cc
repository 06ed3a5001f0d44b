// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/scenario/random.h"
#include "tests/support/scale.h"
#include "tests/vcpu/machine.h"

// A guest that edits its tables and invalidates as the manual demands never notices TLBs or walk
// caches.

namespace gnomon::vcpu_test {
namespace {

using scenario::Random;

struct Mode {
  absl::string_view name;
  uint64_t cr4, efer;
  unsigned levels, entry_bytes;
};
constexpr Mode kModes[] = {
    {"legacy32", cr4::kPSE | cr4::kPGE, 0, 2, 4},
    {"pae", cr4::kPAE | cr4::kPGE, efer::kNXE, 3, 8},
    {"level4", cr4::kPAE | cr4::kPGE, efer::kLME | efer::kNXE, 4, 8},
    {"level4 pcid", cr4::kPAE | cr4::kPGE | cr4::kPCIDE, efer::kLME | efer::kNXE, 4, 8},
    {"level5", cr4::kPAE | cr4::kPGE | cr4::kLA57, efer::kLME | efer::kNXE, 5, 8},
};

// All tables come from a small pool, so that they are shared, aliased and self-referencing.
class Scenario {
 public:
  Scenario(const Mode& mode, absl::string_view preset, uint64_t seed)
      : mode_(mode), random_(seed), cpu_(m_.mmu, m_.p2m, parts(preset, {.maxphyaddr = 40})) {
    for (uint64_t& t : tables_) t = m_.frame();
    for (const uint64_t t : tables_) {
      for (unsigned slot : kSlots) write(t, slot, random_entry());
    }
    load_cr3();
    EXPECT_TRUE(cpu_.write_controls(kCr0, mode.cr4, mode.efer)) << mode.name;
    if (mode.cr4 & cr4::kPCIDE) load_cr3();
  }

  void run(unsigned steps) {
    for (unsigned i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      switch (random_.below(12)) {
        case 0: edit(); break;
        case 1:
          if (random_.percent(20)) load_cr3();
          break;
        case 2:
          if (random_.percent(10)) (void)m_.p2m.remap(Gpa(0x20'0000 + (random_.below(64) << 12)));
          break;
        default: check(address());
      }
    }
  }
  uint64_t translated = 0, faults = 0;
  uint64_t cached_starts() {
    WalkCaches* c = cpu_.walk_caches();
    uint64_t n = 0;
    if (c != nullptr) for (const uint64_t hits : c->statistics().guest_hits) n += hits;
    return n;
  }

 private:
  static constexpr std::array<unsigned, 3> kSlots = {0, 1, 3};

  unsigned bits() const { return mode_.entry_bytes == 4 ? 10 : 9; }
  void write(uint64_t table, unsigned slot, uint64_t value) {
    m_.put(table + slot * mode_.entry_bytes, value, mode_.entry_bytes);
  }
  uint64_t random_entry() {
    if (random_.percent(5)) return random_.next() & ~uint64_t{1};
    uint64_t e = pte::kPresent | pte::kAccessed;
    if (random_.percent(95)) e |= pte::kWritable;
    if (random_.percent(95)) e |= pte::kUser;
    if (random_.percent(15)) e |= pte::kLarge;
    if (mode_.entry_bytes == 8 && random_.percent(5)) e |= pte::kNoExecute;
    if (random_.percent(1)) e |= uint64_t{1} << 45;
    return e | (random_.percent(85) ? random_.pick(tables_) : 0x20'0000 + (random_.below(64) << 12));
  }
  Gva address() {
    uint64_t va = random_.below(4096);
    for (unsigned level = 1; level <= mode_.levels; ++level) {
      va |= uint64_t{random_.pick(kSlots)} << (12 + bits() * (level - 1));
    }
    return Gva(va);
  }
  void load_cr3() {
    uint64_t value = random_.pick(tables_);
    if (mode_.levels == 3) {
      for (unsigned i = 0; i < 4; ++i) m_.put(root_ + 8 * i, random_.pick(tables_) | pte::kPresent);
      value = root_;
    }
    if ((cpu_.controls().cr4 & cr4::kPCIDE) != 0) value |= random_.below(3);
    EXPECT_TRUE(cpu_.write_cr3(value));
  }
  // Tables are shared between addresses and PCIDs: everything goes.
  void edit() {
    write(random_.pick(tables_), random_.pick(kSlots), random_entry());
    for (const uint64_t toggled : {cr4::kPGE, uint64_t{0}}) {
      EXPECT_TRUE(cpu_.write_controls(kCr0, mode_.cr4 & ~toggled, mode_.efer));
    }
  }
  void check(Gva va) {
    Access access{static_cast<AccessOp>(random_.below(3)), static_cast<Privilege>(random_.below(3))};
    access = access.with_probe(true);
    const Translation want = m_.mmu.miss(cpu_.state(), va, access);
    access = access.with_probe(false);
    const Translation got = cpu_.access(va, access);
    ASSERT_EQ(got.outcome, want.outcome) << to_string(va) << " " << to_string(want);
    ASSERT_EQ(got.error_code, want.error_code) << to_string(va);
    ASSERT_EQ(got.level, want.level) << to_string(va);
    ++(got.ok() ? translated : faults);
    if (!got.ok()) return;
    ASSERT_EQ(got.gpa, want.gpa) << to_string(va);
    ASSERT_EQ(got.hpa, m_.p2m.lookup(got.gpa).frame().with_offset(PageSize::k4K, va.value()));
    ASSERT_EQ(got.rights, want.rights);
    if (access.write()) {
      ASSERT_TRUE(m_.mmu.miss(cpu_.state(), va, {access.op(), access.by(), true}).dirty);
    }
  }

  const Mode& mode_;
  Random random_;
  Machine m_;
  std::array<uint64_t, 12> tables_{};
  uint64_t root_ = m_.frame();
  Vcpu<NativeMmu> cpu_;
};

TEST(VcpuCoherence, CachesNeverChangeAnAnswer) {
  uint64_t translated = 0, faults = 0, cached = 0;
  for (const Mode& mode : kModes) {
    for (const absl::string_view preset : {"tiny", "skylake", "zen4", "icelake", "none"}) {
      for (uint64_t seed = 1; seed <= (small_scale() ? 2 : 8); ++seed) {
        SCOPED_TRACE(absl::StrCat(mode.name, " ", preset, " seed ", seed));
        Scenario s(mode, preset, seed);
        s.run(4000);
        if (HasFailure()) return;
        translated += s.translated;
        faults += s.faults;
        cached += s.cached_starts();
      }
    }
  }
  EXPECT_GT(cached, 1000u);
  std::printf("%lu translated, %lu faults, %lu walks from a cached table\n",
              static_cast<unsigned long>(translated), static_cast<unsigned long>(faults),
              static_cast<unsigned long>(cached));
}

// One thread uses pages whose frames another thread moves about: every load sees the page's own
// mark.
TEST(VcpuThreads, RevokedTranslationsAreNotUsed) {
  Machine m(/*threaded=*/true);
  const uint64_t root = m.frame();
  constexpr uint64_t kPages = 16;
  for (uint64_t i = 0; i < kPages; ++i) {
    m.map(root, 0x10'0000 + (i << 12), (0x20'0000 + (i << 12)) | kRw);
    m.put(0x20'0000 + (i << 12), i);
  }
  Vcpu<NativeMmu> cpu(m.mmu, m.p2m, parts("skylake"));
  ASSERT_TRUE(cpu.write_controls(kCr0, kCr4, kEfer));
  ASSERT_TRUE(cpu.write_cr3(root));
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> loads{0};
  uint64_t wrong = 0;
  std::thread guest([&] {
    cpu.enter_guest();
    Random random(1);
    while (!stop.load(std::memory_order_relaxed)) {
      const uint64_t i = random.below(kPages);
      const Gva at(0x10'0000 + (i << 12));
      const MemoryResult r = cpu.load(at, 8, kRead);
      wrong += !r.done() || r.value % 1024 != i;
      wrong += !cpu.store(at, 8, r.value + 1024, kWrite).done();
      ++loads;
    }
    cpu.leave_guest();
  });
  Random random(2);
  const unsigned moves = small_scale() ? 50 : 300;
  for (unsigned n = 0; n < moves; ++n) {
    const uint64_t seen = loads;
    while (loads == seen) std::this_thread::yield();
    const VmGuard guard(m.p2m.lock());
    ASSERT_TRUE(m.p2m.remap(Gpa(0x20'0000 + (random.below(kPages) << 12))).ok());
  }
  stop = true;
  guest.join();
  EXPECT_EQ(wrong, 0u);
  uint64_t stores = 0;
  for (uint64_t i = 0; i < kPages; ++i) stores += m.get(0x20'0000 + (i << 12)) / 1024;
  EXPECT_EQ(stores, loads.load()) << "a store went to a frame that had been taken away";
  std::printf("%u moves, %lu loads and stores\n", moves, static_cast<unsigned long>(loads.load()));
}

}  // namespace
}  // namespace gnomon::vcpu_test
