// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "gnomon/x86/entry_bits.h"
#include "tests/guest/machine.h"

namespace gnomon::guest_test {
namespace {

using S = GuestStat;

TEST(GuestMapping, AbsurdEventsAreRefusedInWords) {
  Machine m("native", small_guest());
  m.run(0, 0);
  const uint64_t top = uint64_t{1} << 47;
  struct Case {
    EventKind kind;
    uint64_t address, length, value, extra;
    const char* text;
  };
  const Case cases[] = {
      {EventKind::kMap, kAt, 0, 0, 0, "map: the length is 0"},
      {EventKind::kMap, kAt + 1, kPage, 0, 0, "map: 0x70000001 is not the address of a page"},
      {EventKind::kMap, kAt, uint64_t{1} << 60, 0, 0,
       "map: 0x1000000000000000 bytes at 0x70000000 do not lie"},
      {EventKind::kMap, kAt, ~uint64_t{0}, 0, 0, "user half"},
      {EventKind::kMap, top, kPage, 0, 0, "user half"},
      {EventKind::kMap, top - kPage, kPage + 1, 0, 0, "user half"},
      {EventKind::kMap, ~uint64_t{0xfff}, kPage, 0, 0, "user half"},
      {EventKind::kUnmap, kAt, 0, 0, 0, "unmap: the length is 0"},
      {EventKind::kUnmap, kAt, top, 0, 0, "user half"},
      {EventKind::kProtect, uint64_t{1} << 50, kPage, 0, 0, "user half"},
      {EventKind::kBreak, uint64_t{1} << 50, 0, 0, 0, "user half"},
      {EventKind::kRemap, kAt, kPage, kAt + kPage, 0, "new length is 0"},
      {EventKind::kRemap, kAt, 2 * kPage, kAt + kPage, 2 * kPage, "overlap"},
      {EventKind::kRemap, kAt, 0, kAt + kPage, kPage, "is not one mapping"},
      {EventKind::kRemap, kAt, kPage, top, kPage, "user half"},
      {EventKind::kAdvise, kAt, kPage, 17, 0, "there is no advice 17"},
      {EventKind::kKernelRead, top - 1, 2, 0, 0, "user half"},
      {EventKind::kKernelWrite, ~uint64_t{0}, ~uint64_t{0}, 0, 0, "user half"},
      {EventKind::kFork, 0, 0, 0, 0, "fork: process 0 exists already"},
      {EventKind::kFork, 0, 0, uint64_t{1} << 32, 0, "no such number"},
      {EventKind::kMark, 0, 0, 0, 0, "mark: not an event of a process"},
      {EventKind::kCr3, 0, 0, 0, 0, "cr3: not an event of a process"},
      {EventKind::kSwitch, 0, 0, 0, 0, "not an event of a process"},
  };
  for (const Case& c : cases) {
    const absl::Status s = m.event(0, c.kind, c.address, c.length, c.value, c.extra);
    EXPECT_TRUE(absl::IsInvalidArgument(s)) << s;
    EXPECT_NE(std::string(s.message()).find(c.text), std::string::npos)
        << s << " wanted " << c.text;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(m.map(0, kAt, kPage, kRw, 1, 5)));
  EXPECT_TRUE(absl::IsInvalidArgument(m.map(0, kAt, 4 * kPage, kRw, 1, ~uint64_t{0xfff})));
  EXPECT_TRUE(absl::IsInvalidArgument(m.event(5, EventKind::kMap, kAt, kPage)));
}

TEST(GuestMapping, HugeRangesCostWhatIsPresent) {
  Machine m("native", small_guest());
  m.run(0, 0);
  const uint64_t size = uint64_t{1} << 46;
  const uint64_t frames = m.kernel->frames_in_use();
  ASSERT_TRUE(m.map(0, size, size, kRw).ok());
  EXPECT_EQ(m.kernel->frames_in_use(), frames);
  for (uint64_t i = 0; i < 16; ++i) ASSERT_TRUE(m.write(0, size + i * (size / 16), i).ok());
  ASSERT_TRUE(m.event(0, EventKind::kProtect, size, size, 0, 0, kMapRead).ok());
  EXPECT_EQ(m.read(0, size + 3 * (size / 16)), 3u);
  ASSERT_TRUE(m.event(0, EventKind::kAdvise, size, size, 1).ok());
  ASSERT_TRUE(m.event(0, EventKind::kRemap, size, size, 0, size).ok());
  ASSERT_TRUE(m.event(0, EventKind::kFork, 0, 0, 1).ok());
  ASSERT_TRUE(m.event(0, EventKind::kUnmap, 0, uint64_t{1} << 47).ok());
  m.run(0, 1);
  ASSERT_TRUE(m.event(0, EventKind::kUnmap, 0, uint64_t{1} << 47).ok());
  EXPECT_EQ(m.kernel->frames_in_use(), frames + 1);  // the root of the fork
}

TEST(GuestMapping, NeighboursThatAreAlikeAreOneMapping) {
  GuestOptions o = small_guest();
  o.max_mappings = 3;
  Machine m("native", o);
  m.run(0, 0);
  // More mappings than that are possible only because they join.
  for (uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(m.map(0, kAt + i * kPage, kPage, kRw).ok()) << i;
  ASSERT_TRUE(m.event(0, EventKind::kProtect, kAt + kPage, kPage, 0, 0, kMapRead).ok());
  // Three now. Splitting again is too many, and nothing changes.
  const absl::Status s = m.event(0, EventKind::kProtect, kAt + 5 * kPage, kPage, 0, 0, kMapRead);
  EXPECT_TRUE(absl::IsResourceExhausted(s)) << s;
  EXPECT_TRUE(absl::IsResourceExhausted(m.event(0, EventKind::kUnmap, kAt + 5 * kPage, kPage)));
  EXPECT_TRUE(absl::IsResourceExhausted(m.map(0, kAt + 100 * kPage, kPage, kMapRead)));
  EXPECT_TRUE(absl::IsResourceExhausted(m.event(0, EventKind::kFork, 0, 0, 1)));
  EXPECT_TRUE(absl::IsResourceExhausted(m.write(0, 0x1234'5000, 1)));
  ASSERT_TRUE(m.event(0, EventKind::kProtect, kAt + kPage, kPage, 0, 0, kRw).ok());
  ASSERT_TRUE(m.event(0, EventKind::kProtect, kAt + 5 * kPage, kPage, 0, 0, kMapRead).ok());
  ASSERT_TRUE(m.write(0, kAt + 4 * kPage, 1).ok());
}

TEST(GuestMapping, FilePiecesJoinOnlyWhereTheFileGoesOn) {
  GuestOptions o = small_guest();
  o.max_mappings = 2;
  Machine m("native", o);
  m.run(0, 0);
  ASSERT_TRUE(m.map(0, kAt, kPage, kMapRead, 1, 0).ok());
  ASSERT_TRUE(m.map(0, kAt + kPage, kPage, kMapRead, 1, kPage).ok());
  ASSERT_TRUE(m.map(0, kAt + 2 * kPage, kPage, kMapRead, 1, 7 * kPage).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(m.map(0, kAt + 3 * kPage, kPage, kMapRead, 2, 8 * kPage)));
}

TEST(GuestMapping, TheHeapGrowsAndShrinks) {
  Machine m("native", small_guest());
  const uint64_t root = m.run(0, 0);
  ASSERT_TRUE(m.event(0, EventKind::kBreak, kAt + 5).ok());
  ASSERT_TRUE(m.event(0, EventKind::kBreak, kAt + 10 * kPage + 1).ok());
  ASSERT_TRUE(m.write(0, kAt + 10 * kPage, 4).ok());
  ASSERT_TRUE(m.event(0, EventKind::kBreak, kAt + 10 * kPage).ok());
  EXPECT_EQ(m.entry(root, kAt + 10 * kPage), 0u);
  ASSERT_TRUE(m.event(0, EventKind::kBreak, kAt + 11 * kPage).ok());
  EXPECT_EQ(m.read(0, kAt + 10 * kPage), 0u);
  EXPECT_TRUE(absl::IsInvalidArgument(m.event(0, EventKind::kBreak, kAt - kPage)));
}

TEST(GuestMapping, RemapMovesPagesAndWholeTables) {
  for (const bool aligned : {true, false}) {
    Machine m("shadow", small_guest());
    m.run(0, 0);
    const uint64_t from = 0x4000'0000, to = 0x8000'0000 + (aligned ? 0 : kPage);
    ASSERT_TRUE(m.map(0, from, 2 * kHuge, kRw).ok());
    for (uint64_t i = 0; i < 1024; i += 9) ASSERT_TRUE(m.write(0, from + i * kPage, i + 1).ok());
    const uint64_t stores = m.stat(S::kEntryStores);
    ASSERT_TRUE(m.event(0, EventKind::kRemap, from, 2 * kHuge, to, 3 * kHuge).ok());
    if (aligned) EXPECT_LT(m.stat(S::kEntryStores), stores + 20);
    for (uint64_t i = 0; i < 1024; ++i)
      EXPECT_EQ(m.read(0, to + i * kPage), i % 9 == 0 ? i + 1 : 0);
    ASSERT_TRUE(m.write(0, to + 3 * kHuge - kPage, 1).ok());
    EXPECT_EQ(m.read(0, from), 0u) << "an implicit mapping by now";
  }
}

TEST(GuestMapping, SharedMemoryGoesWithItsLastMapping) {
  Machine m("native", small_guest());
  m.run(0, 0);
  const uint64_t frames = m.kernel->frames_in_use();
  ASSERT_TRUE(m.map(0, kAt, 8 * kPage, kRw | kMapShared).ok());
  ASSERT_TRUE(m.write(0, kAt + kPage, 5).ok());
  // A second view of it, then the first goes.
  ASSERT_TRUE(m.event(0, EventKind::kRemap, kAt, 0, kAt + kHuge, 8 * kPage).ok());
  ASSERT_TRUE(m.event(0, EventKind::kUnmap, kAt, 8 * kPage).ok());
  EXPECT_EQ(m.read(0, kAt + kHuge + kPage), 5u);
  ASSERT_TRUE(m.event(0, EventKind::kUnmap, kAt + kHuge, 8 * kPage).ok());
  EXPECT_EQ(m.kernel->frames_in_use(), frames);
}

TEST(GuestMapping, PopulateTakesNoFaults) {
  Machine m("native", small_guest());
  const uint64_t root = m.run(0, 0);
  ASSERT_TRUE(m.map(0, kAt, 10 * kPage, kRw | kMapPopulate).ok());
  for (uint64_t i = 0; i < 10; ++i) EXPECT_NE(m.entry(root, kAt + i * kPage) & pte::kWritable, 0u);
  // More than there is: an error, and what follows still works.
  const absl::Status s = m.map(0, kAt, uint64_t{1} << 46, kRw | kMapPopulate);
  EXPECT_TRUE(absl::IsResourceExhausted(s)) << s;
  ASSERT_TRUE(m.event(0, EventKind::kUnmap, 0, uint64_t{1} << 47).ok());
  ASSERT_TRUE(m.map(0, kAt, uint64_t{1} << 46, kMapRead | kMapPopulate).ok()) << "zeros are shared";
}

TEST(GuestMapping, OutOfMemoryLeavesTheStateSound) {
  GuestOptions o = small_guest();
  o.memory_bytes = 64 * kPage;
  Machine m("native", o);
  m.run(0, 0);
  const uint64_t frames = m.kernel->frames_in_use();
  ASSERT_TRUE(m.map(0, kAt, 1000 * kPage, kRw).ok());
  uint64_t done = 0;
  absl::Status s;
  while ((s = m.write(0, kAt + done * kPage, done)).ok()) ++done;
  EXPECT_TRUE(absl::IsResourceExhausted(s)) << s;
  EXPECT_NE(std::string(s.message()).find("guest memory is full: 63 of 64 frames"),
            std::string::npos)
      << s;
  EXPECT_TRUE(absl::IsResourceExhausted(m.event(0, EventKind::kFork, 0, 0, 1)));
  EXPECT_TRUE(absl::IsResourceExhausted(m.event(0, EventKind::kExec)));
  EXPECT_TRUE(absl::IsResourceExhausted(m.kernel->run(0, {0, 5})));
  for (uint64_t i = 0; i < done; ++i) ASSERT_EQ(m.read(0, kAt + i * kPage), i);
  ASSERT_TRUE(m.event(0, EventKind::kUnmap, kAt, 1000 * kPage).ok());
  EXPECT_EQ(m.kernel->frames_in_use(), frames);
  ASSERT_TRUE(m.event(0, EventKind::kFork, 0, 0, 1).ok());
}

TEST(GuestMapping, ARemapOfNothingLeavesItsSourceWhole) {
  GuestOptions o = small_guest();
  o.max_mappings = 2;
  Machine m("native", o);
  m.run(0, 0);
  ASSERT_TRUE(m.map(0, kAt, 4 * kPage, kRw | kMapShared).ok());
  ASSERT_TRUE(m.write(0, kAt + kPage, 5).ok());
  // With old length 0 a shared mapping is had once more; two mappings are all there are then.
  const uint64_t other = kAt + kHuge;
  ASSERT_TRUE(m.event(0, EventKind::kRemap, kAt + kPage, 0, other, kPage).ok());
  EXPECT_EQ(m.read(0, other), 5u);
  EXPECT_TRUE(absl::IsResourceExhausted(m.map(0, kAt + 2 * kHuge, kPage, kRw)));
  ASSERT_TRUE(m.event(0, EventKind::kUnmap, other, kPage).ok());
  EXPECT_TRUE(m.map(0, kAt + 2 * kHuge, kPage, kRw).ok());
}

}  // namespace
}  // namespace gnomon::guest_test
