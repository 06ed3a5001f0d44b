// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_FORMATS_WRITER_BASE_H_
#define TRACES_FORMATS_WRITER_BASE_H_

#include <memory>
#include <string>
#include <utility>

#include "gnomon/traces/trace_writer.h"

namespace gnomon {

/// What all writers of other tools' formats share: the sink, its buffer, and the counts.
class WriterBase : public TraceWriter {
 public:
  explicit WriterBase(std::unique_ptr<ByteSink> sink) : sink_(std::move(sink)) {}
  absl::Status write(absl::Span<const TraceRecord> records,
                     absl::Span<const TraceEvent> events) final;
  absl::Status finish() final;
  uint64_t left_out() const final { return left_out_; }
  uint64_t bytes_written() const final { return bytes_written_; }

 protected:
  /// Appends a memory operation to text_.
  virtual void put(const TraceRecord& record) = 0;
  virtual void put_event(const TraceEvent& /*event*/) { leave_out(); }
  /// Appends what is still held back.
  virtual void put_end() {}
  void leave_out() { ++left_out_; }

  std::string text_;  // not yet given to the sink

 private:
  absl::Status flush();

  std::unique_ptr<ByteSink> sink_;
  uint64_t left_out_ = 0;
  uint64_t bytes_written_ = 0;
  bool finished_ = false;
  absl::Status error_;
};

}  // namespace gnomon

#endif  // TRACES_FORMATS_WRITER_BASE_H_
