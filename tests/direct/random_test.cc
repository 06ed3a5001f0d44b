// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "mmu/native/native.h"
#include "tests/direct/fixture.h"
#include "tests/scenario/random.h"
#include "tests/support/scale.h"

// Two machines, one native and one under direct paging, live the same life: each update that direct paging
// accepts is made on both, and they must agree on every access, on what the guest reads from its tables
// (so on each accessed and dirty flag) and on the dirty log, whatever the host does to their frames.

namespace gnomon::direct_test {
namespace {

using scenario::Random;

constexpr uint64_t kFrames = 48;
constexpr std::array<unsigned, 4> kSlots = {0, 1, 2, 511};
// The frames a tidy guest uses for each level; level 0 is data.
struct Pool { uint64_t first, count; };
constexpr Pool kPools[] = {{23, 25}, {15, 8}, {9, 6}, {5, 4}, {1, 4}};

template <class Mmu>
struct Machine {
  Machine(const CpuModel& model, uint64_t taken) : cpu(0, model) {
    host = std::move(HostMemory::create(64_MiB).value());
    p2m = std::make_unique<P2m>(*host);
    for (uint64_t i = 0; i < taken; ++i) (void)host->allocate(FrameOwner::kVmm);
    SlotOptions small, large, rom;
    small.lazy = large.lazy = rom.lazy = false;
    large.backing = PageSize::k2M;
    rom.rom = true;
    EXPECT_TRUE(p2m->add_slot(Gpa(0), kFrames << 12, small).ok());
    EXPECT_TRUE(p2m->add_slot(Gpa(kLargeBase), kLargeBytes, large).ok());
    EXPECT_TRUE(p2m->add_slot(Gpa::from_frame(kRomFrame), 4 << 12, rom).ok());
    EXPECT_TRUE(p2m->add_mmio(Gpa::from_frame(kMmioFrame), 4 << 12).ok());
  }
  std::unique_ptr<HostMemory> host;
  std::unique_ptr<P2m> p2m;
  VcpuState cpu;
  std::unique_ptr<Mmu> mmu;
};

class Twins {
 public:
  Twins(uint64_t seed, const DirectOptions& options, const CpuModel& model)
      : random_(seed), d_(model, 7), n_(model, 0) {
    d_.mmu = std::make_unique<DirectMmu>(*d_.p2m, options);
    n_.mmu = std::make_unique<NativeMmu>(*n_.p2m);
    d_.mmu->attach(d_.cpu);
    n_.mmu->attach(n_.cpu);
    tidy_up();
    change_controls();
    load_root();
  }
  ~Twins() {
    d_.mmu->detach(d_.cpu);
    n_.mmu->detach(n_.cpu);
  }

  void step() {
    const uint64_t what = random_.below(1000);
    if (what < 500) {
      access();
    } else if (what < 800) {
      update();
    } else if (what < 880) {
      read_back(Gpa(random_.below(kFrames) << 12 | random_.pick(kSlots) * 8u));
    } else if (what < 920) {
      load_root();
    } else if (what < 950) {
      change_controls();
    } else {
      change_host(what);
    }
    const std::vector<AuditFinding> findings = d_.mmu->audit();
    for (const AuditFinding& f : findings) ADD_FAILURE() << f.invariant << ": " << f.text;
  }

  void compare_memory() {
    for (uint64_t f = 0; f < kFrames; ++f) {
      for (unsigned slot = 0; slot < 512; ++slot) read_back(Gpa(f << 12 | slot * 8u));
    }
  }

  uint64_t accesses = 0, translated = 0, updates = 0, refused = 0, roots = 0, roots_refused = 0;
  const Counters& counters() const { return d_.cpu.counters; }

 private:
  template <class F>
  void both(F&& f) {
    f(d_);
    f(n_);
  }

  uint64_t any_frame() {
    if (random_.percent(85)) return random_.below(kFrames);
    return random_.pick(std::array<uint64_t, 7>{kRomFrame, kMmioFrame, kHoleFrame, 1024, 1024 + 512,
                                                1024 + 3, uint64_t{1} << 36});
  }
  uint64_t flags() {
    uint64_t f = kP | kU;
    if (random_.percent(40)) f |= random_.next() & (kA | kD | 0x18 | 0x100 | 0xe00);
    if (random_.percent(5)) f &= ~kU;
    if (random_.percent(4)) f &= ~kP;
    if (random_.percent(3)) f |= pte::kNoExecute;
    if (random_.percent(10)) f |= random_.below(16) << pte::kKeyShift;
    return f;
  }
  // What a sensible guest writes into frame `f`, given the pool it is in.
  uint64_t tidy_entry(uint64_t f) {
    unsigned level = 0;
    for (unsigned l = 1; l <= 4; ++l) {
      if (f - kPools[l].first < kPools[l].count) level = l;
    }
    if (level == 0) return random_.next() & ~kP;
    if (level == 4 && random_.percent(5)) return f << 12 | flags();
    if (level == 2 && random_.percent(20)) {
      return (kLargeBase + random_.below(2) * 2_MiB) | flags() | kPS | (random_.percent(60) ? kW : 0);
    }
    const Pool pool = kPools[level - 1];
    const bool table_read_only = level == 1 && random_.percent(20);
    const uint64_t target = table_read_only ? random_.below(kFrames) : pool.first + random_.below(pool.count);
    return target << 12 | flags() | (!table_read_only && random_.percent(80) ? kW : 0);
  }
  // Nonsense goes mostly where it is checked at once: elsewhere it would keep all roots from loading.
  uint64_t any_entry(uint64_t f) {
    if (random_.percent(is_table(d_.mmu->type_of(Gpa::from_frame(f))) ? 50 : 99)) return tidy_entry(f);
    if (random_.percent(10)) return random_.next();
    return any_frame() << 12 | flags() | (random_.percent(50) ? kW : 0) | (random_.percent(10) ? kPS : 0);
  }

  bool store(Gpa at, uint64_t value, unsigned size) {
    const StoreResult direct = d_.mmu->write_physical(d_.cpu, at, value, size);
    ++updates;
    if (direct == StoreResult::kRefused) {
      ++refused;
      return false;
    }
    const StoreResult native = n_.mmu->write_physical(n_.cpu, at, value, size);
    EXPECT_EQ(static_cast<int>(direct), static_cast<int>(native)) << to_string(at);
    return direct == StoreResult::kDone;
  }
  void update() {
    const uint64_t f = random_.percent(95) ? 1 + random_.below(kFrames - 1) : any_frame();
    uint64_t at = f << 12 | random_.pick(kSlots) * 8u;
    unsigned size = 8;
    uint64_t value = any_entry(f);
    if (random_.percent(is_table(d_.mmu->type_of(Gpa::from_frame(f))) ? 20 : 1)) {
      size = 1 + static_cast<unsigned>(random_.below(8));
      at = f << 12 | std::min<uint64_t>((at & 0xfff) + random_.below(12), 4096 - size);
      if (random_.percent(50)) value = random_.below(4);
    }
    store(Gpa(at), value, size);
  }
  void read_back(Gpa at) {
    uint64_t direct = 0, native = 0;
    const bool d = d_.mmu->read_physical(d_.cpu, at, 8, direct);
    const bool n = n_.mmu->read_physical(n_.cpu, at, 8, native);
    ASSERT_EQ(d, n) << to_string(at);
    ASSERT_EQ(direct, native) << to_string(at) << " type "
                              << static_cast<int>(d_.mmu->type_of(at));
  }

  void load_root() {
    const uint64_t f = random_.percent(90) ? 1 + random_.below(4) : any_frame();
    both([&](auto& m) {
      m.cpu.controls.cr3 = f << 12;
      m.mmu->cr3_loaded(m.cpu, true);
    });
    ++roots;
    note_live();
    if (live_) return;
    ++roots_refused;
    deflate_some(*d_.p2m);
    deflate_some(*n_.p2m);
    tidy_up();
  }
  void tidy_up() {
    for (uint64_t f = 1; f < kPools[0].first; ++f) {
      for (const unsigned slot : kSlots) store(Gpa(f << 12 | slot * 8u), tidy_entry(f), 8);
    }
  }
  void change_controls() {
    Controls c = level4_controls();
    c.cr3 = d_.cpu.controls.cr3;
    if (random_.percent(30)) c.cr0 &= ~cr0::kWP;
    if (random_.percent(4)) c.efer &= ~efer::kNXE;
    for (const uint64_t bit : {cr4::kSMEP, cr4::kSMAP, cr4::kPKE, cr4::kPGE}) {
      if (random_.percent(30)) c.cr4 |= bit;
    }
    c.pkru = static_cast<uint32_t>(random_.next() & random_.next() & random_.next());
    c.ac = random_.percent(50);
    both([&](auto& m) {
      const PagingRules before = m.cpu.rules;
      m.cpu.controls = c;
      m.cpu.update_rules();
      m.mmu->controls_changed(m.cpu, before);
    });
    note_live();
  }
  // A refused root shows in every access; then there is nothing to compare until another one is loaded.
  void note_live() {
    const Translation t = d_.mmu->miss(d_.cpu, Gva(0), {AccessOp::kRead, Privilege::kUser, true});
    live_ = t.outcome != Outcome::kHostViolation || t.cause != HostCause::kNone;
    if (live_) return;
    EXPECT_EQ(t.level, 4);
    const Translation again = d_.mmu->miss(d_.cpu, Gva(0x1000), kUserWrite);
    EXPECT_EQ(again, t);
  }

  uint64_t any_va() {
    uint64_t va = 0;
    for (unsigned level = 1; level <= 4; ++level) {
      va |= uint64_t{random_.pick(kSlots)} << Long4::shift(level);
    }
    if (random_.percent(1)) return random_.next();
    return static_cast<uint64_t>(static_cast<int64_t>(va << 16) >> 16) | random_.below(512) * 8;
  }
  void access() {
    if (!live_) return;
    const uint64_t va = any_va();
    const Access access{static_cast<AccessOp>(random_.below(3)), static_cast<Privilege>(random_.below(3)),
                        random_.percent(10)};
    const Translation d = d_.mmu->miss(d_.cpu, Gva(va), access);
    const Translation n = n_.mmu->miss(n_.cpu, Gva(va), access);
    ++accesses;
    const std::string what = absl::StrCat(absl::Hex(va), " ", to_string(access), "\n direct: ",
                                          to_string(d), "\n native: ", to_string(n));
    ASSERT_EQ(d.outcome, n.outcome) << what;
    ASSERT_EQ(d.cause, n.cause) << what;
    ASSERT_EQ(d.level, n.level) << what;
    ASSERT_EQ(d.error_code, n.error_code) << what;
    ASSERT_EQ(d.gpa, n.gpa) << what;
    if (!d.ok()) return;
    ++translated;
    ASSERT_EQ(d.key, n.key) << what;
    ASSERT_EQ(d.global, n.global) << what;
    ASSERT_EQ(d.rights | kRightWrite, n.rights | kRightWrite) << what;
    ASSERT_LE(d.rights & kRightWrite, n.rights & kRightWrite) << what;
    ASSERT_EQ(d.trapped, is_table(d_.mmu->type_of(d.gpa))) << what;
    const P2mEntry e = d_.p2m->lookup(d.gpa);
    if (e.is_ram()) {
      ASSERT_EQ(d.hpa.page_base(), access.probe() && d.hpa == Hpa() ? Hpa() : e.frame()) << what;
    }
    if (!access.probe()) {
      ASSERT_EQ(d.size, n.size) << what;
    }
    if (access.write() && !access.probe()) store_through(d, n);
  }
  // The store that was translated, as an executor makes it.
  void store_through(const Translation& d, const Translation& n) {
    const uint64_t value = any_entry(d.gpa.frame());
    if (d.trapped) {
      store(d.gpa, value, 8);
      return;
    }
    std::memcpy(d_.host->at(d.hpa), &value, 8);
    std::memcpy(n_.host->at(n.hpa), &value, 8);
  }

  void change_host(uint64_t what) {
    const Gpa gpa = Gpa::from_frame(random_.percent(70) ? random_.below(kFrames)
                                                       : (kLargeBase >> 12) + random_.below(1024));
    const Gpa first = Gpa::from_frame(random_.percent(80) ? random_.below(kFrames) : kLargeBase >> 12);
    const uint64_t frames = 1 + random_.below(random_.percent(20) ? 600 : 8);
    std::vector<std::vector<Gpa>> dirty;
    both([&](auto& m) {
      switch (what % 10) {
        case 0: case 1: case 2: (void)m.p2m->remap(gpa); break;
        case 3: (void)m.p2m->balloon(gpa); break;
        case 4: case 5: deflate_some(*m.p2m); break;
        case 6: (void)m.p2m->promote(Gpa(kLargeBase + (gpa.value() & kLargeBytes / 2))); break;
        case 7: m.p2m->start_dirty_log(first, frames); break;
        case 8: dirty.push_back(m.p2m->take_dirty(Gpa(0), 0x4000)); break;
        case 9: what % 20 == 9 ? (void)m.p2m->split(gpa) : m.p2m->stop_dirty_log(first, frames); break;
      }
    });
    if (!dirty.empty()) {
      ASSERT_EQ(dirty[0], dirty[1]);
    }
  }
  static void deflate_some(P2m& p2m) {
    for (uint64_t f = 0; f < kFrames; ++f) (void)p2m.deflate(Gpa::from_frame(f));
    for (uint64_t f = 1024; f < 2048; ++f) (void)p2m.deflate(Gpa::from_frame(f));
  }

  Random random_;
  Machine<DirectMmu> d_;
  Machine<NativeMmu> n_;
  bool live_ = false;
};

uint64_t steps() { return by_scale(4'000, 60'000, 1'000'000); }

class DirectRandom : public ::testing::TestWithParam<int> {};

TEST_P(DirectRandom, AgreesWithNative) {
  DirectOptions options;
  options.pins = GetParam() % 2 == 0 ? 2 : 64;
  options.trap = GetParam() % 3 == 1;
  CpuModel model;
  model.accessed_before_fault = GetParam() < 2;
  const char* seed = std::getenv("GNOMON_TEST_SEED");
  Twins twins(seed ? std::strtoull(seed, nullptr, 0) : 0x6e6f6d6f + static_cast<uint64_t>(GetParam()),
              options, model);
  for (uint64_t i = 0; i < steps(); ++i) {
    twins.step();
    if (i % 2000 == 1999) twins.compare_memory();
    if (HasFailure()) FAIL() << "at step " << i;
  }
  twins.compare_memory();
  const Counters& c = twins.counters();
  std::printf("steps %lu accesses %lu translated %lu updates %lu refused %lu roots %lu refused %lu "
              "hidden %lu emulated %lu reflected %lu\n",
              steps(), twins.accesses, twins.translated, twins.updates, twins.refused, twins.roots,
              twins.roots_refused, c[Counter::kHiddenFaults], c[Counter::kEmulatedAccesses],
              c[Counter::kReflectedFaults]);
  // The run must have been about something; a short one may have spent itself on one refused root.
  if (steps() < 60'000) return;
  EXPECT_GT(twins.translated, steps() / 50);
  EXPECT_GT(twins.roots, twins.roots_refused * 5 / 4);
  EXPECT_GT(c[Counter::kHiddenFaults], steps() / 1000);
  EXPECT_GT(twins.refused, steps() / 200);
}

INSTANTIATE_TEST_SUITE_P(Seeds, DirectRandom, ::testing::Range(0, 4));

}  // namespace
}  // namespace gnomon::direct_test
