// SPDX-License-Identifier: Apache-2.0
//
// A trace is cut at the same places whatever batches its reader hands out.
#include "traces/replay/feed.h"

#include "absl/strings/str_cat.h"
#include "tests/replay/support.h"
#include "tests/scenario/random.h"

namespace gnomon::replay_test {
namespace {

/// Hands out a script, at most so many records at a time.
class ScriptReader final : public TraceReader {
 public:
  ScriptReader(const TraceBatch& all, size_t most) : all_(all), most_(most) {}
  absl::StatusOr<size_t> read(absl::Span<TraceRecord> out,
                              std::vector<TraceEvent>& events) override {
    events.clear();
    size_t n = 0;
    for (; n < std::min(most_, out.size()) && next_ < all_.records.size(); ++n) {
      out[n] = all_.records[next_++];
      if (out[n].kind != RecordKind::kEvent) continue;
      events.push_back(all_.events[out[n].address.value()]);
      out[n].address = Gva(events.size() - 1);
    }
    return n;
  }
  const TraceInfo& info() const override { return info_; }
  const ReadStats& stats() const override { return stats_; }
  absl::string_view name() const override { return "batches"; }
  std::optional<uint64_t> total_bytes() const override { return std::nullopt; }

 private:
  const TraceBatch& all_;
  size_t most_;
  size_t next_ = 0;
  TraceInfo info_;
  ReadStats stats_;
};

/// What lies between cuts, in words; a cut is where as many references have been handed out as
/// wanted.
std::string cut_up(const TraceBatch& all, size_t batch, absl::Span<const uint64_t> cuts) {
  Feed feed(std::make_unique<ScriptReader>(all, batch));
  std::string text;
  for (const uint64_t part : cuts) {
    absl::StrAppend(&text, "|");
    uint64_t got = 0;
    while (got < part) {
      const absl::StatusOr<Piece> piece = feed.take(part - got);
      EXPECT_TRUE(piece.ok());
      if (piece->empty()) return text;
      got += total(piece->ops);
      for (const TraceRecord& r : piece->records) {
        const bool event = r.kind == RecordKind::kEvent;
        absl::StrAppend(&text, event ? absl::StrCat("e", piece->events[r.address.value()].value)
                               : r.kind == RecordKind::kModify ? "m"
                                                               : "l");
      }
    }
  }
  return text;
}

TEST(Feed, EventsBehindAnEdgeBelongToTheNextPart) {
  Script s;
  s.syscall(1).load(0).syscall(2).syscall(3).load(0).modify(0).syscall(4).modify(0).syscall(5).load(
      0);
  s.syscall(6);
  for (const size_t batch : {1, 2, 3, 4, 100}) {
    SCOPED_TRACE(batch);
    EXPECT_EQ(cut_up(s.batch(), batch, {1, 1, 100}), "|e1l|e2e3l|me4me5le6");
    // A modify that would be cut is taken whole.
    EXPECT_EQ(cut_up(s.batch(), batch, {3, 1, 1, 100}), "|e1le2e3lm|e4m|e5l|e6");
  }
}

TEST(Feed, CutsTheSameWhateverTheBatches) {
  scenario::Random random(5);
  for (int round = 0; round < 200; ++round) {
    Script s;
    const uint64_t records = 1 + random.below(60);
    for (uint64_t i = 0; i < records; ++i) {
      switch (random.below(3)) {
        case 0: s.load(0x1000); break;
        case 1: s.modify(0x1000); break;
        default: s.syscall(i); break;
      }
    }
    std::vector<uint64_t> cuts;
    for (uint64_t i = 1 + random.below(5); i > 0; --i) cuts.push_back(1 + random.below(20));
    const std::string want = cut_up(s.batch(), 1000, cuts);
    for (const size_t batch : {1, 2, 3, 7, 19}) EXPECT_EQ(cut_up(s.batch(), batch, cuts), want);
  }
}

}  // namespace
}  // namespace gnomon::replay_test
