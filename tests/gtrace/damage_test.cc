// SPDX-License-Identifier: Apache-2.0
// Every cut and every changed byte of a small file.
#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "tests/gtrace/support.h"

namespace gnomon::gtrace_test {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kBlockRecords = 60;

/// A file of a few blocks, and what is where in it.
struct Sample {
  TraceBatch batch;
  std::string bytes;
  std::vector<GtraceBlock> blocks;

  Sample() {
    batch = small_program(11, 5 * kBlockRecords - 20);
    for (TraceRecord& record : batch.records) {
      // Switches come in a test of their own.
      if (record.kind == RecordKind::kEvent)
        batch.events[record.address.value()].kind = EventKind::kCr3;
    }
    for (TraceEvent& e : batch.events) e = {.kind = EventKind::kCr3, .value = e.value, .text = {}};
    TraceInfo info;
    info.program = "sample";
    bytes = written(batch, {.block_records = kBlockRecords}, info);
    const TemporaryFile file(bytes);
    blocks = read_gtrace_index(file.path()).value();
  }
  uint64_t end(size_t block) const { return blocks[block].offset + blocks[block].bytes; }
  /// The block that a byte belongs to: -1 the header, blocks.size() what follows them.
  int block_of(uint64_t byte) const {
    if (byte < blocks[0].offset) return -1;
    size_t i = 0;
    while (i < blocks.size() && byte >= end(i)) ++i;
    return static_cast<int>(i);
  }
  /// The records of the blocks in [0, until), but for those of `but`.
  TraceBatch part(size_t until, int but = -1) const {
    TraceBatch part;
    for (size_t i = 0; i < batch.records.size(); ++i) {
      const size_t block = i / kBlockRecords;
      if (block >= until || static_cast<int>(block) == but) continue;
      const TraceRecord& r = batch.records[i];
      if (r.kind == RecordKind::kEvent) {
        append(part, batch.events[r.address.value()]);
      } else {
        append(part, r);
      }
    }
    return part;
  }
};

TEST(GtraceDamage, EveryCut) {
  const Sample s;
  ASSERT_EQ(s.blocks.size(), 5u);
  for (size_t size = 0; size < s.bytes.size(); ++size) {
    SCOPED_TRACE(absl::StrCat("cut to ", size));
    const absl::string_view cut = absl::string_view(s.bytes).substr(0, size);
    const int block = s.block_of(size);
    const bool in_header = block < 0;
    const bool clean =
        !in_header && (block == 5 || size == s.blocks[static_cast<size_t>(block)].offset);
    const TraceBatch wanted = s.part(in_header ? 0 : static_cast<size_t>(block));

    const Reading strict = read_all(cut);
    ASSERT_EQ(strict.status.ok(), clean) << strict.status;
    expect_same(strict.batch, wanted);
    const Reading lenient = read_all(cut, ReadMode::kLenient, 7);
    ASSERT_TRUE(lenient.status.ok()) << lenient.status;
    expect_same(lenient.batch, wanted);
    EXPECT_EQ(lenient.stats.left_out, clean ? 0u : 1u);
    EXPECT_EQ(lenient.stats.first_fault.empty(), clean);
    EXPECT_THAT(lenient.stats.warning, HasSubstr("without its index"));
    if (clean) {
      EXPECT_THAT(strict.stats.warning, HasSubstr("without its index"));
    } else if (!in_header) {
      EXPECT_THAT(std::string(strict.status.message()),
                  HasSubstr(absl::StrCat("trace: block ", block, " (byte ",
                                         s.blocks[static_cast<size_t>(block)].offset, "): ")));
    }
    if (HasFailure()) return;
  }
}

TEST(GtraceDamage, EveryByteChanged) {
  const Sample s;
  for (size_t at = 0; at < s.bytes.size(); ++at) {
    for (const int change : {0x01, 0x80, 0xff}) {
      SCOPED_TRACE(absl::StrCat("byte ", at, " changed by ", change));
      std::string bytes = s.bytes;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      const int block = s.block_of(at);
      const bool in_tail = block == 5;

      const Reading strict = read_all(bytes);
      expect_same(strict.batch, s.part(block < 0 ? 0 : static_cast<size_t>(block)));
      EXPECT_TRUE(!strict.status.ok() || (in_tail && !strict.stats.warning.empty()));

      const Reading lenient = read_all(bytes, ReadMode::kLenient);
      ASSERT_TRUE(lenient.status.ok()) << lenient.status;
      expect_same(lenient.batch, s.part(5, block));
      if (in_tail) {
        EXPECT_FALSE(lenient.stats.warning.empty());
      } else {
        EXPECT_EQ(lenient.stats.left_out, 1u) << lenient.stats.first_fault;
        EXPECT_FALSE(lenient.stats.first_fault.empty());
        EXPECT_EQ(lenient.stats.warning, "");
      }
      EXPECT_EQ(lenient.info.program, block < 0 ? "" : "sample");
      if (HasFailure()) return;
    }
  }
}

TEST(GtraceDamage, LostBlocksAreCounted) {
  const Sample s;
  // Blocks 1 and 2 are gone altogether.
  std::string bytes = s.bytes;
  bytes.erase(s.blocks[1].offset, s.blocks[1].bytes + s.blocks[2].bytes);
  const Reading strict = read_all(bytes);
  EXPECT_THAT(std::string(strict.status.message()), HasSubstr("block 1 (byte "));
  EXPECT_EQ(strict.batch.records.size(), kBlockRecords);
  const Reading lenient = read_all(bytes, ReadMode::kLenient);
  EXPECT_EQ(lenient.stats.left_out, 2u);
  EXPECT_EQ(lenient.batch.records.size(), s.batch.records.size() - 2 * kBlockRecords);
}

TEST(GtraceDamage, BlocksThatComeTwiceAreReadOnce) {
  const Sample s;
  std::string bytes = s.bytes;
  bytes.insert(s.blocks[2].offset, bytes.substr(s.blocks[0].offset, s.blocks[0].bytes));
  EXPECT_FALSE(read_all(bytes).status.ok());
  const Reading lenient = read_all(bytes, ReadMode::kLenient);
  EXPECT_TRUE(lenient.status.ok());
  expect_same(lenient.batch, s.batch);
}

TEST(GtraceDamage, GarbageBetweenBlocksIsSkipped) {
  const Sample s;
  Random random(5);
  std::string garbage(200000, ' ');
  for (char& c : garbage) c = static_cast<char>(random.below(256));
  std::string bytes = s.bytes;
  bytes.insert(s.blocks[3].offset, garbage);
  const Reading strict = read_all(bytes);
  EXPECT_FALSE(strict.status.ok());
  EXPECT_EQ(strict.batch.records.size(), 3 * kBlockRecords);
  const Reading lenient = read_all(bytes, ReadMode::kLenient, 1001);
  expect_same(lenient.batch, s.batch);
  EXPECT_FALSE(lenient.stats.first_fault.empty());
}

TEST(GtraceDamage, BytesAfterTheEnd) {
  const Sample s;
  const std::string bytes = s.bytes + s.bytes;
  const Reading strict = read_all(bytes);
  EXPECT_FALSE(strict.status.ok());
  expect_same(strict.batch, s.batch);
  const Reading lenient = read_all(bytes, ReadMode::kLenient);
  EXPECT_TRUE(lenient.status.ok());
  expect_same(lenient.batch, s.batch);
  EXPECT_THAT(lenient.stats.warning, HasSubstr("bytes follow"));
}

// Who runs is in each block, so what is lost with a block does not change who the rest belongs to.
TEST(GtraceDamage, WhoRunsSurvivesLostBlocks) {
  TraceBatch batch;
  for (uint32_t i = 0; i < 4; ++i) {
    append(batch, switch_to(i, 2 * i));
    for (uint64_t k = 0; k < 9; ++k) append(batch, fetch(0x1000 * i + k * 4, 4));
  }
  std::string bytes = written(batch, {.block_records = 5});
  const TemporaryFile file(bytes);
  const auto blocks = read_gtrace_index(file.path()).value();
  ASSERT_EQ(blocks.size(), 8u);
  bytes[blocks[4].offset + 70] ^= 1;  // holds the switch to process 2
  const Reading r = read_all(bytes, ReadMode::kLenient);
  EXPECT_EQ(r.stats.left_out, 1u);
  ASSERT_EQ(r.batch.records.size(), 36u);
  ASSERT_EQ(r.batch.records[20].kind, RecordKind::kEvent);
  EXPECT_EQ(r.batch.events.at(2), switch_to(2, 4));
  EXPECT_EQ(r.batch.records[21], batch.records[25]);
}

TEST(GtraceDamage, OtherFiles) {
  for (const absl::string_view bytes : {"", "x", "hello, world, this is no trace at all\n",
                                        "\x89GTRACE\n", "\x89PNG\r\n\x1a\n0000000000000000000"}) {
    const Reading strict = read_all(bytes);
    EXPECT_EQ(strict.status.code(), absl::StatusCode::kInvalidArgument);
    const Reading lenient = read_all(bytes, ReadMode::kLenient);
    EXPECT_TRUE(lenient.status.ok()) << lenient.status;
    EXPECT_EQ(lenient.stats.left_out, 1u) << lenient.stats.first_fault;
  }
  EXPECT_FALSE(is_gtrace("hello"));
  EXPECT_TRUE(is_gtrace(written({})));
}

TEST(GtraceDamage, ErrorsOfTheSourceAreHandedOn) {
  class Failing final : public ByteSource {
   public:
    explicit Failing(std::string front) : front_(std::move(front)) {}
    absl::StatusOr<size_t> read(absl::Span<char> to) override {
      if (done_) return absl::UnavailableError("the disk is on fire");
      done_ = true;
      std::copy(front_.begin(), front_.end(), to.begin());
      return front_.size();
    }
    absl::string_view name() const override { return "disk"; }

   private:
    std::string front_;
    bool done_ = false;
  };
  const Sample s;
  for (const ReadMode mode : {ReadMode::kStrict, ReadMode::kLenient}) {
    auto reader =
        make_gtrace_reader(std::make_unique<Failing>(s.bytes.substr(0, s.end(1) + 10)), mode);
    std::vector<TraceRecord> out(10000);
    std::vector<TraceEvent> events;
    size_t records = 0;
    absl::StatusOr<size_t> got = 0;
    while ((got = reader->read(absl::MakeSpan(out), events)).ok() && *got > 0) records += *got;
    EXPECT_EQ(got.status(), absl::UnavailableError("the disk is on fire"));
    EXPECT_EQ(records, 2 * kBlockRecords);
  }
}

}  // namespace
}  // namespace gnomon::gtrace_test
