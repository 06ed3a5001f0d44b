// SPDX-License-Identifier: Apache-2.0
//
// Copies of a trace share one reading of it, and nothing else changes by that.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gnomon/traces/formats.h"
#include "tests/replay/support.h"
#include "traces/replay/feed.h"

namespace gnomon::replay_test {
namespace {

using ::testing::HasSubstr;

struct Window {
  uint64_t slice, skip, warmup, limit;
};

/// A mark, a fork and a mapping now and then; modifies, so that no cut is where it is asked for.
Script busy_script() {
  Script s;
  s.map(0x10000000, 1 << 20, kRw);
  for (uint64_t i = 0; i < 9000; ++i) {
    const uint64_t at = 0x10000000 + i * 7919 % 256 * kPage;
    i % 3 == 0 ? s.plain(EventKind::kSyscall, 0, 0, i).load(at) : s.load(at);
    if (i % 1000 == 500) s.mark(i % 2000 == 500 ? 1 : 2);
    if (i % 3000 == 2999) s.unmap(0x10000000, 1 << 20).map(0x10000000, 1 << 20, kRw);
  }
  return s;
}

/// Each stream by a reader of its own is what naming the trace again comes to.
void expect_as_if_named_again(const std::string& path, const Window& w, bool roi) {
  ReplaySetup copies = small_setup({path});
  copies.slice = w.slice;
  copies.skip = w.skip;
  copies.warmup = w.warmup;
  copies.limit = w.limit;
  copies.roi = roi;
  ReplaySetup again = copies;
  copies.copies = 4;
  again.traces = {path, path, path, path};
  const SessionResult a = replayed(copies, {"native", "shadow"});
  const SessionResult b = replayed(again, {"native", "shadow"});
  EXPECT_EQ(a.references, b.references);
  EXPECT_EQ(a.skipped, b.skipped);
  EXPECT_EQ(a.warmed_up, b.warmed_up);
  for (size_t i = 0; i < a.machines.size(); ++i) {
    expect_same_counters(a.machines[i].counters, b.machines[i].counters);
    expect_same_guest_stats(a.machines[i].guest, b.machines[i].guest);
  }
}

TEST(Copies, CountWhatATraceNamedAgainCounts) {
  const TemporaryFile file(busy_script());
  constexpr Window kWindows[] = {
      {100, 0, 0, 0},
      {1, 0, 0, 2000},
      {777, 1234, 0, 0},
      {50, 3000, 500, 5000},
      {8193, 1, 1, 0},
      {1'000'000, 0, 0, 0},
      {kMostSharedSlice + 1, 10, 0, 0},
  };
  for (const Window& w : kWindows) {
    SCOPED_TRACE(absl::StrCat("slice ", w.slice, " skip ", w.skip));
    for (const bool roi : {false, true}) expect_as_if_named_again(file.path(), w, roi);
  }
}

std::unique_ptr<TraceReader> opened(const std::string& path) {
  auto reader = open_trace(path);
  EXPECT_TRUE(reader.ok()) << reader.status();
  return *std::move(reader);
}

TEST(Copies, KeepOnlyWhatLiesBetweenThem) {
  constexpr uint64_t kReferences = 400'000;
  constexpr uint64_t kSlice = 20'000;
  const auto reader = [] {
    return opened(absl::StrCat("gen:uniform,bytes=1M,refs=", kReferences));
  };
  std::vector<std::unique_ptr<Feed>> feeds;
  feeds.push_back(std::make_unique<Feed>(reader()));
  for (int i = 1; i < 100; ++i) feeds.push_back(std::make_unique<Feed>(feeds[0]->batches()));
  for (int i = 1; i < 100; ++i) feeds[i]->join(*feeds[0]);
  size_t most = 0;
  for (uint64_t done = 0; done < kReferences; done += kSlice) {
    for (const auto& feed : feeds) {
      while (feed->taken() < done + kSlice) {
        const absl::StatusOr<Piece> piece = feed->take(done + kSlice - feed->taken());
        ASSERT_TRUE(piece.ok()) << piece.status();
        ASSERT_FALSE(piece->empty());
        most = std::max(most, feeds[0]->batches()->bytes());
      }
    }
  }
  for (const auto& feed : feeds) {
    while (!feed->take(1)->empty()) continue;  // the end of the process
  }
  // It was read once: each copy would have counted for itself.
  EXPECT_EQ(feeds[0]->reader().stats().records, kReferences);
  // A slice and what the batches at both its ends have besides.
  EXPECT_LT(most, (kSlice + 3 * 8192) * sizeof(TraceRecord));
  feeds.resize(1);
  EXPECT_LT(feeds[0]->batches()->bytes(), 10'000u);
}

TEST(Copies, SayTheLineWhenOthersAreAhead) {
  std::string text = "==1== Lackey, an example Valgrind tool\n";
  for (int i = 0; i < 30'000; ++i)
    absl::StrAppend(&text, i == 50 ? "==1== a note\n" : " L 1000,8\n");
  const TemporaryFile file(text);
  Feed first(opened(file.path()));
  Feed behind(first.batches());
  behind.join(first);
  while (!first.take(1000)->empty()) continue;
  const absl::StatusOr<Piece> piece = behind.take(100);
  ASSERT_EQ(piece->records.size(), 100u);
  EXPECT_EQ(behind.place(piece->records[40]), "record 41 (reference 41, line 42)");
  EXPECT_EQ(behind.place(piece->records[99]), "record 100 (reference 100, line 102)");
}

TEST(Copies, TooFarApartIsAnError) {
  // Texts fill the room between the copies, whatever the slice.
  Script s;
  TraceEvent exec;
  exec.kind = EventKind::kExec;
  exec.text = std::string(kMaxEventText, 'x');
  const int events = static_cast<int>(Batches::kMostBytes / kMaxEventText) + 10'000;
  for (int i = 0; i < events; ++i) s.event(exec);
  s.load(0x1000);
  const TemporaryFile file(s);
  Feed first(opened(file.path()));
  Feed behind(first.batches());
  behind.join(first);
  absl::StatusOr<Piece> piece = first.take(1);
  while (piece.ok() && !piece->empty()) piece = first.take(1);
  EXPECT_EQ(piece.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(piece.status().message()), HasSubstr("take a smaller --slice"));
}

}  // namespace
}  // namespace gnomon::replay_test
