// SPDX-License-Identifier: Apache-2.0
#include "tests/shadow/fixture.h"

// Markers: entries that name a device page, so that a second access needs no walk of the guest's
// tables.

namespace gnomon::shadow_test {
namespace {

void expect_device(Machine& m, uint64_t va, uint64_t gpa, Access access = kRead) {
  const Translation t = m.touch(va, access);
  EXPECT_EQ(t.outcome, Outcome::kHostViolation) << to_string(t);
  EXPECT_EQ(t.cause, HostCause::kMmio);
  EXPECT_EQ(t.gpa, Gpa(gpa));
}

// Whether an access walks the guest's tables shows in them: a cleared accessed flag stays clear.
bool walks_guest(Machine& m, uint64_t va, Access access) {
  const Gpa root = m.entry_at(va, 4);
  uint8_t* entry = m.p2m.ram_at(root);
  *entry &= static_cast<uint8_t>(~kA);
  m.touch(va, access);
  return (*entry & kA) != 0;
}

TEST(Mmio, SecondAccessTakesNoGuestWalk) {
  for (const bool cached : {true, false}) {
    Machine m(cached ? "shadow" : "shadow:mmio=off");
    m.map(0x1000, kDevice + 0x2000, kUsed);
    expect_device(m, 0x1018, kDevice + 0x2018);
    EXPECT_EQ(m.total()[Counter::kMmioEntries], cached ? 1u : 0u);
    EXPECT_EQ(walks_guest(m, 0x1000, kRead), !cached);
    EXPECT_EQ(walks_guest(m, 0x1000, kWrite), !cached);
    EXPECT_TRUE(walks_guest(m, 0x2000, kRead));
    m.touch(0x1000);
    m.mark();
    for (uint64_t i = 0; i < 10; ++i)
      expect_device(m, 0x1000 + i * 8, kDevice + 0x2000 + i * 8, kWrite);
    EXPECT_EQ(m.since(Counter::kExitMmio), 10u);
    EXPECT_EQ(m.since(Counter::kMmioAccesses), 10u);
    EXPECT_EQ(m.since(Counter::kMmioEntries), 0u);
    EXPECT_EQ(m.since(Counter::kExitPageFault), 0u);
    EXPECT_EQ(m.mappings().size(), cached ? 1u : 0u);
  }
}

TEST(Mmio, MarkerGrantsNoMoreThanTheGuest) {
  Machine m("shadow");
  m.map(0x1000, kDevice, kP | kU);
  m.map(0x2000, kDevice, kP | kW);
  expect_device(m, 0x1000, kDevice);
  expect_device(m, 0x2000, kDevice, kKernelRead);
  m.expect_fault(0x1000, pf::kPresent | pf::kUser | pf::kWrite, kWrite);
  m.expect_fault(0x2000, pf::kPresent | pf::kUser);
  // The first store must set the guest's dirty flag: the marker does not answer it.
  EXPECT_EQ(m.pte(0x2000), kDevice | kP | kW | kA);
  expect_device(m, 0x2000, kDevice, kKernelWrite);
  EXPECT_EQ(m.pte(0x2000), kDevice | kP | kW | kA | kD);
  EXPECT_FALSE(walks_guest(m, 0x2000, kKernelWrite));
  // Protection keys and SMAP are looked at as they are now.
  m.map(0x3000, kDevice, kUsed | 1ull << pte::kKeyShift);
  m.set_cr4(cr4::kPKE | cr4::kSMAP, true);
  expect_device(m, 0x3000, kDevice, kWrite);
  update_access_rules(m.cpu().rules, false, 2u << 2);
  m.expect_fault(0x3000, pf::kPresent | pf::kUser | pf::kWrite | pf::kKey, kWrite);
  m.expect_fault(0x3000, pf::kPresent, kKernelRead);
  expect_device(m, 0x3000, kDevice);
}

TEST(Mmio, StaleAfterAGenerationChange) {
  Machine m("shadow");
  m.map(0x1000, kDevice, kUsed);
  m.map(0x2000, 0x6000'0000, kUsed);
  expect_device(m, 0x1000, kDevice);
  EXPECT_EQ(m.touch(0x2000).outcome, Outcome::kNotBacked);
  ASSERT_TRUE(m.p2m.add_slot(Gpa(0x6000'0000), 1_MiB).ok());
  EXPECT_TRUE(walks_guest(m, 0x1000, kRead));  // made again under the new generation
  EXPECT_EQ(m.total()[Counter::kMmioEntries], 2u);
  EXPECT_FALSE(walks_guest(m, 0x1000, kRead));
  m.expect_mapped(0x2000, 0x6000'0000);
}

// The lesson of the reverse map that kept a dead entry: present, then marker, then present, then
// the frame goes.
TEST(Mmio, MarkerOverAPresentEntryAndBack) {
  for (const absl::string_view spec : {"shadow:prefetch=0", "shadow:prefetch=0,unsync=off",
                                       "shadow:prefetch=0,unsync=off,update=off"}) {
    Machine m(spec);
    m.map(0x1000, 0x5000, kUsed);
    for (int round = 0; round < 4; ++round) {
      m.map(0x1000, 0x5000, kUsed);
      m.flush();
      m.expect_mapped(0x1000, 0x5000, kWrite);
      m.map(0x1000, kDevice, kUsed);  // without a flush the old entry may stay
      m.invlpg(0x1000);
      expect_device(m, 0x1000, kDevice);
      EXPECT_THAT(m.mappings(), ElementsAre("1000>mmio f0000000"));
      ASSERT_TRUE(m.p2m.remap(Gpa(0x5000)).ok());
      EXPECT_THAT(m.mappings(), ElementsAre("1000>mmio f0000000"));
      m.expect_sound();
    }
  }
}

TEST(Mmio, LargePageOverDevice) {
  Machine m("shadow", {.ram = {.backing = PageSize::k2M}});
  m.map(0x40'0000, kDevice, kUsed, PageSize::k2M);
  expect_device(m, 0x40'3018, kDevice + 0x3018);
  expect_device(m, 0x5f'f000, kDevice + 0x1f'f000, kWrite);
  EXPECT_THAT(m.mappings(), ElementsAre("403000>mmio f0003000", "5ff000>mmio f01ff000"));
  EXPECT_FALSE(walks_guest(m, 0x40'3000, kRead));
  // The guest maps memory there instead: one large entry where the markers' page was.
  m.map(0x40'0000, 0x80'0000, kUsed, PageSize::k2M);
  m.invlpg(0x40'0000);
  m.expect_mapped(0x40'3018, 0x80'3018);
  EXPECT_THAT(m.mappings(), ElementsAre("400000>800000 2M wux"));
}

TEST(Mmio, ReadOnlySlot) {
  Machine m("shadow");
  ASSERT_TRUE(m.p2m.add_slot(Gpa(0x6000'0000), 0x4000, {.rom = true}).ok());
  m.map(0x1000, 0x6000'0000, kUsed);
  m.expect_mapped(0x1000, 0x6000'0000);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>60000000 4K -ux"));
  EXPECT_EQ(m.touch(0x1000, kWrite).cause, HostCause::kReadOnly);
  m.expect_mapped(0x1000, 0x6000'0000);
}

}  // namespace
}  // namespace gnomon::shadow_test
