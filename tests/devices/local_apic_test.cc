// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/local_apic.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/devices/apic_registers.h"
#include "tests/devices/fixture.h"
#include "tests/scenario/random.h"

namespace gnomon::vmm {
namespace {

class LoneApic : public ::testing::Test {
 protected:
  LoneApic() : bus(control), apic(0, clock, bus) { bus.attach(apic); }
  Clock clock;
  ControlLog control;
  ApicBus bus;
  LocalApic apic;
};

// SDM vol. 3, 11.8.3.1, with sets.
struct NaiveApic {
  std::multiset<int> requested, serving;
  int tpr = 0;
  int ppr() const {
    const int top = serving.empty() ? 0 : *serving.rbegin();
    if (tpr / 16 >= top / 16) return tpr;
    return top / 16 * 16;
  }
  int deliverable() const {
    if (requested.empty() || *requested.rbegin() / 16 <= ppr() / 16) return -1;
    return *requested.rbegin();
  }
};

TEST_F(LoneApic, PrioritiesOfEveryPairOfVectorsUnderEveryClass) {
  for (int serving = 15; serving < 256; ++serving) {  // 15: none
    for (int requested = 16; requested < 256; ++requested) {
      apic.reset(true);
      NaiveApic naive;
      if (serving > 15) {
        apic.accept(static_cast<uint8_t>(serving), false);
        ASSERT_EQ(apic.acknowledge(), static_cast<uint8_t>(serving));
        naive.serving.insert(serving);
      }
      apic.accept(static_cast<uint8_t>(requested), false);
      naive.requested.insert(requested);
      for (int tpr = 0; tpr < 256; tpr += 8) {
        naive.tpr = tpr;
        apic.set_task_priority(static_cast<uint8_t>(tpr));
        ASSERT_EQ(apic.processor_priority(), naive.ppr()) << serving << " " << tpr;
        ASSERT_EQ(apic.interrupt_pending(), naive.deliverable() >= 0)
            << serving << " " << requested << " " << tpr;
      }
    }
  }
}

TEST_F(LoneApic, RandomOperationsAgreeWithSets) {
  scenario::Random random(11);
  NaiveApic naive;
  for (int step = 0; step < 40'000; ++step) {
    switch (random.below(5)) {
      case 0:
      case 1: {
        const int vector = static_cast<int>(16 + random.below(240));
        apic.accept(static_cast<uint8_t>(vector), random.below(2) != 0);
        if (naive.requested.count(vector) == 0) naive.requested.insert(vector);
        break;
      }
      case 2: {
        const int expected = naive.deliverable();
        const auto vector = apic.acknowledge();
        ASSERT_EQ(vector ? *vector : -1, expected) << step;
        if (expected >= 0) {
          naive.requested.erase(expected);
          naive.serving.insert(expected);
        }
        break;
      }
      case 3:
        apic.write(kEoi, 0);
        if (!naive.serving.empty()) naive.serving.erase(std::prev(naive.serving.end()));
        break;
      default:
        naive.tpr = static_cast<int>(random.below(3) == 0 ? random.below(256) : 0);
        apic.write(kTpr, static_cast<uint32_t>(naive.tpr));
        break;
    }
    ASSERT_EQ(apic.interrupt_pending(), naive.deliverable() >= 0) << step;
    ASSERT_EQ(apic.read(kPpr), static_cast<uint32_t>(naive.ppr())) << step;
    for (int word = 0; word < 8; ++word) {
      uint32_t irr = 0, isr = 0;
      for (const int v : naive.requested) irr |= v / 32 == word ? 1u << v % 32 : 0;
      for (const int v : naive.serving) isr |= v / 32 == word ? 1u << v % 32 : 0;
      ASSERT_EQ(apic.read(static_cast<uint32_t>(0x200 + 16 * word)), irr) << step;
      ASSERT_EQ(apic.read(static_cast<uint32_t>(0x100 + 16 * word)), isr) << step;
    }
  }
}

TEST_F(LoneApic, TimerOncePeriodicallyAndDivided) {
  apic.write(kSvr, 0x1ff);
  apic.write(kLvtTimer, 0x40);
  apic.write(kDivide, 0xb);  // by 1
  apic.write(kInitial, 5000);
  clock.advance_to(4999);
  EXPECT_EQ(apic.read(kCurrent), 1u);
  EXPECT_FALSE(apic.interrupt_pending());
  clock.advance_to(5000);
  EXPECT_EQ(apic.acknowledge(), 0x40);
  EXPECT_EQ(apic.read(kCurrent), 0u);
  apic.write(kEoi, 0);
  clock.advance_to(1'000'000);
  EXPECT_FALSE(apic.interrupt_pending());

  apic.write(kDivide, 0x3);  // by 16
  apic.write(kLvtTimer, 0x2'0041);
  apic.write(kInitial, 1000);
  for (uint64_t i = 1; i <= 50; ++i) {
    clock.advance_to(1'000'000 + 16'000 * i - 1);
    ASSERT_FALSE(apic.interrupt_pending()) << i;
    clock.advance_to(1'000'000 + 16'000 * i);
    ASSERT_EQ(apic.acknowledge(), 0x41) << i;
    apic.write(kEoi, 0);
  }
  clock.advance_to(clock.now() + 160);
  EXPECT_EQ(apic.read(kCurrent), 990u);
  apic.write(kDivide, 0xa);  // by 128, from there on
  clock.advance_to(clock.now() + 1280);
  EXPECT_EQ(apic.read(kCurrent), 980u);
  apic.write(kInitial, 0);
  EXPECT_EQ(clock.next_deadline(), Clock::kNever);
}

TEST_F(LoneApic, MaskedTimerCountsWithoutWakingAnybody) {
  apic.write(kLvtTimer, 0x3'0041);
  apic.write(kDivide, 0xb);
  apic.write(kInitial, 1000);
  EXPECT_EQ(clock.next_deadline(), Clock::kNever);
  clock.advance_to(2300);
  EXPECT_EQ(apic.read(kCurrent), 700u);
  apic.write(kLvtTimer, 0x2'0041);
  clock.advance_to(3000);
  EXPECT_EQ(apic.acknowledge(), 0x41);
}

TEST_F(LoneApic, TinyPeriodsDoNotMultiply) {
  apic.write(kLvtTimer, 0x2'0041);
  apic.write(kDivide, 0xb);
  apic.write(kInitial, 1);
  EXPECT_EQ(clock.next_deadline(), 1000u);
  clock.advance_to(3'600'000'000'000);
  EXPECT_EQ(apic.acknowledge(), 0x41);
  EXPECT_FALSE(apic.interrupt_pending());
  EXPECT_EQ(clock.next_deadline(), clock.now() + 1000);
}

TEST_F(LoneApic, ErrorsAreCollectedUntilWritten) {
  apic.write(kLvtError, 0x33);
  apic.write(kIcrHigh, 0);
  apic.write(kIcrLow, 0x0000'0005);  // vectors below 16 are illegal
  EXPECT_EQ(apic.read(kEsr), 0u);
  apic.write(kEsr, 0);
  EXPECT_EQ(apic.read(kEsr), 0x20u);
  EXPECT_EQ(apic.acknowledge(), 0x33);
  EXPECT_FALSE(apic.accept(3, false));
  apic.read(0x3f0);
  apic.write(kEsr, 0);
  EXPECT_EQ(apic.read(kEsr), 0xc0u);
  apic.write(kEsr, 0);
  EXPECT_EQ(apic.read(kEsr), 0u);
}

TEST_F(LoneApic, DisablingMasksTheLocalEntries) {
  apic.write(kLvtTimer, 0x41);
  apic.write(kSvr, 0xff);
  EXPECT_EQ(apic.read(kLvtTimer), 0x1'0041u);
  EXPECT_FALSE(apic.accept(0x50, false));
  apic.write(kLvtTimer, 0x41);
  EXPECT_EQ(apic.read(kLvtTimer), 0x1'0041u) << "the mask cannot be cleared";
  EXPECT_FALSE(apic.set_base(0xfee0'0c00)) << "no x2APIC";
  EXPECT_FALSE(apic.set_base(0x1'fee0'0800));
  EXPECT_TRUE(apic.set_base(0xfee0'0000));
  EXPECT_EQ(apic.base(), 0xfee0'0100u) << "the boot processor stays that";
  EXPECT_FALSE(bus.deliver(1, {0, false, DeliveryMode::kNmi, 0, false}));
}

BoardOptions with_cpus(unsigned cpus) {
  BoardOptions options;
  options.cpus = cpus;
  return options;
}

class FourApics : public ::testing::Test, public BoardFixture {
 protected:
  FourApics() : BoardFixture(with_cpus(4)) {
    for (unsigned cpu = 0; cpu < 4; ++cpu) set_apic(kSvr, 0x1ff, cpu);
  }
  void send(unsigned from, uint32_t low, uint32_t to = 0) {
    set_apic(kIcrHigh, to << 24, from);
    set_apic(kIcrLow, low, from);
  }
  // Who has this vector pending, as digits; it is served.
  std::string who(int vector) {
    std::string text;
    for (unsigned cpu = 0; cpu < 4; ++cpu) {
      if (const int got = take_interrupt(cpu); got >= 0) {
        EXPECT_EQ(got, vector);
        text += std::to_string(cpu);
        set_apic(kEoi, 0, cpu);
      }
    }
    return text;
  }
};

TEST_F(FourApics, EachProcessorSeesItsOwn) {
  for (unsigned cpu = 0; cpu < 4; ++cpu) {
    EXPECT_EQ(apic(0x20, cpu), cpu << 24);
    EXPECT_EQ(apic(0x30, cpu), 0x0005'0014u);
    EXPECT_EQ(board->apic_base(cpu), 0xfee0'0800u | (cpu == 0 ? 0x100 : 0));
    board->set_task_priority(cpu, static_cast<uint8_t>(cpu + 2));
    EXPECT_EQ(apic(kTpr, cpu), (cpu + 2) << 4);
    EXPECT_EQ(board->task_priority(cpu), cpu + 2);
  }
  EXPECT_EQ(board->device_memory().read(0xfee0'0021, 1, 0), 0u);
  EXPECT_EQ(board->device_memory().read(0xfee0'0023, 1, 3), 3u);
  board->device_memory().write(0xfee0'0080, 1, 0xf0, 1);
  EXPECT_EQ(apic(kTpr, 1), 0x30u) << "a write of part of a register does nothing";
}

TEST_F(FourApics, DestinationsAndShorthands) {
  send(1, 0x50, 3);
  EXPECT_EQ(who(0x50), "3");
  send(1, 0x50, 0xff);
  EXPECT_EQ(who(0x50), "0123");
  send(1, 0x4'0051);
  EXPECT_EQ(who(0x51), "1");
  send(1, 0x8'0052);
  EXPECT_EQ(who(0x52), "0123");
  send(1, 0xc'0053);
  EXPECT_EQ(who(0x53), "023");
  send(1, 0x54, 9);
  EXPECT_EQ(who(0x54), "") << "nobody has this ID";

  for (unsigned cpu = 0; cpu < 4; ++cpu) set_apic(kLdr, 0x0100'0000u << cpu, cpu);
  send(0, 0x0855, 0x0a);
  EXPECT_EQ(who(0x55), "13") << "flat";
  for (unsigned cpu = 0; cpu < 4; ++cpu) {
    set_apic(kDfr, 0x0fff'ffff, cpu);
    set_apic(kLdr, (cpu / 2 * 16 + (1u << cpu % 2)) << 24, cpu);
  }
  send(0, 0x0856, 0x13);
  EXPECT_EQ(who(0x56), "23") << "cluster 1";
  send(0, 0x0857, 0x01);
  EXPECT_EQ(who(0x57), "0");
  send(0, 0x0858, 0xf2);
  EXPECT_EQ(who(0x58), "13") << "second of every cluster";
}

TEST_F(FourApics, LowestPriorityGoesToTheIdlest) {
  for (unsigned cpu = 0; cpu < 4; ++cpu) set_apic(kTpr, cpu == 2 ? 0x10 : 0x30, cpu);
  send(0, 0x0150, 0xff);
  EXPECT_EQ(who(0x50), "2");
  set_apic(kSvr, 0xff, 2);
  send(0, 0x0151, 0xff);
  EXPECT_EQ(who(0x51), "0") << "the first of those that are left";
}

// As kernels start the other processors (MultiProcessor Specification, B.4).
TEST_F(FourApics, UniversalStartupAlgorithm) {
  send(0, 0x50, 2);
  send(0, 0xc500, 2);  // INIT, level, assert
  send(0, 0x8500, 2);  // and deassert
  send(0, 0x0607, 2);
  send(0, 0x0607, 2);
  EXPECT_EQ(control.take(), "init 2; startup 2 7; startup 2 7");
  EXPECT_EQ(apic(kSvr, 2), 0xffu) << "INIT resets the local APIC";
  EXPECT_FALSE(board->interrupt_pending(2));
  send(0, 0xc'0400);
  EXPECT_EQ(control.take(), "nmi 1; nmi 2; nmi 3");
}

TEST_F(FourApics, VirtualWireHandsThePicToTheFirstProcessor) {
  board->reset();
  init_pics();
  set_apic(kSvr, 0x1ff, 1);
  set_apic(kLint0, 0x700, 1);
  out(0x43, 0x34);
  out(0x40, 100), out(0x40, 0);
  pass_ns(1'000'000);
  EXPECT_FALSE(board->interrupt_pending(1)) << "only the first is wired to it";
  EXPECT_TRUE(board->interrupt_pending(0));
  set_apic(kLint0, 0x1'0700);
  EXPECT_FALSE(board->interrupt_pending(0));
  EXPECT_FALSE(board->acknowledge_interrupt(0).has_value());
  EXPECT_TRUE(board->set_apic_base(0, 0xfee0'0100));
  EXPECT_EQ(apic(kTpr), 0xffff'ffffu) << "switched off: no registers";
  EXPECT_EQ(take_interrupt(0), 0x20) << "then the PIC's output is the processor's INTR";
}

TEST_F(FourApics, LintPinsWithOtherDeliveryModes) {
  init_pics();
  set_apic(kLint0, 0x0077);
  out(0x43, 0x30);
  out(0x40, 10), out(0x40, 0);
  pass_ns(100'000);
  EXPECT_EQ(take_interrupt(0), 0x77) << "fixed";
  EXPECT_EQ(apic(kLint1), 0x0400u);
}

}  // namespace
}  // namespace gnomon::vmm
