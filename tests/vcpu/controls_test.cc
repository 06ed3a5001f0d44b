// SPDX-License-Identifier: Apache-2.0
#include "gtest/gtest.h"
#include "tests/vcpu/machine.h"

// Which changes of control registers raise #GP (SDM vol. 3, 2.5, 4.1.1, 4.10.1, 10.8.5), and what
// the legal ones leave behind.

namespace gnomon::vcpu_test {
namespace {

struct Setting {
  bool pe, pg, pae, lme, la57, pcide;

  static Setting number(unsigned n) {
    return {(n & 1) != 0, (n & 2) != 0, (n & 4) != 0, (n & 8) != 0, (n & 16) != 0, (n & 32) != 0};
  }
  uint64_t cr0() const { return (pe ? cr0::kPE : 0) | (pg ? cr0::kPG : 0); }
  uint64_t cr4() const {
    return (pae ? cr4::kPAE : 0) | (la57 ? cr4::kLA57 : 0) | (pcide ? cr4::kPCIDE : 0);
  }
  uint64_t efer() const { return lme ? efer::kLME : 0; }
  bool long_mode() const { return pg && lme; }
  bool possible() const { return (!pg || pe) && (!long_mode() || pae) && (!pcide || long_mode()); }
  PagingMode mode() const {
    if (!pg) return PagingMode::kOff;
    if (!pae) return PagingMode::kLegacy32;
    if (!lme) return PagingMode::kPae;
    return la57 ? PagingMode::kLevel5 : PagingMode::kLevel4;
  }
};

TEST(VcpuControls, EveryPairOfSettings) {
  unsigned legal = 0, refused = 0;
  Machine m;
  for (unsigned from = 0; from < 64; ++from) {
    const Setting a = Setting::number(from);
    if (!a.possible()) {
      Vcpu<NativeMmu> cpu(m.mmu, m.p2m, parts("none"));
      EXPECT_FALSE(cpu.write_controls(a.cr0(), a.cr4(), a.efer())) << from;
      continue;
    }
    for (unsigned to = 0; to < 64; ++to) {
      const Setting b = Setting::number(to);
      Vcpu<NativeMmu> cpu(m.mmu, m.p2m, parts("none"));
      ASSERT_TRUE(cpu.write_controls(a.cr0(), a.cr4(), a.efer())) << from;
      const bool expected = b.possible() && !(a.pg && b.pg && a.lme != b.lme) &&
                            !(a.long_mode() && b.long_mode() && a.la57 != b.la57);
      const Controls before = cpu.controls();
      ASSERT_EQ(cpu.write_controls(b.cr0(), b.cr4(), b.efer()), expected) << from << " to " << to;
      ++(expected ? legal : refused);
      if (!expected) {
        EXPECT_EQ(cpu.controls(), before);
        continue;
      }
      EXPECT_EQ(cpu.state().rules.mode, b.mode()) << from << " to " << to;
      EXPECT_EQ((cpu.controls().efer & efer::kLMA) != 0, b.long_mode());
    }
  }
  std::printf("%u legal changes, %u refused\n", legal, refused);
}

TEST(VcpuControls, UpperHalfOfCr0) {
  Machine m;
  Vcpu<> cpu(m.mmu, m.p2m);
  EXPECT_FALSE(cpu.write_controls(uint64_t{1} << 32, 0, 0));
  EXPECT_TRUE(cpu.write_controls(0, 0, efer::kLMA));
  EXPECT_EQ(cpu.controls().efer, 0u) << "LMA is computed";
}

TEST(VcpuControls, ReservedBitsOfCr3) {
  Machine m;
  Vcpu<> cpu(m.mmu, m.p2m, parts("none", {.maxphyaddr = 40}));
  EXPECT_FALSE(cpu.write_cr3(uint64_t{1} << 32)) << "outside long mode";
  ASSERT_TRUE(cpu.write_controls(kCr0, kCr4, kEfer));
  EXPECT_TRUE(cpu.write_cr3(uint64_t{1} << 39));
  EXPECT_FALSE(cpu.write_cr3(uint64_t{1} << 40));
  EXPECT_FALSE(cpu.write_cr3(cr3::kNoFlush)) << "without PCIDE";
  EXPECT_EQ(cpu.controls().cr3, uint64_t{1} << 39);
}

TEST(VcpuControls, PaeLoadsItsPointersFromMemory) {
  Machine m;
  const uint64_t good = m.frame(), bad = m.frame();
  for (unsigned i = 0; i < 4; ++i) m.put(good + 32 + 8 * i, m.frame() | pte::kPresent);
  m.put(bad, 0x2 | pte::kPresent);  // reserved bit 1
  Vcpu<> cpu(m.mmu, m.p2m, parts("tiny"));
  ASSERT_TRUE(cpu.write_cr3(bad));
  const Controls off = cpu.controls();
  EXPECT_FALSE(cpu.write_controls(cr0::kPE | cr0::kPG, cr4::kPAE, 0));
  EXPECT_EQ(cpu.controls(), off);
  ASSERT_TRUE(cpu.write_cr3(good + 32));
  ASSERT_TRUE(cpu.write_controls(cr0::kPE | cr0::kPG, cr4::kPAE, 0));
  EXPECT_EQ(cpu.controls().pdpte[3], m.get(good + 32 + 24));
  const Controls on = cpu.controls();
  EXPECT_FALSE(cpu.write_cr3(bad));
  EXPECT_FALSE(cpu.write_cr3(0x8000'0000)) << "not in RAM";
  EXPECT_EQ(cpu.controls(), on);
  m.put(good + 32, 0);
  EXPECT_TRUE(cpu.access(Gva(0x1000), kRead).error_code == pf::kUser);
  EXPECT_NE(cpu.controls().pdpte[0], 0u) << "registers, until CR3 is loaded";
  EXPECT_TRUE(cpu.write_cr3(good + 32));
  EXPECT_EQ(cpu.controls().pdpte[0], 0u);
}

}  // namespace
}  // namespace gnomon::vcpu_test
