// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/io_apic.h"

#include <gtest/gtest.h>

#include "tests/devices/apic_registers.h"
#include "tests/devices/fixture.h"
#include "vmm/devices/local_apic.h"

namespace gnomon::vmm {
namespace {

constexpr uint32_t kMasked = 0x1'0000, kLevel = 0x8000, kRemoteIrr = 0x4000, kLogical = 0x0800;

BoardOptions two_cpus() {
  BoardOptions options;
  options.cpus = 2;
  return options;
}

class IoApicTest : public ::testing::Test, public BoardFixture {
 protected:
  IoApicTest()
      : BoardFixture(two_cpus()),
        bus(control),
        first(0, clock, bus),
        second(1, clock, bus),
        chip(bus, 2) {
    bus.attach(first);
    bus.attach(second);
    bus.attach(chip);
    first.write(kSvr, 0x1ff);
    second.write(kSvr, 0x1ff);
  }
  void entry(unsigned pin, uint32_t low, uint32_t high = 0) {
    write(static_cast<uint8_t>(0x11 + 2 * pin), high);
    write(static_cast<uint8_t>(0x10 + 2 * pin), low);
  }
  void write(uint8_t index, uint32_t value) {
    chip.io_write({0x00, 4, 0}, index);
    chip.io_write({0x10, 4, 0}, value);
  }
  uint32_t read(uint8_t index) {
    chip.io_write({0x00, 4, 0}, index);
    return static_cast<uint32_t>(chip.io_read({0x10, 4, 0}));
  }

  ApicBus bus;
  LocalApic first, second;
  IoApic chip;
};

TEST_F(IoApicTest, Registers) {
  EXPECT_EQ(read(0), 0x0200'0000u);
  EXPECT_EQ(read(1), 0x0017'0011u);
  write(0, 0xff00'0000);
  EXPECT_EQ(read(0), 0x0f00'0000u);
  for (unsigned pin = 0; pin < 24; ++pin)
    EXPECT_EQ(read(static_cast<uint8_t>(0x10 + 2 * pin)), kMasked);
  entry(5, 0xffff'ffff, 0xffff'ffff);
  EXPECT_EQ(read(0x1a), 0x0001'afffu) << "status, remote IRR and reserved bits are not written";
  EXPECT_EQ(read(0x1b), 0xff00'0000u);
  EXPECT_EQ(read(0x40), 0u);
  write(0x40, 1);
  EXPECT_EQ(read(0xff), 0u);
}

TEST_F(IoApicTest, EdgesAreSentOnceAndLostWhenMasked) {
  entry(4, 0x24);
  chip.set_pin(4, true);
  EXPECT_EQ(first.acknowledge(), 0x24);
  chip.set_pin(4, true);
  first.write(kEoi, 0);
  EXPECT_FALSE(first.interrupt_pending()) << "no new edge";
  chip.set_pin(4, false);
  entry(4, 0x24 | kMasked);
  chip.set_pin(4, true);
  entry(4, 0x24);
  EXPECT_FALSE(first.interrupt_pending());
  chip.set_pin(4, false);
  chip.set_pin(4, true);
  EXPECT_TRUE(first.interrupt_pending());
}

TEST_F(IoApicTest, LevelsComeBackUntilTheLineFalls) {
  entry(9, 0x29 | kLevel, 1u << 24);
  chip.set_pin(9, true);
  EXPECT_EQ(read(0x22), 0x29 | kLevel | kRemoteIrr);
  EXPECT_FALSE(first.interrupt_pending());
  EXPECT_EQ(second.acknowledge(), 0x29);
  EXPECT_EQ(second.read(0x190), 0x0200u) << "trigger mode register";
  EXPECT_FALSE(second.interrupt_pending());
  second.write(kEoi, 0);
  EXPECT_EQ(second.acknowledge(), 0x29) << "the line is still high";
  chip.set_pin(9, false);
  EXPECT_EQ(read(0x22), 0x29 | kLevel | kRemoteIrr);
  second.write(kEoi, 0);
  EXPECT_EQ(read(0x22), 0x29 | kLevel);
  EXPECT_FALSE(second.interrupt_pending());
  entry(9, 0x29 | kLevel | kMasked);
  chip.set_pin(9, true);
  EXPECT_FALSE(first.interrupt_pending());
  entry(9, 0x29 | kLevel);
  EXPECT_TRUE(first.interrupt_pending()) << "unmasking a high level";
  entry(9, 0x29);
  EXPECT_EQ(read(0x22), 0x29u) << "an edge entry has no remote IRR";
}

TEST_F(IoApicTest, LogicalDestinationLowestPriorityAndNmi) {
  first.write(0xd0, 0x0100'0000);
  second.write(0xd0, 0x0200'0000);
  first.set_task_priority(0x20);
  entry(3, 0x0133 | kLogical, 0x0300'0000);
  chip.set_pin(3, true);
  EXPECT_EQ(second.acknowledge(), 0x33);
  EXPECT_FALSE(first.interrupt_pending());
  entry(7, 0x0400, 0x0100'0000);
  chip.set_pin(7, true);
  EXPECT_EQ(control.take(), "nmi 1");
}

TEST_F(IoApicTest, LevelThatNobodyTakesIsNotStuck) {
  entry(9, 0x29 | kLevel, 7u << 24);
  chip.set_pin(9, true);
  EXPECT_EQ(read(0x22) & kRemoteIrr, 0u);
  entry(9, 0x29 | kLevel, 0);
  EXPECT_TRUE(first.interrupt_pending());
}

// A teaching Unix: all pins masked with vector 32 + IRQ, then the ones in use opened; both PICs
// masked; local APIC enabled with LINT pins masked.
TEST_F(IoApicTest, BoardRoutesInterruptsAsTheMpTableSays) {
  out(0x21, 0xff);
  out(0xa1, 0xff);
  set_apic(0x350, kMasked);
  set_apic(0x360, kMasked);
  set_apic(kSvr, 0x13f, 0);
  set_apic(kSvr, 0x13f, 1);
  EXPECT_EQ(io_apic(1) >> 16 & 0xff, 23u);
  EXPECT_EQ(io_apic(0) >> 24, 2u);
  for (unsigned pin = 0; pin < 24; ++pin) redirect(pin, kMasked | (32 + pin));
  redirect(4, 36);
  redirect(2, 34, 1u << 24);
  out(0x3f9, 0x01);
  EXPECT_EQ(board->console_input("x"), 1u);
  EXPECT_EQ(take_interrupt(0), 36);
  EXPECT_EQ(in(0x3f8), 'x');
  set_apic(kEoi, 0);
  out(0x43, 0x34);
  out(0x40, 0xff), out(0x40, 0xff);
  pass_ns(60'000'000);
  EXPECT_EQ(take_interrupt(1), 34) << "IRQ 0 is pin 2";
  EXPECT_EQ(take_interrupt(0), -1);
}

}  // namespace
}  // namespace gnomon::vmm
