// SPDX-License-Identifier: Apache-2.0
#include "gnomon/memory/host_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace gnomon {
namespace {

using testing::HasSubstr;

constexpr FrameOwner kOwner = FrameOwner::kVmm;

std::unique_ptr<HostMemory> make_host(uint64_t bytes) {
  auto host = HostMemory::create(bytes);
  EXPECT_TRUE(host.ok()) << host.status();
  return *std::move(host);
}

bool is_zero(const HostMemory& host, Hpa hpa, PageSize size) {
  const uint8_t* bytes = host.at(hpa);
  return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, bytes_of(size) - 1) == 0;
}

void scribble(const HostMemory& host, Hpa hpa, PageSize size) {
  std::memset(host.at(hpa), 0xa5, bytes_of(size));
}

TEST(HostMemoryTest, RefusesBadSizes) {
  EXPECT_EQ(HostMemory::create(0).status().code(), absl::StatusCode::kInvalidArgument);
  const absl::Status too_big = HostMemory::create((uint64_t{1} << 46) + 1).status();
  EXPECT_EQ(too_big.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(too_big.message(), HasSubstr("0x400000000001"));
}

TEST(HostMemoryTest, RoundsUpTo2M) {
  for (const uint64_t bytes : {uint64_t{1}, 4_KiB, 2_MiB - 1, 2_MiB}) {
    EXPECT_EQ(make_host(bytes)->bytes(), 2_MiB);
  }
  EXPECT_EQ(make_host(2_MiB + 1)->bytes(), 4_MiB);
}

TEST(HostMemoryTest, IsAlignedInEverySpace) {
  for (int i = 0; i < 8; ++i) {
    auto host = make_host(6_MiB);
    EXPECT_EQ(host->base(), Hpa(2_MiB));
    EXPECT_TRUE(host->hva(host->base()).is_aligned(PageSize::k2M));
    EXPECT_EQ(host->hva(Hpa(2_MiB + 0x1234)).value() - host->hva(host->base()).value(), 0x1234u);
  }
}

TEST(HostMemoryTest, AVastHostCostsNothing) {
  auto host = HostMemory::create(uint64_t{1} << 40);
  if (!host.ok()) GTEST_SKIP() << "skipped: the system refuses 1 TiB: " << host.status();
  EXPECT_EQ((*host)->free_bytes(), uint64_t{1} << 40);
  EXPECT_EQ((*host)->allocate(kOwner, PageSize::k1G), Hpa(1_GiB));
  EXPECT_EQ((*host)->allocate(kOwner, PageSize::k4K), Hpa(2_MiB));
}

TEST(HostMemoryTest, ContainsOnlyItsOwnAddresses) {
  auto host = make_host(2_MiB);
  EXPECT_FALSE(host->contains(Hpa(0)));
  EXPECT_FALSE(host->contains(Hpa(2_MiB - 1)));
  EXPECT_TRUE(host->contains(Hpa(2_MiB)));
  EXPECT_TRUE(host->contains(Hpa(4_MiB - 1)));
  EXPECT_FALSE(host->contains(Hpa(4_MiB)));
  EXPECT_FALSE(host->contains(Hpa(~uint64_t{0})));
  EXPECT_TRUE(host->contains(Hpa(2_MiB), 2_MiB));
  EXPECT_FALSE(host->contains(Hpa(2_MiB), 2_MiB + 1));
  EXPECT_FALSE(host->contains(Hpa(4_MiB - 8), 9));
  EXPECT_FALSE(host->contains(Hpa(4_MiB - 8), ~uint64_t{0}));
  EXPECT_EQ(host->owner(Hpa(0)), FrameOwner::kFree);
  EXPECT_EQ(host->owner(Hpa(~uint64_t{0})), FrameOwner::kFree);
}

TEST(HostMemoryTest, RemembersOwners) {
  auto host = make_host(4_MiB);
  const Hpa table = *host->allocate(FrameOwner::kShadowTable);
  const Hpa ram = *host->allocate(FrameOwner::kGuestRam, PageSize::k2M);
  EXPECT_EQ(host->owner(table), FrameOwner::kShadowTable);
  EXPECT_EQ(host->owner(Hpa(table.value() + 4095)), FrameOwner::kShadowTable);
  EXPECT_EQ(host->owner(Hpa(table.value() + 4096)), FrameOwner::kFree);
  EXPECT_EQ(host->owner(Hpa(ram.value() + 2_MiB - 1)), FrameOwner::kGuestRam);
  host->free(table);
  EXPECT_EQ(host->owner(table), FrameOwner::kFree);
  host->free(ram, PageSize::k2M);
  EXPECT_EQ(host->owner(Hpa(ram.value() + 2_MiB - 1)), FrameOwner::kFree);
  EXPECT_EQ(host->free_bytes(), host->bytes());
}

TEST(HostMemoryTest, SmallFramesComeFromBrokenBlocksLowestFirst) {
  auto host = make_host(8_MiB);
  EXPECT_EQ(host->allocate(kOwner), Hpa(2_MiB));
  EXPECT_EQ(host->allocate(kOwner), Hpa(2_MiB + 4_KiB));
  EXPECT_EQ(host->allocate(kOwner, PageSize::k2M), Hpa(4_MiB));
  EXPECT_EQ(host->allocate(kOwner, PageSize::k2M), Hpa(6_MiB));
  host->free(Hpa(4_MiB + 4_KiB));  // breaks the block in the middle
  host->free(Hpa(2_MiB));
  EXPECT_EQ(host->allocate(kOwner), Hpa(2_MiB));
  for (int i = 0; i < 510; ++i) EXPECT_TRUE(host->allocate(kOwner).has_value());
  EXPECT_EQ(host->allocate(kOwner), Hpa(4_MiB + 4_KiB)) << "not from the whole block at 8 MiB";
  EXPECT_EQ(host->allocate(kOwner), Hpa(8_MiB));
  EXPECT_EQ(host->allocate(kOwner, PageSize::k2M), std::nullopt);
}

TEST(HostMemoryTest, EveryFrameIsHandedOutOnceThenNoMore) {
  for (const bool scattered : {false, true}) {
    auto host = make_host(4_MiB);
    std::set<uint64_t> seen;
    for (uint64_t i = 0; i < 1024; ++i) {
      const auto hpa = scattered ? host->allocate_scattered(kOwner, i) : host->allocate(kOwner);
      ASSERT_TRUE(hpa.has_value());
      ASSERT_TRUE(host->contains(*hpa, 4_KiB));
      ASSERT_TRUE(hpa->is_aligned(PageSize::k4K));
      ASSERT_TRUE(seen.insert(hpa->value()).second);
    }
    EXPECT_EQ(host->free_bytes(), 0u);
    EXPECT_EQ(host->allocate(kOwner), std::nullopt);
    EXPECT_EQ(host->allocate_scattered(kOwner, 7), std::nullopt);
    for (const uint64_t hpa : seen) host->free(Hpa(hpa));
    EXPECT_EQ(host->free_bytes(), 4_MiB);
    EXPECT_EQ(host->allocate(kOwner, PageSize::k2M), Hpa(2_MiB)) << "blocks are whole again";
  }
}

TEST(HostMemoryTest, ScatteredFindsTheOnlyFreeFrameWhereverItIs) {
  auto host = make_host(4_MiB);
  while (host->allocate(kOwner)) {
  }
  for (uint64_t frame = 0; frame < 1024; ++frame) {
    const Hpa only(2_MiB + frame * 4_KiB);
    host->free(only);
    ASSERT_EQ(host->allocate_scattered(kOwner, frame * 77), only);
  }
}

TEST(HostMemoryTest, ScatteredIsDeterministicAndSpread) {
  auto a = make_host(64_MiB);
  auto b = make_host(64_MiB);
  std::set<uint64_t> blocks;
  int neighbours = 0;
  Hpa last;
  for (uint64_t i = 0; i < 200; ++i) {
    const Hpa hpa = *a->allocate_scattered(kOwner, i);
    ASSERT_EQ(b->allocate_scattered(kOwner, i), hpa);
    blocks.insert(hpa.frame(PageSize::k2M));
    if (hpa.frame() == last.frame() + 1) ++neighbours;
    last = hpa;
  }
  EXPECT_GT(blocks.size(), 28u);
  EXPECT_LT(neighbours, 5);
}

TEST(HostMemoryTest, GigabytePagesAreNaturallyAlignedAndNeedAllBlocks) {
  auto host = make_host(3_GiB);  // host-physical 2 MiB to 3 GiB + 2 MiB
  EXPECT_EQ(host->allocate(kOwner, PageSize::k1G), Hpa(1_GiB));
  EXPECT_EQ(host->allocate(kOwner, PageSize::k1G), Hpa(2_GiB));
  EXPECT_EQ(host->allocate(kOwner, PageSize::k1G), std::nullopt);
  EXPECT_EQ(host->free_bytes(), 1_GiB);
  host->free(Hpa(1_GiB + 5 * 2_MiB), PageSize::k2M);
  EXPECT_EQ(host->allocate(kOwner, PageSize::k1G), std::nullopt);
  for (uint64_t at = 1_GiB; at < 2_GiB; at += 2_MiB) {
    if (at != 1_GiB + 5 * 2_MiB) host->free(Hpa(at), PageSize::k2M);
  }
  EXPECT_EQ(host->allocate(kOwner, PageSize::k1G), Hpa(1_GiB)) << "piecemeal frees add up";
  host->free(Hpa(2_GiB), PageSize::k1G);
  EXPECT_EQ(host->owner(Hpa(3_GiB - 1)), FrameOwner::kFree);
  EXPECT_EQ(host->allocate(kOwner, PageSize::k1G), Hpa(2_GiB));
}

TEST(HostMemoryTest, SizesThatAreNoHostPageAreNotThere) {
  auto host = make_host(16_MiB);
  EXPECT_EQ(host->allocate(kOwner, PageSize::k4M), std::nullopt);
  EXPECT_EQ(host->allocate(kOwner, PageSize::k512G), std::nullopt);
}

// Any way to free, then any way to allocate: never old bytes.
TEST(HostMemoryTest, FramesAreZeroWheneverAllocated) {
  for (const bool taken_large : {false, true}) {
    for (const bool freed_large : {false, true}) {
      for (const int taken_again : {0, 1, 2}) {
        auto host = make_host(2_MiB);
        if (taken_large) {
          ASSERT_TRUE(host->allocate(kOwner, PageSize::k2M));
        } else {
          while (host->allocate(kOwner)) {
          }
        }
        scribble(*host, Hpa(2_MiB), PageSize::k2M);
        if (freed_large) {
          host->free(Hpa(2_MiB), PageSize::k2M);
        } else {
          for (uint64_t at = 2_MiB; at < 4_MiB; at += 4_KiB) host->free(Hpa(at));
        }
        if (taken_again == 0) {
          ASSERT_TRUE(host->allocate(kOwner, PageSize::k2M));
        } else {
          for (int i = 0; i < 512; ++i) {
            const auto hpa =
                taken_again == 1 ? host->allocate(kOwner) : host->allocate_scattered(kOwner, i);
            ASSERT_TRUE(hpa && is_zero(*host, *hpa, PageSize::k4K));
          }
        }
        EXPECT_TRUE(is_zero(*host, Hpa(2_MiB), PageSize::k2M));
      }
    }
  }
}

TEST(HostMemoryTest, FreedBlocksGoBackToTheSystem) {
  auto host = make_host(2_MiB);
  ASSERT_TRUE(host->allocate(kOwner, PageSize::k2M));
  const auto resident = [&] {
    std::vector<unsigned char> pages(512);
    EXPECT_EQ(mincore(host->at(Hpa(2_MiB)), 2_MiB, pages.data()), 0);
    return std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return p & 1; });
  };
  scribble(*host, Hpa(2_MiB), PageSize::k2M);
  EXPECT_EQ(resident(), 512);
  host->free(Hpa(2_MiB), PageSize::k2M);
  EXPECT_EQ(resident(), 0);
}

TEST(HostMemoryTest, AGigabytePageIsZeroAgain) {
  auto host = make_host(2_GiB);
  const Hpa page = *host->allocate(kOwner, PageSize::k1G);
  for (uint64_t at = 0; at < 1_GiB; at += 64_MiB) *host->at<uint64_t>(Hpa(page.value() + at)) = 1;
  host->free(page, PageSize::k1G);
  ASSERT_EQ(host->allocate(kOwner, PageSize::k1G), page);
  for (uint64_t at = 0; at < 1_GiB; at += 64_MiB) {
    EXPECT_EQ(*host->at<uint64_t>(Hpa(page.value() + at)), 0u);
  }
}

#ifndef NDEBUG
TEST(HostMemoryDeathTest, FreeingAFreeFrameIsOurBug) {
  auto host = make_host(4_MiB);
  const Hpa hpa = *host->allocate(kOwner);
  host->free(hpa);
  EXPECT_DEATH(host->free(hpa), "free of a frame that is free");
  EXPECT_DEATH(host->free(Hpa(2_MiB), PageSize::k2M), "free of a frame that is free");
}
#endif

// The allocator against an array and the rules in words.
class HostMemoryModelTest : public testing::TestWithParam<int> {
 protected:
  static constexpr int kBlocks = 5;
  using Block = std::vector<FrameOwner>;

  static int64_t free_in(const Block& b) {
    return std::count(b.begin(), b.end(), FrameOwner::kFree);
  }
  static bool whole(const Block& b) { return free_in(b) == 512; }
  static bool broken(const Block& b) { return free_in(b) > 0 && free_in(b) < 512; }
  static Hpa hpa_of(size_t block, size_t frame) {
    return Hpa(2_MiB + block * 2_MiB + frame * 4_KiB);
  }

  std::optional<Hpa> expected_small() const {
    for (const auto& suits : {broken, whole}) {
      for (size_t b = 0; b < blocks_.size(); ++b) {
        if (!suits(blocks_[b])) continue;
        return hpa_of(b, std::find(blocks_[b].begin(), blocks_[b].end(), FrameOwner::kFree) -
                             blocks_[b].begin());
      }
    }
    return std::nullopt;
  }
  std::optional<Hpa> expected_large() const {
    const auto b = std::find_if(blocks_.begin(), blocks_.end(), whole);
    if (b == blocks_.end()) return std::nullopt;
    return hpa_of(b - blocks_.begin(), 0);
  }
  FrameOwner& at(Hpa hpa) {
    return blocks_[hpa.frame(PageSize::k2M) - 1][hpa.offset_in(PageSize::k2M) >> 12];
  }

  std::vector<Block> blocks_ = std::vector<Block>(kBlocks, Block(512, FrameOwner::kFree));
};

TEST_P(HostMemoryModelTest, BehavesLikeAnArray) {
  auto host = make_host(kBlocks * 2_MiB);
  std::mt19937_64 random(GetParam());
  for (int step = 0; step < 6000; ++step) {
    // Phases of growing and shrinking reach both ends.
    const bool grow = random() % 100 < ((step / 1000) % 2 == 0 ? 80 : 30);
    const FrameOwner owner = random() % 2 ? FrameOwner::kGuestRam : FrameOwner::kShadowTable;
    if (grow) {
      const uint64_t kind = random() % 40;
      const PageSize size = kind == 0 ? PageSize::k2M : PageSize::k4K;
      std::optional<Hpa> got;
      if (kind > 30) {
        got = host->allocate_scattered(owner, random());
        ASSERT_EQ(got.has_value(), expected_small().has_value());
        if (got) {
          ASSERT_EQ(at(*got), FrameOwner::kFree);
        }
      } else {
        got = host->allocate(owner, size);
        ASSERT_EQ(got, size == PageSize::k2M ? expected_large() : expected_small()) << step;
      }
      if (!got) continue;
      for (uint64_t i = 0; i < bytes_of(size) >> 12; ++i) {
        const Hpa frame(got->value() + i * 4_KiB);
        at(frame) = owner;
        uint64_t* words = host->at<uint64_t>(frame);
        ASSERT_TRUE(words[0] == 0 && words[511] == 0) << step;
        words[0] = words[511] = 1;
      }
    } else {
      const size_t b = random() % kBlocks;
      if (free_in(blocks_[b]) == 0 && random() % 4 == 0) {
        host->free(hpa_of(b, 0), PageSize::k2M);
        blocks_[b].assign(512, FrameOwner::kFree);
      } else {
        for (size_t f = random() % 512, n = random() % 64; f < 512 && n > 0; ++f, --n) {
          if (blocks_[b][f] == FrameOwner::kFree) continue;
          host->free(hpa_of(b, f));
          blocks_[b][f] = FrameOwner::kFree;
        }
      }
    }
    int64_t free_frames = 0;
    for (const Block& b : blocks_) free_frames += free_in(b);
    ASSERT_EQ(host->free_bytes(), free_frames * 4_KiB);
    if (step % 16 == 0) {
      for (size_t i = 0; i < kBlocks * 512; ++i) {
        const Hpa hpa = hpa_of(i / 512, i % 512);
        ASSERT_EQ(host->owner(hpa), at(hpa)) << to_string(hpa);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, HostMemoryModelTest, testing::Range(1, 9));

}  // namespace
}  // namespace gnomon
