// SPDX-License-Identifier: Apache-2.0
#include "gnomon/vmm/guest_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/guest_images/ram.h"
#include "tests/scenario/random.h"

namespace gnomon::vmm {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(GuestMemory, WritesAcrossFramesAndReadsThemBack) {
  Ram ram(4_MiB);
  std::vector<uint8_t> bytes(3 * 4096 + 77);
  scenario::Random random(1);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random.next());
  ASSERT_TRUE(ram.memory().write(Gpa(0x1f'ff01), bytes));
  EXPECT_EQ(ram.read(0x1f'ff01, bytes.size()), bytes);
  EXPECT_EQ(ram.read(0x1f'ff00, 1), std::vector<uint8_t>{0});
  EXPECT_EQ(ram.read(0x1f'ff01 + bytes.size(), 1), std::vector<uint8_t>{0});
}

TEST(GuestMemory, ReadingAndZeroingTakeNoFramesFromTheHost) {
  Ram ram(4_MiB);
  EXPECT_THAT(ram.read(0x10'0000, 0x2000), Each(0));
  EXPECT_TRUE(ram.memory().fill(Gpa(0x10'0000), 2_MiB, 0));
  EXPECT_THAT(ram.backed_frames(), IsEmpty());
  EXPECT_TRUE(ram.memory().fill(Gpa(0x10'0fff), 2, 0xee));
  EXPECT_THAT(ram.backed_frames(), ElementsAre(0x10'0000, 0x10'1000));
  EXPECT_TRUE(ram.memory().fill(Gpa(0x10'0fff), 1, 0));
  EXPECT_THAT(ram.read(0x10'0ffe, 4), ElementsAre(0, 0, 0xee, 0));
}

TEST(GuestMemory, WhatIsNotRamIsRefusedAndWhatLiesBeforeItCopied) {
  Ram ram(4_MiB);
  const std::vector<uint8_t> bytes(0x20, 0x11);
  EXPECT_FALSE(ram.memory().write(Gpa(0x9'fff0), bytes)) << "goes into the screen";
  EXPECT_THAT(ram.read(0x9'fff0, 0x10), Each(0x11));
  EXPECT_FALSE(ram.memory().write(Gpa(4_MiB - 0x10), bytes)) << "goes beyond the end";
  EXPECT_FALSE(ram.memory().write(Gpa(0xc'0000), bytes)) << "a hole";
  EXPECT_FALSE(ram.memory().write(Gpa(~uint64_t{0}), bytes)) << "would wrap";
  EXPECT_FALSE(ram.memory().fill(Gpa(0x10'0000), ~uint64_t{0}, 0));
  EXPECT_FALSE(ram.memory().fill(Gpa(0x10'0000), ~uint64_t{0}, 1));
  std::vector<uint8_t> to(0x20);
  EXPECT_FALSE(ram.memory().read(Gpa(4_MiB - 0x10), absl::MakeSpan(to)));
  EXPECT_FALSE(ram.memory().read(Gpa(~uint64_t{0} - 7), absl::MakeSpan(to)));
}

TEST(GuestMemory, NothingIsAlwaysThere) {
  Ram ram(4_MiB);
  EXPECT_TRUE(ram.memory().write(Gpa(~uint64_t{0}), {}));
  EXPECT_TRUE(ram.memory().fill(Gpa(0xa'0000), 0, 1));
}

TEST(GuestMemory, StoresAreSeenByTheDirtyLog) {
  Ram ram(4_MiB);
  ASSERT_TRUE(ram.memory().put(Gpa(0x10'0000), uint32_t{1}));
  ram.p2m().start_dirty_log(Gpa(0x10'0000), 16);
  ASSERT_TRUE(ram.memory().put(Gpa(0x10'0004), uint32_t{2}));
  ASSERT_TRUE(ram.memory().put(Gpa(0x10'3004), uint32_t{2}));
  EXPECT_THAT(ram.p2m().take_dirty(Gpa(0x10'0000), 16),
              ElementsAre(Gpa(0x10'0000), Gpa(0x10'3000)));
}

TEST(GuestMemory, AFullHostIsRefused) {
  auto host = HostMemory::create(2_MiB);
  ASSERT_TRUE(host.ok());
  P2m p2m(**host);
  ASSERT_TRUE(p2m.add_slot(Gpa(0), 4_MiB).ok());
  GuestMemory memory(p2m);
  EXPECT_FALSE(memory.fill(Gpa(0), 4_MiB, 1));
}

}  // namespace
}  // namespace gnomon::vmm
