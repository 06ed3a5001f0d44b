// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/pit.h"

#include <gtest/gtest.h>

#include "vmm/devices/rate.h"

namespace gnomon::vmm {
namespace {

class PitTest : public ::testing::Test {
 protected:
  PitTest()
      : pit(clock, [this](bool high) {
          if (high && !line) ++edges;
          line = high;
        }) {}
  // Advances to the first moment of a tick.
  void at_tick(uint64_t tick) { clock.advance_to(time_of_tick(tick, Pit::kHz)); }
  void program(unsigned counter, unsigned mode, uint16_t count) {
    pit.write_port(0x43, static_cast<uint8_t>(counter << 6 | 0x30 | mode << 1));
    pit.write_port(static_cast<uint16_t>(0x40 + counter), static_cast<uint8_t>(count));
    pit.write_port(static_cast<uint16_t>(0x40 + counter), static_cast<uint8_t>(count >> 8));
  }
  unsigned read_count(unsigned counter) {
    pit.write_port(0x43, static_cast<uint8_t>(counter << 6));
    const unsigned low = pit.read_port(static_cast<uint16_t>(0x40 + counter));
    return low | unsigned{pit.read_port(static_cast<uint16_t>(0x40 + counter))} << 8;
  }
  bool out2() { return (pit.read_port(0x61) & 0x20) != 0; }
  uint8_t status(unsigned counter) {
    pit.write_port(0x43, static_cast<uint8_t>(0xe0 | 2u << counter));
    return pit.read_port(static_cast<uint16_t>(0x40 + counter));
  }

  Clock clock;
  bool line = false;
  int edges = 0;
  Pit pit;
};

TEST_F(PitTest, RateGeneratorAtHundredHertz) {
  program(0, 2, 11932);
  edges = 0;
  for (int i = 1; i <= 300; ++i) {
    at_tick(uint64_t{11932} * static_cast<unsigned>(i) - 1);
    EXPECT_EQ(edges, i - 1);
    at_tick(uint64_t{11932} * static_cast<unsigned>(i));
    EXPECT_EQ(edges, i);
  }
  EXPECT_EQ(read_count(0), 11932u);
  at_tick(uint64_t{11932} * 300 + 5);
  EXPECT_EQ(read_count(0), 11927u);
}

TEST_F(PitTest, CountZeroIsTheLongest) {
  program(0, 2, 0);
  edges = 0;
  at_tick(65535);
  EXPECT_EQ(edges, 0);
  at_tick(65536);
  EXPECT_EQ(edges, 1);
}

TEST_F(PitTest, OneShotOnTerminalCount) {
  program(0, 0, 1000);
  EXPECT_FALSE(line);
  at_tick(999);
  EXPECT_FALSE(line);
  EXPECT_EQ(read_count(0), 1u);
  at_tick(1000);
  EXPECT_TRUE(line);
  EXPECT_EQ(edges, 1);
  at_tick(1003);
  EXPECT_EQ(read_count(0), 0xfffdu) << "counts on through zero";
  at_tick(5'000'000);
  EXPECT_EQ(edges, 1);
  program(0, 0, 10);
  EXPECT_FALSE(line) << "a new count lowers OUT";
}

TEST_F(PitTest, SoftwareStrobeIsLowForOneTick) {
  program(0, 4, 100);
  EXPECT_TRUE(line);
  edges = 0;
  at_tick(100);
  EXPECT_EQ(status(0) & 0x80, 0);
  EXPECT_EQ(edges, 0);
  at_tick(101);
  EXPECT_EQ(edges, 1);
  EXPECT_EQ(status(0) & 0x80, 0x80);
  at_tick(1'000'000);
  EXPECT_EQ(edges, 1);
}

TEST_F(PitTest, SquareWave) {
  program(0, 3, 10);
  edges = 0;
  for (const unsigned n : {0u, 4u, 5u, 9u, 10u}) {
    at_tick(n);
    EXPECT_EQ(status(0) >> 7, n % 10 < 5 ? 1 : 0) << n;
  }
  EXPECT_EQ(edges, 1);
  at_tick(12);
  EXPECT_EQ(read_count(0), 6u) << "by twos";
  program(0, 3, 5);  // odd: high for three ticks, low for two
  at_tick(12 + 2);
  EXPECT_EQ(status(0) >> 7, 1);
  at_tick(12 + 3);
  EXPECT_EQ(status(0) >> 7, 0);
}

TEST_F(PitTest, NewCountOfARunningGeneratorWaitsForThePeriod) {
  program(0, 2, 100);
  at_tick(30);
  edges = 0;
  pit.write_port(0x40, 10);
  pit.write_port(0x40, 0);
  EXPECT_EQ(status(0) & 0x40, 0x40) << "null count";
  EXPECT_EQ(read_count(0), 70u);
  at_tick(99);
  EXPECT_EQ(edges, 0);
  at_tick(100);
  EXPECT_EQ(edges, 1);
  EXPECT_EQ(status(0) & 0x40, 0);
  at_tick(110);
  EXPECT_EQ(edges, 2);
}

TEST_F(PitTest, NewCountOfASquareWaveWaitsForTheHalf) {
  program(0, 3, 100);
  at_tick(30);
  edges = 0;
  pit.write_port(0x40, 11);
  pit.write_port(0x40, 0);
  // 100 ends at 50; of 11 ticks, 6 are high.
  for (uint64_t n = 31; n < 130; ++n) {
    at_tick(n);
    const bool high = n < 50 || (n >= 55 && (n - 55) % 11 < 6);
    ASSERT_EQ(status(0) >> 7, high ? 1 : 0) << n;
    ASSERT_EQ(status(0) & 0x40, n < 50 ? 0x40 : 0) << n;
    ASSERT_EQ(edges, n < 55 ? 0 : static_cast<int>((n - 55) / 11 + 1)) << n;
  }
  program(0, 3, 100);
  at_tick(129 + 70);  // low
  edges = 0;
  pit.write_port(0x40, 10);
  pit.write_port(0x40, 0);
  at_tick(129 + 99);
  EXPECT_EQ(edges, 0);
  at_tick(129 + 100);
  EXPECT_EQ(edges, 1);
  at_tick(129 + 110);
  EXPECT_EQ(edges, 2);
}

TEST_F(PitTest, NewCountOfASquareWaveShorterThanItsFirstHalf) {
  program(0, 3, 10);
  pit.write_port(0x40, 0);  // 65536 ticks, of which none has passed yet
  pit.write_port(0x40, 0);
  at_tick(5);
  EXPECT_EQ(status(0) >> 7, 0);
  EXPECT_EQ(read_count(0), 0u) << "65536, at the start of the low half";
  at_tick(5 + 32768);
  EXPECT_EQ(status(0) >> 7, 1);
}

// How kernels measure the processor's speed: mode 0 on counter 2, watched at port 0x61.
TEST_F(PitTest, CalibrationThroughTheSpeakerGate) {
  pit.write_port(0x61, 0x01);
  program(2, 0, 11932);
  EXPECT_FALSE(out2());
  at_tick(11931);
  EXPECT_FALSE(out2());
  at_tick(11932);
  EXPECT_TRUE(out2());
  EXPECT_EQ(edges, 0);
}

TEST_F(PitTest, GateHoldsTheCount) {
  program(2, 0, 100);
  at_tick(50);
  EXPECT_EQ(read_count(2), 100u) << "the gate is closed";
  pit.write_port(0x61, 0x01);
  at_tick(80);
  EXPECT_EQ(read_count(2), 70u);
  pit.write_port(0x61, 0x00);
  at_tick(200);
  EXPECT_EQ(read_count(2), 70u);
  pit.write_port(0x61, 0x03);
  at_tick(270);
  EXPECT_TRUE(out2());
  EXPECT_EQ(pit.read_port(0x61) & 0x03, 0x03);
}

TEST_F(PitTest, GateTriggersTheOneShotAndRestartsTheGenerator) {
  program(2, 1, 50);
  EXPECT_TRUE(out2());
  at_tick(10);
  pit.write_port(0x61, 0x01);
  EXPECT_FALSE(out2());
  at_tick(59);
  EXPECT_FALSE(out2());
  at_tick(60);
  EXPECT_TRUE(out2());
  pit.write_port(0x61, 0x00);
  pit.write_port(0x61, 0x01);
  EXPECT_FALSE(out2()) << "triggered again";
  program(2, 3, 1000);
  at_tick(1000);
  pit.write_port(0x61, 0x00);
  EXPECT_TRUE(out2()) << "a closed gate lets OUT rise";
  pit.write_port(0x61, 0x01);
  at_tick(1499);
  EXPECT_TRUE(out2());
  at_tick(1500);
  EXPECT_FALSE(out2());
}

TEST_F(PitTest, LatchesAndReadBack) {
  program(0, 2, 1000);
  at_tick(10);
  pit.write_port(0x43, 0xc2);  // status and count of counter 0
  at_tick(20);
  pit.write_port(0x43, 0x00);  // too late: the latch holds
  EXPECT_EQ(pit.read_port(0x40), 0xb4) << "OUT high, low then high byte, mode 2";
  EXPECT_EQ(pit.read_port(0x40), 990 & 0xff);
  EXPECT_EQ(pit.read_port(0x40), 990 >> 8);
  EXPECT_EQ(pit.read_port(0x40), 980 & 0xff) << "the running count again";
  EXPECT_EQ(pit.read_port(0x40), 980 >> 8);
  pit.write_port(0x43, 0x10);  // counter 0: low byte only, mode 0
  pit.write_port(0x40, 200);
  at_tick(70);
  EXPECT_EQ(pit.read_port(0x40), 150);
  EXPECT_EQ(pit.read_port(0x40), 150) << "no second byte";
  EXPECT_EQ(pit.read_port(0x43), 0xff);
}

TEST_F(PitTest, BinaryCodedDecimal) {
  pit.write_port(0x43, 0x31);
  pit.write_port(0x40, 0x00);
  pit.write_port(0x40, 0x10);  // 1000
  at_tick(1);
  EXPECT_EQ(read_count(0), 0x999u);
  at_tick(1000);
  EXPECT_TRUE(line);
  at_tick(1001);
  EXPECT_EQ(read_count(0), 0x9999u);
}

TEST_F(PitTest, RefreshBitToggles) {
  const uint8_t first = pit.read_port(0x61) & 0x10;
  clock.advance_to(15'085);
  EXPECT_NE(pit.read_port(0x61) & 0x10, first);
}

TEST_F(PitTest, LongJumpsAreOneRequest) {
  program(0, 2, 2);
  edges = 0;
  clock.advance_to(uint64_t{24 * 3600} * kNsPerSecond);
  EXPECT_EQ(edges, 1) << "what nobody could have acknowledged is not repeated";
  const uint64_t next = clock.next_deadline();
  EXPECT_GT(next, clock.now());
  EXPECT_LE(next, clock.now() + 1677);
  clock.advance_to(Clock::kNever - 1);
  EXPECT_EQ(edges, 2);
}

}  // namespace
}  // namespace gnomon::vmm
