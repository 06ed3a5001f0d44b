// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_TRACES_READING_H_
#define TESTS_TRACES_READING_H_

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gnomon/traces/byte_source.h"
#include "gnomon/traces/trace_reader.h"
#include "gnomon/traces/trace_writer.h"

namespace gnomon {

using MakeReader = std::unique_ptr<TraceReader> (*)(std::unique_ptr<ByteSource>, ReadMode);

/// All that a reader hands out. Event records hold the index of their event in `events`.
struct Reading {
  std::vector<TraceRecord> records;
  std::vector<TraceEvent> events;
  absl::Status status;
  ReadStats stats;
  TraceInfo info;
};

inline Reading read_to_end(TraceReader& reader, size_t at_once = 1000) {
  Reading all;
  std::vector<TraceRecord> some(at_once);
  std::vector<TraceEvent> events;
  while (true) {
    const absl::StatusOr<size_t> got = reader.read(absl::MakeSpan(some), events);
    all.status = got.status();
    if (!got.ok() || *got == 0) break;
    for (size_t i = 0; i < *got; ++i) {
      if (some[i].kind == RecordKind::kEvent) {
        some[i].address = Gva(some[i].address.value() + all.events.size());
      }
      all.records.push_back(some[i]);
    }
    all.events.insert(all.events.end(), events.begin(), events.end());
  }
  all.stats = reader.stats();
  all.info = reader.info();
  return all;
}

/// Everything in `bytes`, handed to the reader at most `piece` bytes at a time.
inline Reading read_all(MakeReader make, absl::string_view bytes, ReadMode mode = ReadMode::kStrict,
                        size_t piece = ~size_t{0}, size_t at_once = 1000) {
  const std::unique_ptr<TraceReader> reader =
      make(std::make_unique<MemoryBytes>(bytes, "trace", piece), mode);
  return read_to_end(*reader, at_once);
}

inline TraceRecord fetch(uint64_t a, uint16_t n) { return {Gva(a), n, RecordKind::kFetch, false}; }
inline TraceRecord load(uint64_t a, uint16_t n) { return {Gva(a), n, RecordKind::kLoad, false}; }
inline TraceRecord store(uint64_t a, uint16_t n) { return {Gva(a), n, RecordKind::kStore, false}; }
inline TraceRecord modify(uint64_t a, uint16_t n) {
  return {Gva(a), n, RecordKind::kModify, false};
}
inline TraceRecord event_record(uint64_t index) {
  return {Gva(index), 0, RecordKind::kEvent, false};
}

/// Keeps what a writer wrote where a test can see it after the writer is gone.
class KeptBytes final : public ByteSink {
 public:
  explicit KeptBytes(std::string& bytes) : bytes_(bytes) {}
  absl::Status write(absl::string_view bytes) override {
    bytes_.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  absl::Status finish() override { return absl::OkStatus(); }
  absl::string_view name() const override { return "memory"; }

 private:
  std::string& bytes_;
};

using CreateWriter = absl::StatusOr<std::unique_ptr<TraceWriter>> (*)(std::unique_ptr<ByteSink>,
                                                                      const TraceInfo&);
struct Writing {
  std::string bytes;
  uint64_t left_out = 0;
  absl::Status status;
};
inline Writing write_all(CreateWriter create, const std::vector<TraceRecord>& records,
                         const std::vector<TraceEvent>& events = {}, const TraceInfo& info = {}) {
  Writing all;
  auto writer = create(std::make_unique<KeptBytes>(all.bytes), info);
  all.status = writer.status();
  if (!all.status.ok()) return all;
  all.status = (*writer)->write(records, events);
  if (all.status.ok()) all.status = (*writer)->finish();
  if (all.status.ok() && (*writer)->bytes_written() != all.bytes.size()) {
    all.status = absl::InternalError("bytes_written() is wrong");
  }
  all.left_out = (*writer)->left_out();
  return all;
}

/// Builds golden files byte by byte, little-endian.
template <class T>
std::string le(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

}  // namespace gnomon

#endif  // TESTS_TRACES_READING_H_
