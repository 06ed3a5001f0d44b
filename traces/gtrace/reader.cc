// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "absl/strings/match.h"
#include "gnomon/traces/gtrace.h"
#include "traces/gtrace/block_decoder.h"
#include "traces/gtrace/layout.h"
#include "traces/gtrace/scanner.h"

namespace gnomon {
namespace {

using gtrace::BlockDecoder;
using gtrace::Scanner;

class GtraceReader final : public TraceReader {
 public:
  GtraceReader(std::unique_ptr<ByteSource> source, ReadMode mode)
      : source_(std::move(source)), scanner_(*source_, mode) {}

  absl::StatusOr<size_t> read(absl::Span<TraceRecord> out,
                              std::vector<TraceEvent>& events) override {
    events.clear();
    if (!ended_.ok()) return ended_;
    absl::StatusOr<size_t> count = read_some(out, events);
    if (!count.ok()) {
      ended_ = count.status();
      count = salvage(out, events);
    }
    account(out.first(*count), events);
    if (*count == 0 && !ended_.ok()) return ended_;
    return count;
  }
  const TraceInfo& info() const override { return info_; }
  const ReadStats& stats() const override { return stats_; }
  absl::string_view name() const override { return source_->name(); }
  std::optional<uint64_t> total_bytes() const override { return source_->total_bytes(); }

 private:
  absl::StatusOr<size_t> read_some(absl::Span<TraceRecord> out, std::vector<TraceEvent>& events) {
    if (!std::exchange(started_, true)) {
      if (absl::Status status = scanner_.read_file_header(info_); !status.ok()) return status;
    }
    while (true) {
      if (in_block_) {
        const absl::StatusOr<size_t> count = decoder_.read(out, events);
        if (count.ok() && *count > 0) return count;
        in_block_ = false;
        if (!count.ok()) {
          const absl::Status status = scanner_.reject(count.status().message());
          salvaged_ = decoder_.salvaged();
          if (!status.ok()) return status;
          if (const size_t kept = salvage(out, events); kept > 0) return kept;
        }
      }
      const absl::StatusOr<bool> found = scanner_.next();
      if (!found.ok()) return found.status();
      if (!*found) return 0;
      if (absl::Status status = decoder_.start(scanner_.header(), scanner_.stored());
          !status.ok()) {
        if (status = scanner_.reject(status.message()); !status.ok()) return status;
        continue;
      }
      in_block_ = true;
      // Blocks that were left out may have held switches.
      const gtrace::BlockHeader& header = scanner_.header();
      if (header.process != process_ || header.thread != thread_) {
        events.push_back({.kind = EventKind::kSwitch,
                          .process = header.process,
                          .thread = header.thread,
                          .text = {}});
        out[0] = {Gva(0), 0, RecordKind::kEvent, false};
        return 1;
      }
    }
  }

  /// What came before the fault in a block; trims the events to it.
  size_t salvage(absl::Span<const TraceRecord> out, std::vector<TraceEvent>& events) {
    const size_t count = std::exchange(salvaged_, 0);
    size_t kept = 0;
    for (const TraceRecord& record : out.first(count)) kept += record.kind == RecordKind::kEvent;
    events.resize(kept);
    return count;
  }

  void account(absl::Span<const TraceRecord> records, const std::vector<TraceEvent>& events) {
    stats_.bytes = scanner_.bytes();
    stats_.events += events.size();
    stats_.records += records.size() - events.size();
    stats_.left_out = scanner_.left_out();
    if (stats_.first_fault.empty()) stats_.first_fault = scanner_.first_fault();
    if (stats_.warning.empty()) stats_.warning = scanner_.warning();
    for (const TraceEvent& event : events) {
      if (event.kind != EventKind::kSwitch) continue;
      process_ = event.process;
      thread_ = event.thread;
    }
  }

  std::unique_ptr<ByteSource> source_;
  Scanner scanner_;
  BlockDecoder decoder_;
  TraceInfo info_;
  ReadStats stats_;
  absl::Status ended_;
  bool started_ = false;
  bool in_block_ = false;
  size_t salvaged_ = 0;
  // Who runs, by the switches so far.
  uint32_t process_ = 0;
  uint32_t thread_ = 0;
};

}  // namespace

bool is_gtrace(absl::string_view front) { return absl::StartsWith(front, gtrace::kFileMagic); }

std::unique_ptr<TraceReader> make_gtrace_reader(std::unique_ptr<ByteSource> source, ReadMode mode) {
  return std::make_unique<GtraceReader>(std::move(source), mode);
}

}  // namespace gnomon
