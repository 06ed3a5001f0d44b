// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/pic.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/scenario/random.h"

namespace gnomon::vmm {
namespace {

// The rule as the data sheet tells it: order the levels; a request is served if it is not masked
// and nothing of the same or a higher place is in service.
int naive_level(const PicPriorities& p) {
  std::array<int, 8> order{};
  for (int i = 1; i <= 8; ++i) order[static_cast<size_t>(i - 1)] = (p.lowest + i) % 8;
  const auto has = [](uint8_t set, int level) { return (set >> level & 1) != 0; };
  for (size_t place = 0; place < 8; ++place) {
    const int level = order[place];
    if (!has(p.requests, level) || has(p.masked, level)) continue;
    bool blocked = false;
    for (size_t other = 0; other <= place; ++other) {
      const int busy = order[other];
      if (!has(p.in_service, busy)) continue;
      if (p.special_mask && has(p.masked, busy)) continue;
      if (busy == level && has(p.nested, level)) continue;
      blocked = true;
    }
    if (!blocked) return level;
  }
  return -1;
}

TEST(PicPriority, AgreesWithTheNaiveRuleOnEveryState) {
  // Masks that single out levels, in every rotation; requests and services in all combinations.
  for (const unsigned masked : {0x00u, 0x84u, 0x5au}) {
    for (unsigned lowest = 0; lowest < 8; ++lowest) {
      for (unsigned mode = 0; mode < 4; ++mode) {
        for (unsigned state = 0; state < 0x1'0000; ++state) {
          PicPriorities p;
          p.requests = static_cast<uint8_t>(state);
          p.in_service = static_cast<uint8_t>(state >> 8);
          p.masked = static_cast<uint8_t>(masked);
          p.lowest = static_cast<uint8_t>(lowest);
          p.special_mask = (mode & 1) != 0;
          p.nested = (mode & 2) != 0 ? 4 : 0;
          ASSERT_EQ(pic_level_to_serve(p), naive_level(p))
              << "IRR " << +p.requests << " ISR " << +p.in_service << " IMR " << masked
              << " lowest " << lowest << " mode " << mode;
        }
      }
    }
  }
}

class PicTest : public ::testing::Test {
 protected:
  PicTest()
      : pic([this](bool high) {
          intr = high;
          ++changes;
        }) {}
  void init(uint8_t icw4 = 1) {
    out(0x20, {0x11});
    out(0x21, {0x20, 0x04, icw4, 0x00});
    out(0xa0, {0x11});
    out(0xa1, {0x28, 0x02, 0x01, 0x00});
  }
  void out(uint16_t port, std::initializer_list<uint8_t> values) {
    for (const uint8_t v : values) pic.write_port(port, v);
  }
  void pulse(unsigned irq) {
    pic.set_irq(irq, true);
    pic.set_irq(irq, false);
  }
  uint8_t read(uint16_t port, uint8_t ocw3) {
    pic.write_port(port, ocw3);
    return pic.read_port(port);
  }
  uint8_t isr(uint16_t port) { return read(port, 0x0b); }
  uint8_t irr(uint16_t port) { return read(port, 0x0a); }

  bool intr = false;
  int changes = 0;
  PicPair pic;
};

TEST_F(PicTest, HigherPriorityInterruptsLowerUntilEndOfInterrupt) {
  init();
  pulse(4);
  EXPECT_TRUE(intr);
  EXPECT_EQ(irr(0x20), 0x10);
  EXPECT_EQ(pic.acknowledge(), 0x24);
  EXPECT_FALSE(intr);
  EXPECT_EQ(isr(0x20), 0x10);
  EXPECT_EQ(irr(0x20), 0x00);
  pulse(6);
  EXPECT_FALSE(intr) << "lower than the one in service";
  pulse(1);
  EXPECT_TRUE(intr);
  EXPECT_EQ(pic.acknowledge(), 0x21);
  EXPECT_EQ(isr(0x20), 0x12);
  out(0x20, {0x20});
  EXPECT_EQ(isr(0x20), 0x10) << "a non-specific EOI ends the highest";
  out(0x20, {0x64});
  EXPECT_EQ(isr(0x20), 0x00);
  EXPECT_EQ(pic.acknowledge(), 0x26);
}

TEST_F(PicTest, SlaveGoesThroughLevelTwo) {
  init();
  pulse(14);
  pulse(9);
  EXPECT_EQ(pic.acknowledge(), 0x29);
  EXPECT_EQ(isr(0x20), 0x04);
  EXPECT_EQ(isr(0xa0), 0x02);
  EXPECT_FALSE(intr);
  pulse(8);
  EXPECT_FALSE(intr) << "the master holds the slave back";
  out(0xa0, {0x20});
  out(0x20, {0x20});
  EXPECT_EQ(pic.acknowledge(), 0x28);
  out(0xa0, {0x20});
  out(0x20, {0x62});
  EXPECT_EQ(pic.acknowledge(), 0x2e);
  out(0xa0, {0x66});
  out(0x20, {0x62});
  EXPECT_FALSE(intr);
  EXPECT_EQ(isr(0x20) | isr(0xa0), 0);
}

TEST_F(PicTest, SpecialFullyNestedModeLetsTheSlaveInterruptItself) {
  init(0x11);
  pulse(14);
  EXPECT_EQ(pic.acknowledge(), 0x2e);
  pulse(8);
  EXPECT_TRUE(intr);
  EXPECT_EQ(pic.acknowledge(), 0x28);
  EXPECT_EQ(isr(0xa0), 0x41);
}

TEST_F(PicTest, SpuriousInterruptsAreLevelSevenAndNotInService) {
  init();
  EXPECT_EQ(pic.acknowledge(), 0x27);
  EXPECT_EQ(isr(0x20), 0);
  pulse(10);
  out(0xa1, {0x04});  // masked after the slave has called the master
  EXPECT_FALSE(intr);
  EXPECT_EQ(pic.acknowledge(), 0x27) << "of a processor that was called before";
  EXPECT_EQ(isr(0xa0) | isr(0x20), 0);
}

TEST_F(PicTest, LevelTriggeredRequestsLastAsLongAsTheLine) {
  init();
  out(0x4d0, {0xff});
  out(0x4d1, {0xff});
  EXPECT_EQ(pic.read_port(0x4d0), 0xf8) << "IRQ 0 to 2 stay edge triggered";
  EXPECT_EQ(pic.read_port(0x4d1), 0xde) << "so do 8 and 13";
  pic.set_irq(5, true);
  EXPECT_EQ(pic.acknowledge(), 0x25);
  EXPECT_EQ(irr(0x20), 0x20);
  out(0x20, {0x20});
  EXPECT_TRUE(intr) << "still high";
  pic.set_irq(5, false);
  EXPECT_FALSE(intr);
  pulse(0);
  EXPECT_TRUE(intr) << "an edge is kept";
}

TEST_F(PicTest, AutomaticEndAndRotation) {
  init(0x03);
  pic.set_irq(3, true);
  EXPECT_EQ(pic.acknowledge(), 0x23);
  EXPECT_EQ(isr(0x20), 0);
  EXPECT_FALSE(intr) << "one edge, one interrupt";
  pic.set_irq(3, false);
  out(0x20, {0x80});  // rotate in automatic EOI mode
  pulse(3);
  EXPECT_EQ(pic.acknowledge(), 0x23);
  pulse(3);
  pulse(4);
  EXPECT_EQ(pic.acknowledge(), 0x24) << "3 is now the lowest";
  EXPECT_EQ(pic.acknowledge(), 0x23);
}

TEST_F(PicTest, RotationsByCommand) {
  init();
  out(0x20, {0xc4});  // level 4 is the lowest: 5 comes first
  pulse(0);
  pulse(5);
  EXPECT_EQ(pic.acknowledge(), 0x25);
  out(0x20, {0xa0});  // rotate on non-specific EOI
  pulse(5);
  pulse(6);
  EXPECT_EQ(pic.acknowledge(), 0x26);
  out(0x20, {0xe6});  // rotate on specific EOI
  EXPECT_EQ(pic.acknowledge(), 0x20);
}

TEST_F(PicTest, SpecialMaskModeOpensLowerLevels) {
  init();
  pulse(3);
  EXPECT_EQ(pic.acknowledge(), 0x23);
  pulse(6);
  EXPECT_FALSE(intr);
  out(0x21, {0x08});
  EXPECT_FALSE(intr) << "masking alone does not help";
  out(0x20, {0x68});
  EXPECT_TRUE(intr);
  EXPECT_EQ(pic.acknowledge(), 0x26);
  out(0x20, {0x20});
  EXPECT_EQ(isr(0x20), 0x08) << "a masked level is not ended by a non-specific EOI";
  out(0x20, {0x48});
}

TEST_F(PicTest, PollIsAnAcknowledge) {
  init();
  EXPECT_EQ(read(0x20, 0x0c), 0x00);
  pulse(11);
  pulse(12);
  EXPECT_EQ(read(0x20, 0x0c), 0x82);
  EXPECT_EQ(read(0xa0, 0x0c), 0x83);
  EXPECT_EQ(isr(0xa0), 0x08);
  EXPECT_FALSE(intr);
  out(0xa0, {0x20});
  out(0x20, {0x20});
  EXPECT_EQ(pic.acknowledge(), 0x2c);
}

// Who masks or polls a request at the slave takes it away from the master as well: no spurious
// interrupt is left behind.
TEST_F(PicTest, TheCascadeIsRequestedAsLongAsTheSlaveRequests) {
  init();
  pulse(11);
  EXPECT_EQ(irr(0x20), 0x04);
  EXPECT_EQ(read(0xa0, 0x0c), 0x83) << "the slave alone is polled";
  EXPECT_FALSE(intr);
  EXPECT_EQ(irr(0x20), 0x00);
  out(0xa0, {0x20});
  pulse(12);
  EXPECT_TRUE(intr);
  out(0xa1, {0x10});
  EXPECT_FALSE(intr) << "masked";
  out(0xa1, {0x00});
  EXPECT_TRUE(intr);
  EXPECT_EQ(pic.acknowledge(), 0x2c);
  EXPECT_EQ(irr(0x20) | irr(0xa0), 0x00);
}

TEST_F(PicTest, InitializationForgetsRequestsAndMasks) {
  init();
  out(0x21, {0xff});
  pic.set_irq(1, true);
  init();
  EXPECT_EQ(pic.read_port(0x21), 0);
  EXPECT_FALSE(intr) << "a line that is high already needs a new edge";
  pic.set_irq(1, false);
  pulse(1);
  EXPECT_TRUE(intr);
}

// The chip against a model that follows the text, over random operations.
TEST_F(PicTest, RandomOperationsKeepTheOutputRight) {
  scenario::Random random(7);
  init();
  unsigned lines = 0;
  for (int step = 0; step < 200'000; ++step) {
    switch (random.below(6)) {
      case 0:
      case 1: {
        const unsigned irq = static_cast<unsigned>(random.below(16));
        lines ^= 1u << irq;
        pic.set_irq(irq, (lines >> irq & 1) != 0);
        break;
      }
      case 2:
        if (intr) pic.acknowledge();
        break;
      case 3: out(random.below(2) != 0 ? 0x20 : 0xa0, {0x20}); break;
      case 4:
        out(random.below(2) != 0 ? 0x21 : 0xa1,
            {static_cast<uint8_t>(random.next() & random.next())});
        break;
      default:
        out(random.below(2) != 0 ? 0x20 : 0xa0, {static_cast<uint8_t>(0x60 | random.below(8))});
        break;
    }
    PicPriorities master;
    master.requests = irr(0x20);
    master.in_service = isr(0x20);
    master.masked = pic.read_port(0x21);
    ASSERT_EQ(intr, naive_level(master) >= 0) << step;
    PicPriorities slave;
    slave.requests = irr(0xa0);
    slave.in_service = isr(0xa0);
    slave.masked = pic.read_port(0xa1);
    if (naive_level(slave) >= 0) {
      const bool called = ((master.requests | master.in_service) & 4) != 0;
      ASSERT_TRUE(called) << "the slave's request was lost at step " << step;
    }
  }
  EXPECT_GT(changes, 1000);
}

}  // namespace
}  // namespace gnomon::vmm
