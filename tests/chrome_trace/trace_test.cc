// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/scenario/random.h"
#include "tools/chrome_trace.h"

namespace gnomon {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MemorySink final : public ByteSink {
 public:
  absl::Status write(absl::string_view piece) override {
    largest = std::max(largest, piece.size());
    if (bytes.size() + piece.size() > room) return absl::ResourceExhaustedError("disk full");
    bytes.append(piece.data(), piece.size());
    return absl::OkStatus();
  }
  absl::Status finish() override {
    ++finished;
    return absl::OkStatus();
  }
  absl::string_view name() const override { return "memory"; }

  std::string bytes;
  size_t largest = 0;
  size_t room = std::numeric_limits<size_t>::max();
  int finished = 0;
};

Json written(const Timeline& timeline, absl::string_view title = "a title") {
  MemorySink sink;
  const absl::Status status = tools::write_chrome_trace(timeline, title, sink);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(sink.finished, 1);
  Json parsed = Json::parse(sink.bytes, nullptr, false);
  EXPECT_FALSE(parsed.is_discarded()) << sink.bytes.substr(0, 400);
  return parsed;
}

std::vector<Json> events(const Json& trace, const std::string& phase) {
  std::vector<Json> found;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("ph") == phase) found.push_back(event);
  }
  return found;
}

int64_t in_ns(const Json& microseconds) { return std::llround(microseconds.get<double>() * 1000); }

/// The rule of the viewers: on one track, slices in the order of the file are disjoint or nested.
void expect_nested(const Json& trace) {
  std::map<std::pair<uint64_t, uint64_t>, std::vector<int64_t>> open;
  std::map<std::pair<uint64_t, uint64_t>, int64_t> last;
  for (const Json& slice : events(trace, "X")) {
    const std::pair track(slice.at("pid").get<uint64_t>(), slice.at("tid").get<uint64_t>());
    const int64_t start = in_ns(slice.at("ts"));
    const int64_t end = start + in_ns(slice.at("dur"));
    ASSERT_GE(start, last[track]) << slice;
    last[track] = start;
    std::vector<int64_t>& ends = open[track];
    while (!ends.empty() && ends.back() <= start) ends.pop_back();
    if (!ends.empty()) ASSERT_LE(end, ends.back()) << slice;
    ends.push_back(end);
  }
}

TEST(ChromeTrace, EmptyTimeline) {
  const Json trace = written(Timeline{});
  EXPECT_EQ(trace.at("otherData").at("title"), "a title");
  EXPECT_EQ(trace.at("otherData").at("dropped_slices"), "0");
  for (const Json& event : trace.at("traceEvents")) EXPECT_EQ(event.at("ph"), "M");
}

TEST(ChromeTrace, OneProcessPerVcpuWithThreeTracks) {
  Timeline timeline;
  timeline.add({"guest_faults", TimelineTrack::kGuest, 0, 0, 10, 0, 0});
  timeline.add({"walks", TimelineTrack::kMmu, 3, 0, 10, 0, 0});
  const Json trace = written(timeline);
  std::map<uint64_t, std::string> processes;
  std::map<std::pair<uint64_t, uint64_t>, std::string> tracks;
  std::map<std::pair<uint64_t, uint64_t>, int> order;
  for (const Json& event : events(trace, "M")) {
    const auto pid = event.at("pid").get<uint64_t>();
    const std::pair track(pid, event.at("tid").get<uint64_t>());
    if (event.at("name") == "process_name") processes[pid] = event.at("args").at("name");
    if (event.at("name") == "thread_name") tracks[track] = event.at("args").at("name");
    if (event.at("name") == "thread_sort_index") order[track] = event.at("args").at("sort_index");
  }
  std::vector<std::string> names;
  for (const auto& [pid, name] : processes) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("vCPU 0", "vCPU 3"));
  ASSERT_EQ(tracks.size(), 6u);
  for (const auto& [track, name] : tracks) {
    EXPECT_EQ(name, (std::vector<std::string>{"guest", "MMU", "hypervisor"}.at(order.at(track))));
  }
  const std::vector<Json> slices = events(trace, "X");
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(tracks.at({slices[0].at("pid"), slices[0].at("tid")}), "guest");
  EXPECT_EQ(processes.at(slices[1].at("pid")), "vCPU 3");
  EXPECT_EQ(tracks.at({slices[1].at("pid"), slices[1].at("tid")}), "MMU");
}

TEST(ChromeTrace, TimesAreMicroseconds) {
  Timeline timeline;
  timeline.cycles_per_microsecond = 2000;
  timeline.add({"exit_cr3", TimelineTrack::kVmm, 0, 3'000'000, 4001, 77, 0xffff'8000'0000'1234});
  timeline.add({"guest_faults", TimelineTrack::kGuest, 0, 3'000'000'000'000, 0, 78, 0});
  timeline.values.push_back({"table_bytes", 0, 5000, std::numeric_limits<uint64_t>::max()});
  const Json trace = written(timeline);
  const std::vector<Json> slices = events(trace, "X");
  ASSERT_EQ(slices.size(), 1u);
  EXPECT_EQ(slices[0].at("ts"), 1500.0);
  EXPECT_EQ(in_ns(slices[0].at("dur")), 2001);  // 4001 cycles are 2000.5 ns
  EXPECT_EQ(slices[0].at("name"), "exit_cr3");
  EXPECT_EQ(slices[0].at("args").at("reference"), 77);
  EXPECT_EQ(slices[0].at("args").at("address"), "0xffff800000001234");
  const std::vector<Json> instants = events(trace, "i");
  ASSERT_EQ(instants.size(), 1u);
  EXPECT_EQ(instants[0].at("s"), "t");
  EXPECT_EQ(instants[0].at("ts"), 1.5e9);
  EXPECT_FALSE(instants[0].contains("dur"));
  const std::vector<Json> values = events(trace, "C");
  ASSERT_EQ(values.size(), 1u);
  EXPECT_EQ(values[0].at("ts"), 2.5);
  EXPECT_EQ(values[0].at("args").at("value"), std::numeric_limits<uint64_t>::max());
}

TEST(ChromeTrace, NamesAndTitlesAreEscaped) {
  Timeline timeline;
  timeline.add({"quote\" back\\slash\nline", TimelineTrack::kMmu, 0, 0, 1, 0, 0});
  timeline.values.push_back({"a\"}],", 0, 0, 1});
  const std::string title("\"},\xff\0</script>", 15);
  const Json trace = written(timeline, title);
  EXPECT_EQ(events(trace, "X")[0].at("name"), "quote\" back\\slash\nline");
  EXPECT_EQ(events(trace, "C")[0].at("name"), "a\"}],");
  EXPECT_EQ(trace.at("otherData").at("title"), std::string("\"},\xEF\xBF\xBD\0</script>", 17));
}

TEST(ChromeTrace, SaysWhatWasDropped) {
  Timeline timeline;
  timeline.limit = 2;
  for (int i = 0; i < 7; ++i) timeline.add({"walks", TimelineTrack::kMmu, 0, i * 30.0, 30, 0, 0});
  const Json trace = written(timeline);
  EXPECT_EQ(events(trace, "X").size(), 2u);
  EXPECT_EQ(trace.at("otherData").at("dropped_slices"), "5");
  const std::vector<Json> notes = events(trace, "i");
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_THAT(notes[0].at("name").get<std::string>(), HasSubstr("5 slices"));
  EXPECT_EQ(in_ns(notes[0].at("ts")), 20);  // where the last kept one ends
}

TEST(ChromeTrace, InnerSlicesFollowOuterOnes) {
  Timeline timeline;
  timeline.add({"inner", TimelineTrack::kVmm, 0, 100, 50, 0, 0});  // recorded when it ended
  timeline.add({"outer", TimelineTrack::kVmm, 0, 100, 900, 0, 0});
  timeline.add({"late", TimelineTrack::kVmm, 0, 900, 400, 0, 0});  // sticks out: cut
  timeline.add({"moment", TimelineTrack::kVmm, 0, 100, 0, 0, 0});
  const Json trace = written(timeline);
  std::vector<std::string> names;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "M") names.push_back(event.at("name"));
  }
  EXPECT_THAT(names, ElementsAre("outer", "inner", "moment", "late"));
  expect_nested(trace);
}

TEST(ChromeTrace, RandomNestsStayNested) {
  scenario::Random random(1);
  for (int round = 0; round < 50; ++round) {
    Timeline timeline;
    timeline.cycles_per_microsecond = 0.7 + static_cast<double>(random.below(5000));
    // Intervals cut in two again and again, in an arbitrary order of their recording.
    for (int i = 0; i < 40; ++i) {
      double start = static_cast<double>(random.below(1000)) * 1000 / 3;
      double cycles = 1000 / 3.0;
      const auto vcpu = static_cast<uint16_t>(random.below(3));
      const auto track = static_cast<TimelineTrack>(random.below(3));
      while (cycles > 1) {
        timeline.add({"x", track, vcpu, start, cycles, 0, random.next()});
        if (random.percent(50)) start += cycles / 2;
        cycles /= 2;
      }
    }
    for (size_t i = timeline.slices.size(); i > 1; --i) {
      std::swap(timeline.slices[i - 1], timeline.slices[random.below(i)]);
    }
    const Json trace = written(timeline);
    EXPECT_EQ(events(trace, "X").size(), timeline.slices.size());
    ASSERT_NO_FATAL_FAILURE(expect_nested(trace)) << "round " << round;
  }
}

TEST(ChromeTrace, ArrowsFromTableWritesToSynchronization) {
  Timeline timeline;
  const auto vmm = [&](absl::string_view name, double start, double cycles, uint64_t address) {
    timeline.add({name, TimelineTrack::kVmm, 0, start, cycles, 0, address});
  };
  vmm("exit_table_write", 0, 300, 0x7000'1008);
  vmm("exit_table_write", 1000, 300, 0x7000'1010);  // the later one counts
  vmm("exit_table_write", 2000, 300, 0x7000'2000);  // never synchronized
  vmm("synced_pages", 3000, 300, 0x7000'1ff8);
  vmm("synced_pages", 4000, 300, 0x7000'1ff8);  // nothing new
  vmm("exit_table_write", 5000, 300, 0);        // not about an address
  vmm("synced_pages", 6000, 300, 0);
  vmm("synced_pages", 7000, 0, 0x7000'2000);  // a moment cannot hold an arrow
  const Json trace = written(timeline);
  const std::vector<Json> starts = events(trace, "s");
  const std::vector<Json> ends = events(trace, "f");
  ASSERT_EQ(starts.size(), 1u);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(in_ns(starts[0].at("ts")), 333);
  EXPECT_EQ(in_ns(ends[0].at("ts")), 1000);
  EXPECT_EQ(ends[0].at("bp"), "e");
  for (const char* key : {"id", "name", "cat"}) EXPECT_EQ(starts[0].at(key), ends[0].at(key));
}

TEST(ChromeTrace, ComesInPieces) {
  Timeline timeline;
  for (int i = 0; i < 20'000; ++i) {
    timeline.add({"walks", TimelineTrack::kMmu, 0, i * 10.0, 5, 0, 0x1000});
  }
  MemorySink sink;
  ASSERT_TRUE(tools::write_chrome_trace(timeline, "t", sink).ok());
  EXPECT_GT(sink.bytes.size(), 1'000'000u);
  EXPECT_LT(sink.largest, 70'000u);
  MemorySink again;
  ASSERT_TRUE(tools::write_chrome_trace(timeline, "t", again).ok());
  EXPECT_EQ(sink.bytes, again.bytes);
}

TEST(ChromeTrace, Errors) {
  Timeline timeline;
  for (int i = 0; i < 5000; ++i) timeline.add({"w", TimelineTrack::kMmu, 0, i * 10.0, 5, 0, 0});
  MemorySink small;
  small.room = 100'000;
  EXPECT_EQ(tools::write_chrome_trace(timeline, "t", small).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(small.finished, 0);
  for (const double rate : {0.0, -1.0, std::numeric_limits<double>::infinity(),
                            std::numeric_limits<double>::quiet_NaN()}) {
    timeline.cycles_per_microsecond = rate;
    MemorySink sink;
    EXPECT_EQ(tools::write_chrome_trace(timeline, "t", sink).code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(sink.bytes, "");
  }
}

TEST(ChromeTrace, AbsurdTimes) {
  Timeline timeline;
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double start : {-5.0, 1e300, infinity, std::numeric_limits<double>::quiet_NaN()}) {
    for (const double cycles : {-1.0, 1e300, infinity, std::numeric_limits<double>::quiet_NaN()}) {
      timeline.add({"w", TimelineTrack::kMmu, 65535, start, cycles, 0, 0});
    }
    timeline.values.push_back({"v", 65535, start, 1});
  }
  const Json trace = written(timeline);
  expect_nested(trace);
  EXPECT_EQ(events(trace, "X").size() + events(trace, "i").size(), 16u);
}

}  // namespace
}  // namespace gnomon
