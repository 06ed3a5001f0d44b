// SPDX-License-Identifier: Apache-2.0
// The index, and blocks read one by one.
#include <gmock/gmock.h>

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "tests/gtrace/support.h"
#include "traces/gtrace/layout.h"

namespace gnomon::gtrace_test {
namespace {

using ::testing::HasSubstr;

uint64_t references(const TraceBatch& batch) {
  uint64_t sum = 0;
  for (const TraceRecord& record : batch.records) sum += references_of(record.kind);
  return sum;
}

/// The blocks read in reverse order, put together again.
void expect_blocks_make(const TemporaryFile& file, const std::vector<GtraceBlock>& blocks,
                        const TraceBatch& batch) {
  std::vector<TraceRecord> reversed;
  uint32_t process = 0, thread = 0;
  std::vector<std::pair<uint32_t, uint32_t>> starts, ends;
  for (size_t i = blocks.size(); i-- > 0;) {
    const absl::StatusOr<TraceBatch> block = read_gtrace_block(file.path(), blocks[i]);
    ASSERT_TRUE(block.ok()) << block.status();
    EXPECT_EQ(references(*block), blocks[i].references) << i;
    const std::vector<TraceRecord> memory = memory_of(*block);
    reversed.insert(reversed.end(), memory.rbegin(), memory.rend());
    process = thread = 0;
    const bool told = block->events.size() == blocks[i].events + 1;
    if (told) {
      ASSERT_EQ(block->events[0].kind, EventKind::kSwitch);
      process = block->events[0].process;
      thread = block->events[0].thread;
    } else {
      EXPECT_EQ(block->events.size(), blocks[i].events) << i;
    }
    starts.emplace_back(process, thread);
    for (const TraceEvent& e : block->events) {
      if (e.kind == EventKind::kSwitch) std::tie(process, thread) = std::tie(e.process, e.thread);
    }
    ends.emplace_back(process, thread);
  }
  for (size_t i = 0; i + 1 < starts.size(); ++i) EXPECT_EQ(starts[i], ends[i + 1]) << i;
  std::reverse(reversed.begin(), reversed.end());
  EXPECT_EQ(reversed, memory_of(batch));
}

TEST(GtraceIndex, GivesEachBlock) {
  const TraceBatch batch = small_program(4, 10000);
  const TemporaryFile file(written(batch, {.block_records = 999}));
  const auto blocks = read_gtrace_index(file.path());
  ASSERT_TRUE(blocks.ok()) << blocks.status();
  ASSERT_EQ(blocks->size(), 11u);
  uint64_t sum = 0, events = 0;
  for (const GtraceBlock& block : *blocks) {
    EXPECT_EQ(block.first_reference, sum);
    sum += block.references;
    events += block.events;
  }
  EXPECT_EQ(sum, references(batch));
  EXPECT_EQ(events, batch.records.size() - memory_of(batch).size());
  expect_blocks_make(file, *blocks, batch);
}

TEST(GtraceIndex, OfAnEmptyTraceIsEmpty) {
  const TemporaryFile file(written({}));
  const auto blocks = read_gtrace_index(file.path());
  ASSERT_TRUE(blocks.ok()) << blocks.status();
  EXPECT_TRUE(blocks->empty());
}

TEST(GtraceIndex, IsFoundAgainByScanning) {
  const TraceBatch batch = small_program(4, 3000);
  const std::string bytes = written(batch, {.block_records = 500});
  const TemporaryFile whole(bytes);
  const auto blocks = read_gtrace_index(whole.path()).value();
  const uint64_t end = blocks.back().offset + blocks.back().bytes;
  for (size_t cut = end; cut < bytes.size(); ++cut) {
    const TemporaryFile file(absl::string_view(bytes).substr(0, cut));
    const auto scanned = read_gtrace_index(file.path());
    ASSERT_TRUE(scanned.ok()) << scanned.status();
    ASSERT_EQ(scanned->size(), blocks.size());
    for (size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ((*scanned)[i].offset, blocks[i].offset);
      EXPECT_EQ((*scanned)[i].bytes, blocks[i].bytes);
      EXPECT_EQ((*scanned)[i].references, blocks[i].references);
      EXPECT_EQ((*scanned)[i].events, blocks[i].events);
      EXPECT_EQ((*scanned)[i].first_reference, blocks[i].first_reference);
    }
  }
  for (size_t at = end; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x40);
    const TemporaryFile file(changed);
    const auto scanned = read_gtrace_index(file.path());
    ASSERT_TRUE(scanned.ok()) << scanned.status();
    EXPECT_EQ(scanned->size(), blocks.size());
  }
}

TEST(GtraceIndex, ErrorsNameTheFile) {
  EXPECT_EQ(read_gtrace_index("/no/such/file").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(read_gtrace_index("/dev/null").status().code(), absl::StatusCode::kFailedPrecondition);
  const TemporaryFile text("this is no trace, but it is a file");
  const absl::Status status = read_gtrace_index(text.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(text.path()));
}

TEST(GtraceIndex, BlocksThatAreNotThere) {
  const std::string bytes = written(small_program(4, 3000), {.block_records = 500});
  const TemporaryFile file(bytes);
  const GtraceBlock good = read_gtrace_index(file.path()).value()[2];
  constexpr uint64_t kHuge = uint64_t{1} << 60;
  const GtraceBlock bad[] = {{good.offset + 1, good.bytes},
                             {good.offset, good.bytes - 1},
                             {good.offset, good.bytes + 1},
                             {good.offset, 0},
                             {good.offset, kHuge},
                             {kHuge, good.bytes},
                             {~uint64_t{0}, ~uint64_t{0}},
                             {0, 64},
                             {bytes.size(), 64},
                             {bytes.size() - 70, 64u << 20}};
  for (const GtraceBlock& block : bad) {
    const absl::Status status = read_gtrace_block(file.path(), block).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(file.path()));
  }
  for (uint64_t at = 0; at < good.bytes; ++at) {
    std::string changed = bytes;
    changed[good.offset + at] = static_cast<char>(changed[good.offset + at] ^ 2);
    const TemporaryFile damaged(changed);
    EXPECT_FALSE(read_gtrace_block(damaged.path(), good).ok()) << at;
  }
}

}  // namespace
}  // namespace gnomon::gtrace_test
