// SPDX-License-Identifier: Apache-2.0
//
// Any bytes at all as a gtrace file; as the streams of a block whose checksums are right; and as a
// list of records that must come back from being written.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "gnomon/traces/gtrace.h"
#include "traces/gtrace/file_header.h"
#include "traces/gtrace/layout.h"
#include "traces/gtrace/streams.h"

namespace gnomon {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Reading {
  std::vector<TraceRecord> records;
  std::vector<TraceEvent> events;
  ReadStats stats;
  bool failed;
};

Reading read_all(absl::string_view bytes, ReadMode mode, size_t piece) {
  auto reader = make_gtrace_reader(std::make_unique<MemoryBytes>(bytes, "fuzz", piece), mode);
  std::vector<TraceRecord> some(TraceReader::kLeastBatch + piece % 97);
  std::vector<TraceEvent> events;
  Reading all;
  while (true) {
    const absl::StatusOr<size_t> got = reader->read(absl::MakeSpan(some), events);
    all.failed = !got.ok();
    if (!got.ok() || *got == 0) break;
    require(*got <= some.size());
    size_t seen = 0;
    for (TraceRecord record : absl::MakeSpan(some).first(*got)) {
      if (record.kind == RecordKind::kEvent) {
        require(record.address.value() == seen++);
        record.address = Gva(all.events.size() + record.address.value());
      } else {
        require(record.kind < RecordKind::kEvent);
        require(record.size >= 1 && record.size <= kMaxRecordBytes);
        require(record.address.value() + (record.size - 1u) >= record.address.value());
      }
      all.records.push_back(record);
    }
    require(seen == events.size());
    all.events.insert(all.events.end(), events.begin(), events.end());
  }
  all.stats = reader->stats();
  require(all.stats.records + all.stats.events == all.records.size());
  return all;
}

void read_file(absl::string_view bytes) {
  const Reading lenient = read_all(bytes, ReadMode::kLenient, ~size_t{0});
  const Reading pieces = read_all(bytes, ReadMode::kLenient, 1 + bytes.size() % 13);
  require(lenient.failed == pieces.failed && lenient.stats.left_out == pieces.stats.left_out);
  const Reading strict = read_all(bytes, ReadMode::kStrict, ~size_t{0});
  require(strict.records.size() <= lenient.records.size());
  require(strict.failed || lenient.stats.left_out == 0);
}

/// The first bytes say how long each stream is, the rest is what they hold.
void read_streams(absl::string_view bytes) {
  gtrace::Streams streams;
  constexpr size_t kFront = gtrace::kStreamCount + 3;
  if (bytes.size() < kFront) return;
  const absl::string_view front = bytes.substr(0, kFront);
  bytes.remove_prefix(kFront);
  for (size_t i = 0; i < gtrace::kStreamCount; ++i) {
    const size_t size = std::min<size_t>(static_cast<uint8_t>(front[i]), bytes.size());
    streams[i] = std::string(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  std::string stored;
  require(gtrace::Packer(1).pack(streams, stored).ok());
  gtrace::BlockHeader header;
  header.stored = static_cast<uint32_t>(stored.size());
  header.events = static_cast<uint8_t>(front[kFront - 1]) % 8;
  header.records = static_cast<uint8_t>(front[kFront - 2]) * 4u + header.events;
  header.references = header.records - header.events;
  header.stored_checksum = gtrace::checksum(stored);
  read_file(gtrace::encode_file_header({}) + header.encode() + stored);
}

void write_records(absl::string_view bytes) {
  std::vector<TraceRecord> records;
  std::vector<TraceEvent> events;
  uint64_t address = 0x400000;
  for (size_t i = 0; i + 2 < bytes.size(); i += 3) {
    const auto what = static_cast<uint8_t>(bytes[i]);
    const auto size = static_cast<uint16_t>(1 + static_cast<uint8_t>(bytes[i + 1]) % 40);
    const auto move = static_cast<uint64_t>(static_cast<int8_t>(bytes[i + 2]));
    if (what % 32 == 31) {
      records.push_back({Gva(events.size()), 0, RecordKind::kEvent, false});
      events.push_back({.kind = EventKind::kCr3, .value = move, .text = {}});
      continue;
    }
    address += what % 8 == 0 ? move << (what >> 3) : move;
    if (address + (size - 1u) < address) address = 0;
    records.push_back({Gva(address), size, static_cast<RecordKind>(what % 4), (what & 16) != 0});
    if (what % 4 == 0) address += size;
  }
  auto sink = std::make_unique<StringSink>();
  const StringSink& file = *sink;
  const auto block = static_cast<uint32_t>(1 + bytes.size() % 300);
  auto writer =
      create_gtrace_writer(std::move(sink), {}, {.compression = 1, .block_records = block});
  require(writer.ok() && (*writer)->write(records, events).ok() && (*writer)->finish().ok());
  const Reading back = read_all(file.bytes(), ReadMode::kStrict, 1 + bytes.size() % 99);
  require(!back.failed && back.records == records && back.events == events);
}

}  // namespace
}  // namespace gnomon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gnomon;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  read_file(bytes);
  read_streams(bytes);
  write_records(bytes);
  return 0;
}
