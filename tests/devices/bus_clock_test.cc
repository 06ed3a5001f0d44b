// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "gnomon/vmm/clock.h"
#include "gnomon/vmm/io_bus.h"
#include "vmm/devices/rate.h"

namespace gnomon::vmm {
namespace {

using ::testing::ElementsAre;

class Recorder : public IoHandler {
 public:
  uint64_t io_read(const IoAccess& a) override {
    accesses.push_back({a.offset, a.size, a.cpu});
    return 0x1122334455667788;
  }
  void io_write(const IoAccess& a, uint64_t value) override {
    accesses.push_back({a.offset, a.size, value});
  }
  std::vector<std::vector<uint64_t>> accesses;
};

TEST(IoBus, WholeAccessesReachTheHandlerAndOthersAreMadeOfBytes) {
  IoBus bus;
  Recorder low, high;
  ASSERT_TRUE(bus.add(0x10, 4, low).ok());
  ASSERT_TRUE(bus.add(0x14, 2, high).ok());
  EXPECT_EQ(bus.read(0x10, 4, 3), 0x55667788u);
  EXPECT_EQ(bus.read(0x13, 2, 1), 0x8888u) << "one byte of each";
  EXPECT_EQ(bus.read(0x15, 4), 0xffffff88u);
  EXPECT_EQ(bus.read(0x0f, 2), 0x88ffu) << "begins before the region";
  EXPECT_EQ(bus.read(0x1000, 8), ~uint64_t{0});
  EXPECT_THAT(low.accesses,
              ElementsAre(ElementsAre(0, 4, 3), ElementsAre(3, 1, 1), ElementsAre(0, 1, 0)));
  EXPECT_THAT(high.accesses, ElementsAre(ElementsAre(0, 1, 1), ElementsAre(1, 1, 0)));
  low.accesses.clear();
  bus.write(0x12, 4, 0xaabbccdd);
  bus.write(0x10, 2, 0x12345);
  EXPECT_THAT(low.accesses, ElementsAre(ElementsAre(2, 1, 0xdd), ElementsAre(3, 1, 0xcc),
                                        ElementsAre(0, 2, 0x2345)));
}

TEST(IoBus, RegionsDoNotOverlapNorWrap) {
  IoBus bus;
  Recorder device;
  EXPECT_TRUE(bus.add(0x100, 0x10, device).ok());
  EXPECT_TRUE(bus.add(~uint64_t{0}, 1, device).ok()) << "the last address";
  EXPECT_EQ(bus.read(~uint64_t{0}, 2), 0xff88u) << "wraps to where nothing is";
  EXPECT_TRUE(bus.add(0xf0, 0x10, device).ok());
  for (const auto& [base, bytes] : std::vector<std::pair<uint64_t, uint64_t>>{
           {0x10f, 1}, {0xff, 2}, {0x10f, 0x100}, {0, 0x1000}, {0x104, 4}}) {
    EXPECT_EQ(bus.add(base, bytes, device).code(), absl::StatusCode::kAlreadyExists) << base;
  }
  EXPECT_EQ(bus.add(5, 0, device).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(bus.add(~uint64_t{0} - 1, 3, device).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(bus.regions().size(), 3u);
  EXPECT_EQ(bus.regions().front().base, 0xf0u);
}

TEST(Clock, FiresInOrderOfTimeEachAtItsOwnTime) {
  Clock clock;
  std::vector<std::pair<char, uint64_t>> fired;
  std::vector<Clock::TimerId> ids;
  for (const char name : {'a', 'b', 'c'}) {
    ids.push_back(clock.add_timer([&, name] {
      fired.emplace_back(name, clock.now());
      EXPECT_EQ(clock.target(), 100u);
      if (name == 'b' && clock.now() == 20) clock.arm(ids[1], 90);
    }));
  }
  EXPECT_EQ(clock.next_deadline(), Clock::kNever);
  clock.arm(ids[0], 50);
  clock.arm(ids[1], 20);
  clock.arm(ids[2], 50);
  EXPECT_EQ(clock.next_deadline(), 20u);
  clock.advance_to(100);
  EXPECT_THAT(fired, ElementsAre(std::pair('b', 20), std::pair('a', 50), std::pair('c', 50),
                                 std::pair('b', 90)));
  EXPECT_EQ(clock.now(), 100u);
  EXPECT_EQ(clock.target(), 100u);
  clock.advance_to(40);
  EXPECT_EQ(clock.now(), 100u) << "time does not go back";
  clock.arm(ids[0], 200);
  clock.arm(ids[1], 300);
  clock.disarm(ids[0]);
  EXPECT_EQ(clock.next_deadline(), 300u);
}

TEST(Rate, TicksAndTimesAreInverse) {
  constexpr uint64_t kHz = 1'193'182;
  for (uint64_t tick :
       {uint64_t{0}, uint64_t{1}, uint64_t{2}, kHz - 1, kHz, kHz + 1, kHz * 1000 + 7}) {
    const uint64_t ns = time_of_tick(tick, kHz);
    EXPECT_EQ(ticks_at(ns, kHz), tick);
    if (tick != 0) EXPECT_EQ(ticks_at(ns - 1, kHz), tick - 1);
  }
  EXPECT_EQ(time_of_tick(~uint64_t{0}, 2), Clock::kNever);
  EXPECT_EQ(time_after(~uint64_t{0} - 5, 6), Clock::kNever);
}

}  // namespace
}  // namespace gnomon::vmm
