// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "gnomon/x86/entry_bits.h"
#include "tests/guest/machine.h"

namespace gnomon::guest_test {
namespace {

using S = GuestStat;

uint64_t frame_of(uint64_t entry) { return (entry & pte::kFrameMask) >> 12; }

TEST(GuestFault, AnonymousMemoryIsReadAsThePageOfZerosAndWrittenAsItsOwn) {
  Machine m("native", small_guest());
  const uint64_t root = m.run(0, 0);
  ASSERT_TRUE(m.map(0, kAt, 4 * kPage, kRw).ok());
  EXPECT_EQ(m.read(0, kAt), 0u);
  EXPECT_EQ(m.read(0, kAt + kPage), 0u);
  const uint64_t zero = m.entry(root, kAt);
  EXPECT_EQ(zero, m.entry(root, kAt + kPage));
  EXPECT_EQ(zero & (pte::kPresent | pte::kWritable | pte::kUser | pte::kNoExecute),
            pte::kPresent | pte::kUser | pte::kNoExecute);
  const uint64_t frames = m.kernel->frames_in_use();
  ASSERT_TRUE(m.write(0, kAt, 7).ok());
  ASSERT_TRUE(m.write(0, kAt + 2 * kPage, 8).ok());
  EXPECT_EQ(m.kernel->frames_in_use(), frames + 2);
  EXPECT_EQ(m.read(0, kAt), 7u);
  EXPECT_EQ(m.read(0, kAt + kPage), 0u);
  EXPECT_EQ(m.stat(S::kFaultsAnonymous), 3u);
  EXPECT_EQ(m.stat(S::kFaultsCow), 1u);
  EXPECT_EQ(m.stat(S::kPagesCopied), 0u);
  // A write to a present page: the old entry goes, then INVLPG, then the new one.
  EXPECT_EQ(m.cpus[0]->invlpgs, std::vector<uint64_t>{kAt});
}

TEST(GuestFault, PrivateFilePagesAreCopiedOnWriteAndSharedOnesAreNot) {
  Machine m("native", small_guest());
  const uint64_t root = m.run(0, 0);
  const uint64_t shared = kAt + 64 * kPage;
  ASSERT_TRUE(m.map(0, kAt, 4 * kPage, kRw, 5, kPage).ok());
  ASSERT_TRUE(m.map(0, shared, 4 * kPage, kRw | kMapShared, 5).ok());
  EXPECT_EQ(m.read(0, kAt), 0u);
  EXPECT_EQ(m.read(0, shared + kPage), 0u);
  EXPECT_EQ(frame_of(m.entry(root, kAt)), frame_of(m.entry(root, shared + kPage)));
  EXPECT_EQ(m.entry(root, shared + kPage) & pte::kWritable, 0u) << "the first write is to be seen";
  ASSERT_TRUE(m.write(0, shared + kPage, 11).ok());
  EXPECT_EQ(m.stat(S::kFaultsRights), 1u);
  EXPECT_EQ(m.read(0, kAt), 11u) << "a private page follows the file until it is written";
  ASSERT_TRUE(m.write(0, kAt, 12).ok());
  EXPECT_EQ(m.read(0, shared + kPage), 11u);
  EXPECT_EQ(m.stat(S::kPagesCopied), 1u);
  EXPECT_EQ(m.stat(S::kPageCacheMisses), 1u);
  EXPECT_EQ(m.stat(S::kPageCacheHits), 1u);
}

TEST(GuestFault, CachedNeighboursAreMappedAround) {
  for (const uint64_t around : {uint64_t{4} << 10, uint64_t{16} << 10, uint64_t{64} << 10}) {
    GuestOptions o = small_guest();
    o.fault_around_bytes = around;
    Machine m("native", o);
    m.run(0, 0);
    ASSERT_TRUE(m.map(0, kAt, 64 * kPage, kMapRead, 1).ok());
    for (uint64_t i = 0; i < 64; ++i) m.read(0, kAt + i * kPage);
    EXPECT_EQ(m.stat(S::kPagesAround), 0u) << "nothing was cached before";
    const uint64_t root = m.run(0, 1);
    // Off by a page against the file: the window is one of addresses, cut to the mapping.
    ASSERT_TRUE(m.map(0, kAt + kPage, 62 * kPage, kMapRead, 1, kPage).ok());
    m.read(0, kAt + 2 * kPage);
    const uint64_t pages = around / kPage;
    EXPECT_EQ(m.stat(S::kPagesAround), pages == 1 ? 0 : pages - 2);
    EXPECT_EQ(m.entry(root, kAt), 0u);
    EXPECT_EQ(m.stat(S::kPageCacheMisses), 64u);
  }
}

TEST(GuestFault, FilesStayCachedAfterExit) {
  Machine m("native", small_guest());
  m.run(0, 0);
  ASSERT_TRUE(m.map(0, kAt, kPage, kRw | kMapShared, 9).ok());
  ASSERT_TRUE(m.write(0, kAt, 99).ok());
  ASSERT_TRUE(m.event(0, EventKind::kExit, 0, 0, 0, 0, 1).ok());
  m.run(0, 1);
  ASSERT_TRUE(m.map(0, kAt, kPage, kMapRead, 9).ok());
  EXPECT_EQ(m.read(0, kAt), 99u);
  EXPECT_EQ(m.stat(S::kPageCacheMisses), 1u);
}

TEST(GuestFault, TracesWithoutMappingsJustRun) {
  GuestOptions o = small_guest();
  Machine m("native", o);
  const uint64_t root = m.run(0, 0);
  const uint64_t text = 0x40'1000, data = 0x40'4000, stack = 0x7fff'ffff'e000;
  ASSERT_TRUE(m.touch(0, text, AccessOp::kFetch).ok());
  ASSERT_TRUE(m.write(0, data, 5).ok());
  ASSERT_TRUE(m.write(0, stack, 6).ok());
  ASSERT_TRUE(m.touch(0, stack, AccessOp::kFetch).ok());
  EXPECT_EQ(m.read(0, data), 5u);
  EXPECT_EQ(m.entry(root, stack) & pte::kNoExecute, 0u);
  EXPECT_EQ(m.entry(root, text) & pte::kNoExecute, 0u);
  EXPECT_EQ(m.stat(S::kFaultsRefused), 0u);
  EXPECT_EQ(m.stat(S::kFaultsRights), 1u);
  // Text pages are pages of a file: another process of the same trace shares them.
  const uint64_t other = m.run(0, 1);
  ASSERT_TRUE(m.touch(0, text, AccessOp::kFetch).ok());
  EXPECT_EQ(frame_of(m.entry(other, text)), frame_of(m.entry(root, text)));
}

TEST(GuestFault, WhatTheMappingForbidsIsRefusedUntilGranted) {
  Machine m("native", small_guest());
  m.run(0, 0);
  ASSERT_TRUE(m.map(0, kAt, 2 * kPage, kMapRead).ok());
  EXPECT_EQ(m.read(0, kAt), 0u);
  EXPECT_TRUE(absl::IsPermissionDenied(m.write(0, kAt, 1)));
  EXPECT_TRUE(absl::IsPermissionDenied(m.touch(0, kAt, AccessOp::kFetch)));
  EXPECT_EQ(m.stat(S::kFaultsRefused), 2u);
  ASSERT_TRUE(m.kernel->grant(0, Gva(kAt), AccessOp::kWrite).ok());
  ASSERT_TRUE(m.write(0, kAt, 1).ok());
  ASSERT_TRUE(m.kernel->grant(0, Gva(kAt), AccessOp::kFetch).ok());
  ASSERT_TRUE(m.touch(0, kAt, AccessOp::kFetch).ok());
  EXPECT_EQ(m.read(0, kAt), 1u);
  // No rights at all: the entry keeps its page.
  ASSERT_TRUE(m.event(0, EventKind::kProtect, kAt, kPage).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(m.touch(0, kAt, AccessOp::kRead)));
  ASSERT_TRUE(m.kernel->grant(0, Gva(kAt), AccessOp::kRead).ok());
  EXPECT_EQ(m.read(0, kAt), 1u);
}

TEST(GuestFault, AddressesThatNoProcessHas) {
  Machine m("native", small_guest());
  m.run(0, 0);
  for (const uint64_t va : {uint64_t{1} << 47, uint64_t{0xffff'8880'0000'0000}, ~uint64_t{0} - 7}) {
    EXPECT_TRUE(absl::IsInvalidArgument(m.touch(0, va, AccessOp::kRead))) << va;
    EXPECT_TRUE(absl::IsInvalidArgument(m.kernel->grant(0, Gva(va), AccessOp::kRead))) << va;
  }
  ASSERT_TRUE(m.write(0, (uint64_t{1} << 47) - 8, 1).ok());
  const Translation t = m.cpus[0]->vcpu().access(Gva(kAt), {});
  EXPECT_TRUE(absl::IsInvalidArgument(m.kernel->fault(7, Gva(kAt), AccessOp::kRead, t)));
  ASSERT_TRUE(m.write(0, kAt, 1).ok());
  EXPECT_TRUE(absl::IsInternal(m.kernel->fault(0, Gva(kAt), AccessOp::kWrite, t)))
      << "the tables permit it";
}

TEST(GuestFault, StacksGrow) {
  Machine m("native", small_guest());
  m.run(0, 0);
  const uint64_t top = 0x7fff'0000'0000;
  ASSERT_TRUE(m.map(0, top - 4 * kPage, 4 * kPage, kRw | kMapStack).ok());
  ASSERT_TRUE(m.write(0, top - (1 << 20), 3).ok());
  // It is one mapping now: it can be moved as one.
  EXPECT_TRUE(m.event(0, EventKind::kRemap, top - (1 << 20), 1 << 20, kAt, 1 << 20).ok());
  EXPECT_EQ(m.read(0, kAt), 3u);
}

TEST(GuestFault, HugePagesByPolicyAndAdvice) {
  const uint64_t at = 0x8000'0000;
  for (const HugePages thp : {HugePages::kNever, HugePages::kMadvise, HugePages::kAlways}) {
    for (const uint64_t advice : {0, 2, 3}) {
      GuestOptions o = small_guest();
      o.thp = thp;
      Machine m("native", o);
      const uint64_t root = m.run(0, 0);
      ASSERT_TRUE(m.map(0, at - kPage, 2 * kHuge, kRw).ok());
      if (advice != 0)
        ASSERT_TRUE(m.event(0, EventKind::kAdvise, at - kPage, 2 * kHuge, advice).ok());
      ASSERT_TRUE(m.write(0, at + 5 * kPage, 1).ok());
      ASSERT_TRUE(m.write(0, at - kPage, 1).ok());
      ASSERT_TRUE(m.write(0, at + kHuge, 1).ok());  // not all of that 2M is mapped
      const bool huge =
          (thp == HugePages::kAlways && advice != 3) || (thp == HugePages::kMadvise && advice == 2);
      unsigned level = 0;
      m.entry(root, at, &level);
      EXPECT_EQ(level, huge ? 2u : 1u);
      m.entry(root, at + kHuge, &level);
      EXPECT_EQ(level, 1u);
      EXPECT_EQ(m.stat(S::kHugePagesMapped), huge ? 1u : 0u);
      EXPECT_EQ(m.stat(S::kPagesCleared), (huge ? 514u : 3u) + 1);  // and the page of zeros
    }
  }
}

TEST(GuestFault, APartOfAHugePageIsUnmapped) {
  GuestOptions o = small_guest();
  o.thp = HugePages::kAlways;
  Machine m("shadow", o);
  const uint64_t root = m.run(0, 0);
  ASSERT_TRUE(m.map(0, kHuge, kHuge, kRw).ok());
  ASSERT_TRUE(m.write(0, kHuge + 9 * kPage, 1234).ok());
  const uint64_t frames = m.kernel->frames_in_use(), stores = m.stat(S::kEntryStores);
  ASSERT_TRUE(m.event(0, EventKind::kUnmap, kHuge + 3 * kPage, kPage).ok());
  EXPECT_EQ(m.stat(S::kHugePagesSplit), 1u);
  EXPECT_EQ(m.stat(S::kEntryStores), stores + 512 + 1 + 1);
  EXPECT_EQ(m.kernel->frames_in_use(), frames + 1 - 1);  // a table more, a page less
  EXPECT_EQ(m.read(0, kHuge + 9 * kPage), 1234u);
  EXPECT_EQ(m.entry(root, kHuge + 3 * kPage), 0u);
  ASSERT_TRUE(m.event(0, EventKind::kUnmap, kHuge, kHuge).ok());
  EXPECT_EQ(m.kernel->frames_in_use(), 3u);  // the kernel's root, the zeros, the process's root
}

}  // namespace
}  // namespace gnomon::guest_test
