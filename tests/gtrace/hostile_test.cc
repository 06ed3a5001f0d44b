// SPDX-License-Identifier: Apache-2.0
// Files that nothing damaged: every checksum is right, and what they say is absurd.
#include <gmock/gmock.h>


#include "absl/strings/str_cat.h"
#include "tests/gtrace/support.h"
#include "tests/support/scale.h"
#include "traces/gtrace/block_encoder.h"
#include "traces/gtrace/coding.h"
#include "traces/gtrace/dictionary.h"
#include "traces/gtrace/event_coding.h"
#include "traces/gtrace/file_header.h"
#include "traces/gtrace/index.h"
#include "traces/gtrace/layout.h"
#include "traces/gtrace/streams.h"

namespace gnomon::gtrace_test {
namespace {

using namespace gtrace;  // NOLINT(google-build-using-namespace)
using ::testing::HasSubstr;

constexpr uint64_t kHuge = uint64_t{1} << 60;

BlockHeader header_for(const std::string& stored, const TraceBatch& batch) {
  BlockHeader header;
  header.stored = static_cast<uint32_t>(stored.size());
  header.records = static_cast<uint32_t>(batch.records.size());
  for (const TraceRecord& record : batch.records) {
    header.events += record.kind == RecordKind::kEvent ? 1 : 0;
    header.references += references_of(record.kind);
  }
  header.stored_checksum = checksum(stored);
  return header;
}

std::string packed(const Streams& streams) {
  std::string stored;
  EXPECT_TRUE(Packer(1).pack(streams, stored).ok());
  return stored;
}

Streams streams_of(const TraceBatch& batch) {
  Streams streams;
  EXPECT_EQ(BlockEncoder().encode(batch.records, streams), batch.records.size());
  for (const TraceEvent& e : batch.events) put_event(streams[kEvents], e);
  return streams;
}

std::string file_of(const BlockHeader& header, const std::string& stored) {
  return encode_file_header({}) + header.encode() + stored;
}

/// Neither mode crashes, and both agree on what comes before the fault.
void expect_survival(const std::string& file, bool expect_fault = true) {
  const Reading strict = read_all(file);
  const Reading lenient = read_all(file, ReadMode::kLenient);
  EXPECT_TRUE(lenient.status.ok()) << lenient.status;
  expect_same(lenient.batch, strict.batch);
  EXPECT_EQ(strict.status.ok(), lenient.stats.left_out == 0);
  if (expect_fault) EXPECT_FALSE(strict.status.ok());
  for (const TraceRecord& r : strict.batch.records) {
    if (r.kind == RecordKind::kEvent) continue;
    ASSERT_TRUE(r.kind < RecordKind::kEvent && r.size >= 1 && r.size <= kMaxRecordBytes);
    ASSERT_GE(r.address.value() + (r.size - 1u), r.address.value());
  }
}

// Every byte of every stream changed in a few ways, cut at every place: with checksums that are
// right.
TEST(GtraceHostile, StreamsThatMakeNoSense) {
  TraceBatch batch = small_program(5, 400);
  batch.events.resize(memory_of(batch).size() == 400 ? 0 : 400 - memory_of(batch).size());
  const Streams good = streams_of(batch);
  expect_survival(file_of(header_for(packed(good), batch), packed(good)), false);
  const size_t step = by_scale(5, 1, 1);
  for (size_t s = 0; s < kStreamCount; ++s) {
    for (size_t at = 0; at <= good[s].size(); at += step) {
      for (const int change : {-1, 0, 1, 2, 0x7f, 0x80, 0xff}) {
        SCOPED_TRACE(absl::StrCat("stream ", s, ", byte ", at, ", change ", change));
        Streams bad = good;
        if (change < 0) {
          bad[s].resize(at);
        } else if (change == 0 || at == good[s].size()) {
          bad[s].insert(at, 1, static_cast<char>(change));
        } else {
          bad[s][at] = static_cast<char>(bad[s][at] ^ change);
        }
        const std::string stored = packed(bad);
        expect_survival(file_of(header_for(stored, batch), stored), false);
        if (HasFailure()) return;
      }
    }
  }
}

TEST(GtraceHostile, HeadersThatClaimOtherCounts) {
  const TraceBatch batch = small_program(5, 400);
  TraceBatch plain;
  plain.records = memory_of(batch);
  const std::string stored = packed(streams_of(plain));
  const BlockHeader good = header_for(stored, plain);
  expect_survival(file_of(good, stored), false);
  for (const int change : {-1, 1}) {
    BlockHeader bad = good;
    bad.records += static_cast<uint32_t>(change);
    expect_survival(file_of(bad, stored));
    bad = good;
    bad.references += static_cast<uint64_t>(change);
    expect_survival(file_of(bad, stored));
  }
  BlockHeader bad = good;
  bad.events = 1;
  expect_survival(file_of(bad, stored));
}

TEST(GtraceHostile, HugeLengths) {
  // Of a stream.
  for (size_t s = 0; s < kStreamCount; ++s) {
    for (const uint64_t size :
         {kHuge, ~uint64_t{0}, uint64_t{kMaxRawBytes}, uint64_t{kMaxRawBytes} + 1}) {
      for (const bool raw : {false, true}) {
        std::string stored;
        for (size_t i = 0; i < kStreamCount; ++i) {
          put_varint(stored, i == s && raw ? size : 0);
          put_varint(stored, i == s && !raw ? size : 0);
        }
        expect_survival(file_of(header_for(stored, {}), stored));
      }
    }
  }
  // Of a block: more than a block may have, and more than the file has.
  for (const uint32_t size : {kMaxStoredBytes, kMaxStoredBytes + 1, ~0u}) {
    BlockHeader header;
    header.stored = size;
    expect_survival(file_of(header, "short"));
  }
  for (const uint32_t records : {kMaxBlockRecords, kMaxBlockRecords + 1, ~0u}) {
    BlockHeader header = header_for("", {});
    header.records = records;
    expect_survival(file_of(header, ""));
  }
  // Of the file header's fields.
  std::string file(kFileMagic);
  put_fixed(file, kVersion);
  put_fixed(file, ~uint32_t{0});
  EXPECT_FALSE(read_all(file).status.ok());
  EXPECT_FALSE(read_all(file + std::string(1000, 'x')).status.ok());
  // Of the index, and where it is.
  const std::string front = encode_file_header({});
  std::string index(kIndexMagic);
  put_fixed(index, kHuge);
  put_fixed(index, kHuge);
  put_fixed(index, checksum(index));
  for (const uint64_t offset : {uint64_t{front.size()}, kHuge, ~uint64_t{0}}) {
    const std::string bytes = front + index + Trailer{offset}.encode();
    EXPECT_FALSE(read_all(bytes).status.ok());
    const TemporaryFile on_disk(bytes);
    const auto blocks = read_gtrace_index(on_disk.path());
    ASSERT_TRUE(blocks.ok()) << blocks.status();
    EXPECT_TRUE(blocks->empty());
  }
}

// Pairs of pairs of pairs …: a few bytes that would become 2^60 records.
TEST(GtraceHostile, PairsDoNotExplode) {
  Dictionary d;
  d.records = {fetch(0x1000, 4)};
  d.basics = {{0, 0, 1, 0}};
  for (uint32_t i = 0; i < 60; ++i) d.pairs.emplace_back(i, i);
  Streams streams;
  d.encode(streams);
  std::string stored = packed(streams);
  const Reading r = read_all(file_of(header_for(stored, {}), stored));
  EXPECT_THAT(std::string(r.status.message()), HasSubstr("a pair is too long"));

  // Many of the longest that are allowed.
  d.pairs.resize(7);
  while (d.pairs.size() < kMaxRuns - 1) d.pairs.emplace_back(6, 6);
  streams = {};
  d.encode(streams);
  stored = packed(streams);
  const Reading many = read_all(file_of(header_for(stored, {}), stored));
  EXPECT_THAT(std::string(many.status.message()), HasSubstr("too many runs"));
}

TEST(GtraceHostile, AccessesDoNotWrap) {
  TraceBatch batch;
  for (uint64_t i = 0; i < 40; ++i) append(batch, load(uint64_t{0} - 320 + i * 8, 8));
  expect_survival(file_of(header_for(packed(streams_of(batch)), batch), packed(streams_of(batch))),
                  false);
  batch.records.back() = load(uint64_t{0} - 7, 8);
  const std::string stored = packed(streams_of(batch));
  const Reading r = read_all(file_of(header_for(stored, batch), stored));
  EXPECT_THAT(std::string(r.status.message()), HasSubstr("wraps around"));
  ASSERT_EQ(r.batch.records.size(), 39u);
  batch.records.pop_back();
  expect_same(r.batch, batch);

  batch = {};
  append(batch, fetch(~uint64_t{0}, 2));
  const std::string code = packed(streams_of(batch));
  expect_survival(file_of(header_for(code, batch), code));
}

TEST(GtraceHostile, NewerFilesAreNamed) {
  std::string file(kFileMagic);
  put_fixed(file, uint32_t{2});
  put_fixed(file, uint32_t{0});
  put_fixed(file, checksum(file));
  for (const ReadMode mode : {ReadMode::kStrict, ReadMode::kLenient}) {
    const Reading r = read_all(file, mode);
    EXPECT_EQ(r.status, absl::InvalidArgumentError(
                            "trace: it is of version 2; this program reads version 1"));
  }
}

TEST(GtraceHostile, FieldsNotKnown) {
  const auto with_field = [](uint16_t tag, uint32_t size) {
    std::string file(kFileMagic);
    put_fixed(file, kVersion);
    put_fixed(file, uint32_t{9});
    put_fixed(file, tag);
    put_fixed(file, size);
    file += "abc";
    put_fixed(file, checksum(file));
    return read_all(file + encode_index({}) + Trailer{file.size()}.encode());
  };
  EXPECT_TRUE(with_field(99, 3).status.ok());
  EXPECT_THAT(std::string(with_field(0x8063, 3).status.message()),
              HasSubstr("field 99 is not known"));
  EXPECT_FALSE(with_field(99, 4).status.ok());
  EXPECT_FALSE(with_field(99, ~0u).status.ok());
}

// Headers whose contents are damaged, one in the other: all of them are looked at in a time that
// does not grow with the square of the file.
TEST(GtraceHostile, ManyHeadersInEachOther) {
  std::string file = encode_file_header({});
  const size_t count = 20000;
  for (size_t i = 0; i < count; ++i) {
    BlockHeader header;
    header.stored = static_cast<uint32_t>((count - i - 1) * BlockHeader::kBytes);
    file += header.encode();
  }
  const Reading r = read_all(file, ReadMode::kLenient);
  EXPECT_TRUE(r.status.ok());
  EXPECT_EQ(r.batch.records.size(), 0u);
  EXPECT_GE(r.stats.left_out, 1u);
}

}  // namespace
}  // namespace gnomon::gtrace_test
