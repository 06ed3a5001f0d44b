// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/rtc.h"

#include <gtest/gtest.h>

#include <ctime>

#include "tests/scenario/random.h"
#include "vmm/devices/calendar.h"
#include "vmm/devices/rate.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kJustBefore2000 = 946'684'798;  // 1999-12-31 23:59:58, a Friday

class RtcTest : public ::testing::Test {
 protected:
  RtcTest()
      : rtc(clock, {kJustBefore2000, uint64_t{6} << 30, 1}, [this](bool high) {
          if (high && !line) ++edges;
          line = high;
        }) {}
  uint8_t get(uint8_t index) {
    rtc.write_port(0x70, index);
    return rtc.read_port(0x71);
  }
  void set(uint8_t index, uint8_t value) {
    rtc.write_port(0x70, index | 0x80);
    rtc.write_port(0x71, value);
  }
  void pass_seconds(uint64_t seconds) { clock.advance_to(clock.now() + seconds * kNsPerSecond); }
  // Century, year, month, day, hour, minute, second as digits.
  uint64_t now() {
    uint64_t value = 0;
    for (const uint8_t i : {0x32, 9, 8, 7, 4, 2, 0}) value = value << 8 | get(i);
    return value;
  }

  Clock clock;
  bool line = false;
  int edges = 0;
  Rtc rtc;
};

TEST(Calendar, AgreesWithTheHostsForRandomTimes) {
  scenario::Random random(3);
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t seconds = random.below(uint64_t{8000} * 365 * 86'400);
    const time_t host = static_cast<time_t>(seconds);
    struct tm expected {};
    ASSERT_NE(gmtime_r(&host, &expected), nullptr);
    const CalendarTime t = calendar_time(seconds);
    ASSERT_EQ(static_cast<int>(t.year), expected.tm_year + 1900) << seconds;
    ASSERT_EQ(static_cast<int>(t.month), expected.tm_mon + 1) << seconds;
    ASSERT_EQ(static_cast<int>(t.day), expected.tm_mday) << seconds;
    ASSERT_EQ(static_cast<int>(t.weekday), expected.tm_wday) << seconds;
    ASSERT_EQ(static_cast<int>(t.hour * 3600 + t.minute * 60 + t.second),
              expected.tm_hour * 3600 + expected.tm_min * 60 + expected.tm_sec);
    ASSERT_EQ(unix_seconds(t), seconds);
  }
}

TEST_F(RtcTest, CountsOverTheEndOfACentury) {
  EXPECT_EQ(now(), 0x19991231235958u);
  EXPECT_EQ(get(6), 6) << "Friday";
  pass_seconds(1);
  EXPECT_EQ(now(), 0x19991231235959u);
  pass_seconds(1);
  EXPECT_EQ(now(), 0x20000101000000u);
  EXPECT_EQ(get(6), 7);
  pass_seconds(59 * 86'400);
  EXPECT_EQ(now(), 0x20000229000000u) << "a leap year";
  EXPECT_EQ(get(0x0d), 0x80);
  EXPECT_EQ(rtc.read_port(0x70), 0xff);
}

TEST_F(RtcTest, BinaryAndTwelveHours) {
  set(0x0b, 0x04);
  EXPECT_EQ(get(0), 58);
  EXPECT_EQ(get(4), 0x80 | 11);
  EXPECT_EQ(get(9), 99);
  pass_seconds(2);
  EXPECT_EQ(get(4), 12) << "midnight";
  pass_seconds(12 * 3600);
  EXPECT_EQ(get(4), 0x80 | 12) << "noon";
}

TEST_F(RtcTest, SettingTheTime) {
  set(0x0b, 0x82);
  set(9, 0x24);
  set(0x32, 0x20);
  set(8, 0x02);
  set(7, 0x28);
  set(4, 0x23);
  set(2, 0x59);
  set(0, 0x59);
  pass_seconds(10);
  EXPECT_EQ(now(), 0x20240228235959u) << "stands still while it is set";
  set(0x0b, 0x02);
  pass_seconds(1);
  EXPECT_EQ(now(), 0x20240229000000u);
  set(4, 0x12);
  EXPECT_EQ(now(), 0x20240229120000u) << "a single byte, while it runs";
}

TEST_F(RtcTest, RestartingTheDividerMakesTheFirstUpdateComeInHalfASecond) {
  set(0x0b, 0x82);
  set(0x0a, 0x76);
  pass_seconds(5);
  set(0x0a, 0x26);
  set(0x0b, 0x02);
  const uint64_t before = now();
  clock.advance_to(clock.now() + kNsPerSecond / 2 - 1);
  EXPECT_EQ(now(), before);
  clock.advance_to(clock.now() + 1);
  EXPECT_EQ(now(), before + 1);
}

TEST_F(RtcTest, UpdateInProgressIsSeenBeforeTheUpdate) {
  EXPECT_EQ(get(0x0a), 0x26);
  clock.advance_to(kNsPerSecond - 244'000 - 1);
  EXPECT_EQ(get(0x0a), 0x26);
  clock.advance_to(kNsPerSecond - 244'000);
  EXPECT_EQ(get(0x0a), 0xa6);
  clock.advance_to(kNsPerSecond);
  EXPECT_EQ(get(0x0a), 0x26);
}

TEST_F(RtcTest, PeriodicInterrupt) {
  get(0x0c);
  set(0x0b, 0x42);
  for (int i = 1; i <= 100; ++i) {
    clock.advance_to(clock.next_deadline());
    ASSERT_EQ(edges, i);
    ASSERT_EQ(get(0x0c) & 0xc0, 0xc0);
    ASSERT_FALSE(line);
  }
  EXPECT_EQ(clock.now(), time_of_tick(100, 1024));
  pass_seconds(3600);
  EXPECT_EQ(edges, 101) << "one request until register C is read";
  EXPECT_EQ(get(0x0c), 0xf0) << "update and midnight's alarm come along, without interrupts";
  EXPECT_EQ(get(0x0c), 0x00);
}

TEST_F(RtcTest, UpdateAndAlarmInterrupts) {
  get(0x0c);
  set(0x0b, 0x12);
  clock.advance_to(clock.next_deadline());
  EXPECT_EQ(clock.now(), kNsPerSecond);
  EXPECT_EQ(get(0x0c) & 0x90, 0x90);
  set(5, 0x00);
  set(3, 0x01);
  set(1, 0x30);
  set(0x0b, 0x22);
  clock.advance_to(clock.next_deadline());
  EXPECT_EQ(now(), 0x20000101000130u);
  EXPECT_EQ(get(0x0c) & 0xa0, 0xa0);
  set(5, 0xff);  // every hour
  clock.advance_to(clock.next_deadline());
  EXPECT_EQ(now(), 0x20000101010130u);
  get(0x0c);
  set(3, 0xc0);
  set(1, 0xff);  // every second
  clock.advance_to(clock.next_deadline());
  EXPECT_EQ(now(), 0x20000101010131u);
  get(0x0c);
  for (const uint8_t index : {1, 3, 5}) {
    set(index, 0x77);  // never
    EXPECT_EQ(clock.next_deadline(), Clock::kNever);
    set(index, 0xff);
    EXPECT_NE(clock.next_deadline(), Clock::kNever);
  }
}

TEST_F(RtcTest, ReportsMemorySizes) {
  EXPECT_EQ(get(0x15) | get(0x16) << 8, 640);
  EXPECT_EQ(get(0x17) | get(0x18) << 8, 0xffff);
  EXPECT_EQ(get(0x30) | get(0x31) << 8, 0xffff);
  EXPECT_EQ(get(0x34) | get(0x35) << 8, (3072 - 16) * 16);
  EXPECT_EQ(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 3072 * 16);
  unsigned sum = 0;
  for (uint8_t i = 0x10; i < 0x2e; ++i) sum += get(i);
  EXPECT_EQ(unsigned{get(0x2e)} << 8 | get(0x2f), sum);
  set(0x0f, 0x0a);
  EXPECT_EQ(get(0x0f), 0x0a) << "the shutdown code is memory";
  set(0x0d, 0);
  EXPECT_EQ(get(0x0d), 0x80);
}

TEST_F(RtcTest, ResetKeepsTheTime) {
  pass_seconds(100);
  set(0x0b, 0x86);
  rtc.reset();
  EXPECT_EQ(now(), 0x20000101000138u);
  EXPECT_EQ(get(0x0b), 0x02);
}

}  // namespace
}  // namespace gnomon::vmm
