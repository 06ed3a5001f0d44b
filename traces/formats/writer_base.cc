// SPDX-License-Identifier: Apache-2.0
#include "traces/formats/writer_base.h"

#include "absl/strings/str_cat.h"

namespace gnomon {

absl::Status WriterBase::write(absl::Span<const TraceRecord> records,
                               absl::Span<const TraceEvent> events) {
  constexpr size_t kFlushAt = size_t{64} << 10;
  if (finished_) return absl::FailedPreconditionError(absl::StrCat(sink_->name(), ": finished"));
  for (const TraceRecord& record : records) {
    if (record.kind != RecordKind::kEvent) {
      put(record);
    } else if (record.address.value() < events.size()) {
      put_event(events[record.address.value()]);
    } else {
      return absl::InvalidArgumentError(absl::StrCat("event ", record.address.value(), " of ",
                                                     events.size(), " is asked to be written"));
    }
    if (text_.size() >= kFlushAt) {
      if (absl::Status status = flush(); !status.ok()) return status;
    }
  }
  return error_;
}

absl::Status WriterBase::finish() {
  if (finished_) return error_;
  finished_ = true;
  put_end();
  if (absl::Status status = flush(); !status.ok()) return status;
  return error_ = sink_->finish();
}

absl::Status WriterBase::flush() {
  if (error_.ok()) error_ = sink_->write(text_);
  if (error_.ok()) bytes_written_ += text_.size();
  text_.clear();
  return error_;
}

}  // namespace gnomon
