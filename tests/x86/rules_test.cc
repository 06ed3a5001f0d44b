// SPDX-License-Identifier: Apache-2.0
#include "gnomon/x86/rules.h"

#include <gtest/gtest.h>

#include <vector>

namespace gnomon {
namespace {

/// Every setting of the control bits that derive_rules reads.
std::vector<Controls> all_controls() {
  constexpr uint64_t kCr4[] = {cr4::kPSE, cr4::kPAE,  cr4::kPGE,  cr4::kLA57,
                               cr4::kSMEP, cr4::kSMAP, cr4::kPKE, cr4::kPCIDE};
  std::vector<Controls> all;
  for (unsigned flags = 0; flags < 1u << 12; ++flags) {
    Controls c;
    c.cr0 = cr0::kPE | ((flags & 1) != 0 ? cr0::kPG : 0) | ((flags & 2) != 0 ? cr0::kWP : 0);
    c.efer = ((flags & 4) != 0 ? efer::kLMA | efer::kLME : 0) | ((flags & 8) != 0 ? efer::kNXE : 0);
    for (unsigned i = 0; i < std::size(kCr4); ++i) {
      if ((flags >> (4 + i) & 1) != 0) c.cr4 |= kCr4[i];
    }
    all.push_back(c);
  }
  return all;
}

// The cheap update after a change of EFLAGS.AC or PKRU must equal deriving everything again.
TEST(Rules, UpdateEqualsDerivation) {
  for (Controls c : all_controls()) {
    for (const bool from : {false, true}) {
      for (const bool to : {false, true}) {
        c.ac = from;
        c.pkru = 0;
        PagingRules rules = derive_rules(c, CpuModel{});
        update_access_rules(rules, to, 0x5555'0000);
        c.ac = to;
        c.pkru = 0x5555'0000;
        ASSERT_EQ(rules, derive_rules(c, CpuModel{}));
      }
    }
  }
}

TEST(Rules, ModeFollowsTheRegisters) {
  for (const Controls& c : all_controls()) {
    const PagingMode mode = derive_rules(c, CpuModel{}).mode;
    const bool pae = (c.cr4 & cr4::kPAE) != 0, lma = (c.efer & efer::kLMA) != 0;
    const bool la57 = (c.cr4 & cr4::kLA57) != 0;
    EXPECT_EQ(mode == PagingMode::kOff, (c.cr0 & cr0::kPG) == 0);
    if (mode == PagingMode::kOff) continue;
    EXPECT_EQ(mode == PagingMode::kLegacy32, !pae);
    EXPECT_EQ(mode == PagingMode::kPae, pae && !lma);
    EXPECT_EQ(mode == PagingMode::kLevel4, pae && lma && !la57);
    EXPECT_EQ(mode == PagingMode::kLevel5, pae && lma && la57);
  }
}

// SDM vol. 3, 4.7: I/D is reported with SMEP, or with NXE where entries have an XD bit.
TEST(Rules, ErrorCodeReportsFetchesOnlyWhereTheManualSays) {
  for (const Controls& c : all_controls()) {
    if ((c.cr0 & cr0::kPG) == 0) continue;
    const PagingRules rules = derive_rules(c, CpuModel{});
    const bool reported = (c.cr4 & cr4::kSMEP) != 0 ||
                          ((c.cr4 & cr4::kPAE) != 0 && (c.efer & efer::kNXE) != 0);
    for (const Privilege by : {Privilege::kUser, Privilege::kSupervisor}) {
      const uint32_t user = by == Privilege::kUser ? pf::kUser : 0;
      const auto base = [&](AccessOp op) -> uint32_t {
        return rules.error_base[Access{op, by}.kind()];
      };
      EXPECT_EQ(base(AccessOp::kFetch), (reported ? pf::kFetch : 0) | user);
      EXPECT_EQ(base(AccessOp::kRead), user);
      EXPECT_EQ(base(AccessOp::kWrite), pf::kWrite | user);
    }
  }
}

// Each key reads its own two bits of PKRU, for user pages and data accesses in long mode only.
TEST(Rules, KeysReadTheirOwnBits) {
  Controls c;
  c.cr0 = cr0::kPE | cr0::kPG;
  c.cr4 = cr4::kPAE | cr4::kPKE;
  c.efer = efer::kLMA | efer::kLME;
  for (unsigned key = 0; key < 16; ++key) {
    for (unsigned bits = 0; bits < 4; ++bits) {
      for (const bool wp : {false, true}) {
        c.pkru = bits << (2 * key);
        c.cr0 = cr0::kPE | cr0::kPG | (wp ? cr0::kWP : 0);
        const PagingRules rules = derive_rules(c, CpuModel{});
        const auto forbids = [&](AccessOp op, Privilege by, Rights r, unsigned k) {
          return rules.key_forbids({op, by}, r, k);
        };
        const bool ad = (bits & 1) != 0, wd = (bits & 2) != 0;
        for (const Privilege by : {Privilege::kUser, Privilege::kSupervisor, Privilege::kImplicit}) {
          const bool write_obeys = by == Privilege::kUser || wp;
          EXPECT_EQ(forbids(AccessOp::kRead, by, kAllRights, key), ad);
          EXPECT_EQ(forbids(AccessOp::kWrite, by, kAllRights, key), ad || (wd && write_obeys));
          EXPECT_FALSE(forbids(AccessOp::kFetch, by, kAllRights, key));
          EXPECT_FALSE(forbids(AccessOp::kWrite, by, kRightWrite, key));
          EXPECT_FALSE(forbids(AccessOp::kWrite, by, kAllRights, (key + 1) % 16));
        }
      }
    }
  }
  c.pkru = ~uint32_t{0};
  c.efer = 0;
  EXPECT_FALSE(derive_rules(c, CpuModel{}).key_forbids({AccessOp::kRead, Privilege::kUser}, 7, 0));
}

}  // namespace
}  // namespace gnomon
