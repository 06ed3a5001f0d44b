// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>

#include "gnomon/x86/guest_walk.h"
#include "mmu/native/native.h"
#include "tests/naive/naive_mmu.h"
#include "tests/support/scale.h"

// Tables of random garbage in a guest of a few frames, where self-references, aliases, holes, MMIO,
// read-only and ballooned tables are the rule: the processor's walk and the naive model must end alike
// and leave memory alike.

namespace gnomon {
namespace {

class SplitMix {
 public:
  explicit SplitMix(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e37'79b9'7f4a'7c15;
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t n) { return next() % n; }
  bool one_in(uint64_t n) { return below(n) == 0; }

 private:
  uint64_t state_;
};

constexpr uint64_t kFrames = 16;        // RAM at 0
constexpr uint64_t kRom = 0x40'0000;    // 4 frames, far enough for large pages to reach
constexpr uint64_t kMmio = 0x60'0000;   // 2 frames

class RandomGuest {
 public:
  explicit RandomGuest(uint64_t seed)
      : random_(seed), host_(HostMemory::create(4_MiB).value()), p2m_(*host_), mmu_(p2m_) {
    SlotOptions rom;
    rom.rom = true;
    EXPECT_TRUE(p2m_.add_slot(Gpa(0), kFrames << 12).ok());
    EXPECT_TRUE(p2m_.add_slot(Gpa(kRom), 4 << 12, rom).ok());
    EXPECT_TRUE(p2m_.add_mmio(Gpa(kMmio), 2 << 12).ok());
    CpuModel model;
    model.maxphyaddr = static_cast<uint8_t>(32 + random_.below(21));
    model.pse36 = !random_.one_in(4);
    model.gb_pages = !random_.one_in(4);
    model.accessed_before_fault = random_.one_in(2);
    model.pdptes_in_memory = random_.one_in(2);
    cpu_ = std::make_unique<VcpuState>(0, model);
    mmu_.attach(*cpu_);
    for (uint64_t frame = 0; frame < kFrames + 4; ++frame) {
      const Gpa base(frame < kFrames ? frame << 12 : kRom + ((frame - kFrames) << 12));
      if (random_.one_in(16)) continue;  // stays lazy
      p2m_.back(base);
      // Few distinct indices are used below, so these entries are the ones that matter.
      for (const uint64_t at : {0u, 8u, 16u, 24u, 4080u, 4088u}) {
        const uint64_t entry = random_entry();
        std::memcpy(p2m_.ram_at(Gpa(base.value() + at)), &entry, 8);
      }
    }
    if (random_.one_in(2)) {
      EXPECT_TRUE(p2m_.balloon(Gpa(random_.below(kFrames) << 12)).ok());
    }
  }
  ~RandomGuest() { mmu_.detach(*cpu_); }

  void run(int accesses, uint64_t& faults, uint64_t& translated) {
    for (int i = 0; i < accesses; ++i) {
      if (i % 8 == 0) change_controls();
      Controls& c = cpu_->controls;
      c.ac = random_.one_in(2);
      c.pkru = static_cast<uint32_t>(random_.next() & random_.next());
      update_access_rules(cpu_->rules, c.ac, c.pkru);
      const Gva va = random_address();
      const Access access{static_cast<AccessOp>(random_.below(3)),
                          static_cast<Privilege>(random_.below(3)), random_.one_in(4)};
      compare(va, access);
      if (testing::Test::HasFailure()) return;
      ++(last_ok_ ? translated : faults);
    }
  }

 private:
  uint64_t random_frame() {
    const uint64_t pick = random_.below(80);
    if (pick < 70) return random_.below(kFrames) << 12;
    if (pick < 76) return kRom + (random_.below(4) << 12);
    if (pick < 78) return kMmio + (random_.below(2) << 12);
    return random_.next() & 0x000f'ffff'ffff'f000;
  }
  uint64_t random_entry() {
    uint64_t e = random_frame() | 7;
    for (const unsigned bit : {0u, 1u, 2u}) {
      if (random_.one_in(20)) e &= ~(uint64_t{1} << bit);
    }
    e |= random_.next() & 0x060;                            // A, D
    if (random_.one_in(6)) e |= 0x80;                       // PS
    if (random_.one_in(20)) e |= uint64_t{1} << 63;         // XD
    if (random_.one_in(3)) e |= random_.below(16) << 59;    // key
    if (random_.one_in(24)) e |= uint64_t{1} << random_.below(64);
    if (random_.one_in(3)) e |= 0x100;                      // G
    return e;
  }
  Gva random_address() {
    uint64_t va = 0;
    const bool legacy = cpu_->rules.mode == PagingMode::kLegacy32;
    const unsigned index_bits = legacy ? 10 : 9;
    for (unsigned level = 0; level < 5; ++level) {
      const uint64_t choice[] = {0, 1, 2, 3, 510, 511};
      va |= (choice[random_.below(6)] << (12 + index_bits * level));
    }
    va |= random_.below(4096);
    switch (cpu_->rules.mode) {
      case PagingMode::kLevel4: va = static_cast<uint64_t>(static_cast<int64_t>(va << 16) >> 16); break;
      case PagingMode::kLevel5: va = static_cast<uint64_t>(static_cast<int64_t>(va << 7) >> 7); break;
      case PagingMode::kOff: va = random_frame() | (va & 0xfff); break;
      default: va &= 0xffff'ffff;
    }
    if (random_.one_in(64)) va ^= uint64_t{1} << random_.below(64);
    return Gva(va);
  }
  void change_controls() {
    Controls& c = cpu_->controls;
    const uint64_t r = random_.next();
    const auto when = [&](unsigned n, uint64_t bits) { return (r >> n & 1) != 0 ? bits : 0; };
    c.cr0 = cr0::kPE | when(0, cr0::kWP) | (random_.one_in(32) ? 0 : cr0::kPG);
    c.cr4 = when(1, cr4::kPSE) | when(2, cr4::kPGE) | when(3, cr4::kLA57) | when(4, cr4::kSMEP) |
            when(5, cr4::kSMAP) | when(6, cr4::kPKE) | when(7, cr4::kPCIDE) |
            (random_.one_in(6) ? 0 : cr4::kPAE);
    c.efer = when(8, efer::kNXE) | (random_.one_in(4) ? 0 : efer::kLMA | efer::kLME);
    c.cr3 = random_frame() | (random_.next() & 0xfff & ~uint64_t{0x18});
    for (uint64_t& pdpte : c.pdpte) pdpte = (random_frame() & 0xffff'f000) | (random_.one_in(5) ? 0 : 1);
    cpu_->update_rules();
  }
  std::vector<uint8_t> memory() const {
    std::vector<uint8_t> bytes;
    for (uint64_t frame = 0; frame < kFrames + 4; ++frame) {
      const uint8_t* at = p2m_.ram_at(Gpa(frame < kFrames ? frame << 12 : kRom + ((frame - kFrames) << 12)));
      for (const unsigned offset : {0u, 4080u}) {
        for (unsigned i = 0; i < 32 && offset + i < 4096; ++i) bytes.push_back(at == nullptr ? 0 : at[offset + i]);
      }
    }
    return bytes;
  }
  void compare(Gva va, Access access) {
    const NaiveResult expected =
        NaiveMmu(p2m_).translate(cpu_->controls, cpu_->cpu, va, access, /*commit=*/false);
    const std::vector<uint8_t> before = memory();
    const Translation got = mmu_.miss(*cpu_, va, access);
    last_ok_ = got.ok();
    SCOPED_TRACE(testing::Message() << to_string(access) << " of " << to_string(va) << ", "
                                    << name_of(cpu_->rules.mode));
    if (access.probe()) {
      EXPECT_EQ(memory(), before);
      EXPECT_EQ(got.outcome, expected.outcome) << to_string(got) << to_string(expected);
      EXPECT_EQ(got.error_code, expected.error_code);
      EXPECT_EQ(got.cause, expected.cause);
      return;
    }
    EXPECT_EQ(difference(expected, got, p2m_), "");
    if (got.ok()) {
      EXPECT_EQ(got.rights, expected.rights);
      EXPECT_EQ(got.dirty, expected.dirty && !p2m_.lookup(got.gpa).rom());
      EXPECT_EQ(got.key, expected.key);
      EXPECT_EQ(got.global, expected.global);
      if (cpu_->rules.mode != PagingMode::kOff) {
        EXPECT_EQ(got.splintered, got.size < expected.guest_size);
      }
    }
    for (unsigned i = 0; i < expected.update_count; ++i) {
      const NaiveResult::Update& u = expected.updates[i];
      bool last = true;  // the same entry may be updated twice: as a pointer, then as a page
      for (unsigned j = i + 1; j < expected.update_count; ++j) last &= expected.updates[j].at != u.at;
      if (last) {
        EXPECT_EQ(*p2m_.ram_at(u.at), static_cast<uint8_t>(u.after)) << to_string(u.at);
      }
    }
    if (expected.update_count == 0) {
      EXPECT_EQ(memory(), before);
    }
  }

  SplitMix random_;
  std::unique_ptr<HostMemory> host_;
  P2m p2m_;
  NativeMmu mmu_;
  std::unique_ptr<VcpuState> cpu_;
  bool last_ok_ = false;
};

TEST(RandomWalk, NativeAgreesWithNaive) {
  const uint64_t guests = by_scale(300, 3000, 30'000);
  uint64_t faults = 0, translated = 0;
  for (uint64_t seed = 1; seed <= guests && !HasFailure(); ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RandomGuest(seed).run(220, faults, translated);
  }
  RecordProperty("translated", std::to_string(translated));
  RecordProperty("faults", std::to_string(faults));
  std::printf("  %lu guests, %lu translated, %lu not\n", static_cast<unsigned long>(guests),
              static_cast<unsigned long>(translated), static_cast<unsigned long>(faults));
  EXPECT_GT(translated, guests * 20);
  EXPECT_GT(faults, guests * 20);
}

}  // namespace
}  // namespace gnomon
