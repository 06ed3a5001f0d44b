// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gnomon/traces/gtrace.h"
#include "traces/gtrace/block_encoder.h"
#include "traces/gtrace/event_coding.h"
#include "traces/gtrace/file_header.h"
#include "traces/gtrace/index.h"
#include "traces/gtrace/layout.h"

namespace gnomon {
namespace {

using namespace gtrace;  // NOLINT(google-build-using-namespace): this is the rest of it

/// Events of a block that is being filled, encoded; their texts can be long.
constexpr size_t kMaxEventBytes = size_t{1} << 22;

class GtraceWriter final : public TraceWriter {
 public:
  GtraceWriter(std::unique_ptr<ByteSink> sink, const GtraceOptions& options)
      : sink_(std::move(sink)),
        packer_(options.compression),
        block_records_(std::clamp<size_t>(options.block_records, 1, kMaxBlockRecords)) {}

  absl::Status start(const TraceInfo& info) { return put(encode_file_header(info)); }

  absl::Status write(absl::Span<const TraceRecord> records,
                     absl::Span<const TraceEvent> events) override {
    if (!failed_.ok()) return failed_;
    if (absl::Status status = check(records, events); !status.ok()) return status;
    for (const TraceRecord& record : records) {
      records_.push_back(record);
      if (record.kind == RecordKind::kEvent) take_event(events[record.address.value()]);
      while (records_.size() >= block_records_ || event_bytes_.size() >= kMaxEventBytes) {
        if (absl::Status status = put_block(); !status.ok()) return status;
      }
    }
    return absl::OkStatus();
  }

  absl::Status finish() override {
    if (finished_) return absl::OkStatus();
    while (!records_.empty()) {
      if (absl::Status status = put_block(); !status.ok()) return status;
    }
    if (blocks_.size() <= kMaxIndexRows) {
      const uint64_t offset = bytes_;
      if (absl::Status status = put(encode_index(blocks_)); !status.ok()) return status;
      if (absl::Status status = put(Trailer{offset}.encode()); !status.ok()) return status;
    }
    if (failed_ = sink_->finish(); !failed_.ok()) return failed_;
    finished_ = true;
    return absl::OkStatus();
  }

  /// The blocks that are whole; without an index, so that readers say that the end is missing.
  absl::StatusOr<SalvagedTrace> salvage() override {
    if (failed_.ok()) return absl::FailedPreconditionError("nothing has failed");
    if (whole_blocks_ == 0) return absl::FailedPreconditionError("no block is whole");
    absl::StatusOr<std::string> path = sink_->keep(whole_bytes_);
    if (!path.ok()) return path.status();
    return SalvagedTrace{*std::move(path), references_};
  }

  uint64_t left_out() const override { return 0; }
  uint64_t bytes_written() const override { return bytes_; }

 private:
  struct State {
    uint32_t process = 0;
    uint32_t thread = 0;
  };
  struct Event {
    size_t end;  // in event_bytes_
    State after;
  };

  absl::Status check(absl::Span<const TraceRecord> records,
                     absl::Span<const TraceEvent> events) const {
    for (const TraceRecord& r : records) {
      absl::string_view fault;
      const uint64_t address = r.address.value();
      if (r.kind > RecordKind::kEvent) {
        fault = "it is of no kind there is";
      } else if (r.kind == RecordKind::kEvent) {
        if (address >= events.size() || events[address].kind >= EventKind::kCount) {
          fault = "it names an event that is not there, or of no kind there is";
        }
      } else if (r.size == 0 || r.size > kMaxRecordBytes) {
        fault = "its size is not 1 to 4096 bytes";
      } else if (address + (r.size - 1u) < address) {
        fault = "it wraps around the end of the address space";
      }
      if (fault.empty()) continue;
      const uint64_t number = written_ + records_.size() + static_cast<uint64_t>(&r - &records[0]);
      return absl::InvalidArgumentError(absl::StrCat(sink_->name(), ": record ", number,
                                                     " cannot be written: ", fault, " (address ",
                                                     absl::Hex(address), ", size ", r.size, ")"));
    }
    return absl::OkStatus();
  }

  void take_event(const TraceEvent& event) {
    put_event(event_bytes_, event);
    if (event.kind == EventKind::kSwitch) newest_ = {event.process, event.thread};
    events_.push_back({event_bytes_.size(), newest_});
  }

  /// Makes a block of the first records; of all, unless the dictionary is full before.
  absl::Status put_block() {
    Streams streams;
    const size_t count = encoder_.encode(records_, streams);
    BlockHeader header;
    for (size_t i = 0; i < count; ++i) {
      header.events += records_[i].kind == RecordKind::kEvent ? 1 : 0;
      header.references += references_of(records_[i].kind);
    }
    const size_t event_bytes = header.events == 0 ? 0 : events_[header.events - 1].end;
    streams[kEvents].assign(event_bytes_, 0, event_bytes);
    std::string stored;
    if (absl::Status status = packer_.pack(streams, stored); !status.ok()) return status;

    header.number = static_cast<uint32_t>(number_++);
    header.stored = static_cast<uint32_t>(stored.size());
    header.records = static_cast<uint32_t>(count);
    header.first_reference = references_;
    header.process = state_.process;
    header.thread = state_.thread;
    header.stored_checksum = checksum(stored);
    if (blocks_.size() <= kMaxIndexRows) {
      blocks_.push_back({bytes_, BlockHeader::kBytes + stored.size(), header.references,
                         header.events, references_});
    }
    if (absl::Status status = put(header.encode()); !status.ok()) return status;
    if (absl::Status status = put(stored); !status.ok()) return status;

    whole_bytes_ = bytes_;
    ++whole_blocks_;
    references_ += header.references;
    written_ += count;
    records_.erase(records_.begin(), records_.begin() + static_cast<std::ptrdiff_t>(count));
    if (header.events > 0) state_ = events_[header.events - 1].after;
    event_bytes_.erase(0, event_bytes);
    events_.erase(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(header.events));
    for (Event& event : events_) event.end -= event_bytes;
    return absl::OkStatus();
  }

  absl::Status put(absl::string_view bytes) {
    if (failed_.ok()) failed_ = sink_->write(bytes);
    if (failed_.ok()) bytes_ += bytes.size();
    return failed_;
  }

  std::unique_ptr<ByteSink> sink_;
  Packer packer_;
  size_t block_records_;
  BlockEncoder encoder_;

  // What no block holds yet.
  std::vector<TraceRecord> records_;
  std::string event_bytes_;
  std::vector<Event> events_;
  State newest_;

  // What the blocks hold.
  std::vector<GtraceBlock> blocks_;
  State state_;  // after them
  uint64_t number_ = 0;
  uint64_t references_ = 0;
  uint64_t written_ = 0;  // records
  uint64_t bytes_ = 0;
  uint64_t whole_bytes_ = 0;
  uint64_t whole_blocks_ = 0;
  bool finished_ = false;
  absl::Status failed_;  // what the sink said; then nothing more is written
};

}  // namespace

absl::StatusOr<std::unique_ptr<TraceWriter>> create_gtrace_writer(std::unique_ptr<ByteSink> sink,
                                                                  const TraceInfo& info,
                                                                  const GtraceOptions& options) {
  auto writer = std::make_unique<GtraceWriter>(std::move(sink), options);
  if (absl::Status status = writer->start(info); !status.ok()) return status;
  return writer;
}

}  // namespace gnomon
