// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_FORMATS_READER_BASE_H_
#define TRACES_FORMATS_READER_BASE_H_

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gnomon/traces/byte_source.h"
#include "gnomon/traces/trace_reader.h"
#include "gnomon/x86/format_long.h"

namespace gnomon {

inline constexpr size_t kReadBuffer = size_t{1} << 20;

/// What is wrong with a memory operation, nullptr if nothing: its size is 1 to 4096 bytes and it
/// lies within one half of a 5-level address space.
inline const char* operation_fault(uint64_t address, uint64_t size) {
  if (size - 1 >= kMaxRecordBytes) return "size is not 1 to 4096 bytes";
  const uint64_t last = address + size - 1;
  if (!Long5::canonical(Gva(address)) || !Long5::canonical(Gva(last)) ||
      (address ^ last) >> 63 != 0) {
    return "address outside the 57-bit canonical range";
  }
  return nullptr;
}

/// For formats that do not tell the size of an access: 8 bytes, but never into the next page, which
/// nothing says was touched.
inline uint16_t assumed_size(uint64_t address, uint64_t bytes = 8) {
  const uint64_t page_rest = 4096 - address % 4096;
  return static_cast<uint16_t>(bytes < page_rest ? bytes : page_rest);
}

/// What all readers of other tools' formats share: the source, its buffer, faults, and the counts.
class ReaderBase : public TraceReader {
 public:
  absl::StatusOr<size_t> read(absl::Span<TraceRecord> out, std::vector<TraceEvent>& events) final;
  const TraceInfo& info() const final { return info_; }
  const ReadStats& stats() const final { return stats_; }
  absl::string_view name() const final { return source_->name(); }
  std::optional<uint64_t> total_bytes() const final { return source_->total_bytes(); }

 protected:
  ReaderBase(std::unique_ptr<ByteSource> source, ReadMode mode, absl::string_view format,
             size_t buffer_bytes);

  /// Fills the front of `out` and returns how many; 0 at the end and after fail(). Never more
  /// events than records.
  virtual size_t decode(absl::Span<TraceRecord> out, std::vector<TraceEvent>& events) = 0;

  /// Takes what the source hands out into the room behind filled_; false at the end or after an
  /// error.
  bool take_more();
  /// Makes room in front of what is still to be decoded.
  void move_down(const char* keep_from);
  size_t room() const { return capacity_ - static_cast<size_t>(filled_ - buffer_.get()); }
  /// Bytes before `at`, of the decompressed source.
  uint64_t offset_of(const char* at) const {
    return bytes_taken_ - static_cast<uint64_t>(filled_ - at);
  }

  /// Something is wrong at `place` ("line 3 (byte 17)"): strict ends the reading, lenient counts
  /// it.
  void fault(absl::string_view place, absl::string_view what);
  void fail(absl::Status error);
  /// The compression of the source is cut off or damaged: lenient, the trace ends there.
  void lost(const absl::Status& damage);
  /// Lenient too: what follows cannot be read, so the trace ends here.
  void give_up();
  void warn(absl::string_view place, absl::string_view what);  ///< the first one stays
  bool stopped() const { return stopped_; }
  bool lenient() const { return mode_ == ReadMode::kLenient; }

  static TraceRecord add_event(std::vector<TraceEvent>& events, EventKind kind, uint32_t process,
                               uint32_t thread) {
    TraceEvent event;
    event.kind = kind;
    event.process = process;
    event.thread = thread;
    return add_event(events, std::move(event));
  }
  /// Appends an event and makes the record for it.
  static TraceRecord add_event(std::vector<TraceEvent>& events, TraceEvent event) {
    events.push_back(std::move(event));
    return TraceRecord{Gva(events.size() - 1), 0, RecordKind::kEvent};
  }

  TraceInfo info_;
  ReadStats stats_;
  std::unique_ptr<char[]> buffer_;  // with one byte more than capacity_
  size_t capacity_;
  char* next_;    // to be decoded, up to filled_
  char* filled_;  // end of what was taken from the source
  uint64_t bytes_taken_ = 0;
  bool source_ended_ = false;
  bool source_damaged_ = false;  // it ended where its compression is damaged

 private:
  std::unique_ptr<ByteSource> source_;
  ReadMode mode_;
  bool stopped_ = false;
  absl::Status error_;
};

/// Binary formats: makes a number of bytes available in one piece.
class BinaryReader : public ReaderBase {
 protected:
  using ReaderBase::ReaderBase;

  size_t available() const { return static_cast<size_t>(filled_ - next_); }
  /// Whether `bytes` (at most half the buffer) lie at next_, reading on if need be.
  bool have(size_t bytes) { return available() >= bytes || fill(bytes); }
  void skip(size_t bytes) { next_ += bytes; }
  template <class T>
  T load(size_t at) const {  // little-endian, as all these formats and all hosts are
    T value;
    std::memcpy(&value, next_ + at, sizeof(T));
    return value;
  }
  /// "record 7 (byte 448)".
  std::string place(uint64_t record) const;
  /// The source has ended inside a record, of which the front is still there.
  void cut_off(uint64_t record, size_t needed);

 private:
  bool fill(size_t bytes);
};

}  // namespace gnomon

#endif  // TRACES_FORMATS_READER_BASE_H_
