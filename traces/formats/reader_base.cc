// SPDX-License-Identifier: Apache-2.0
#include "traces/formats/reader_base.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "traces/io/unpack.h"

namespace gnomon {

static_assert(std::endian::native == std::endian::little, "BinaryReader::load is for such hosts");

ReaderBase::ReaderBase(std::unique_ptr<ByteSource> source, ReadMode mode, absl::string_view format,
                       size_t buffer_bytes)
    : buffer_(std::make_unique_for_overwrite<char[]>(buffer_bytes + 1)),
      capacity_(buffer_bytes),
      next_(buffer_.get()),
      filled_(next_),
      source_(std::move(source)),
      mode_(mode) {
  info_.format = std::string(format);
}

absl::StatusOr<size_t> ReaderBase::read(absl::Span<TraceRecord> out,
                                        std::vector<TraceEvent>& events) {
  events.clear();
  if (out.size() < kLeastBatch) {
    return absl::InternalError(absl::StrCat(name(), ": read into fewer than ", kLeastBatch));
  }
  const size_t taken = stopped_ ? 0 : decode(out, events);
  stats_.records += taken - events.size();
  stats_.events += events.size();
  if (taken == 0 && !error_.ok()) return error_;
  return taken;
}

bool ReaderBase::take_more() {
  if (source_ended_ || stopped_) return false;
  const absl::StatusOr<size_t> got = source_->read(absl::MakeSpan(filled_, room()));
  if (!got.ok()) {
    if (absl::IsDataLoss(got.status())) {
      lost(got.status());
    } else {
      fail(got.status());
    }
    return false;
  }
  filled_ += *got;
  bytes_taken_ += *got;
  stats_.bytes = source_->stored_bytes_taken().value_or(bytes_taken_);
  source_ended_ = *got == 0;
  return !source_ended_;
}

void ReaderBase::move_down(const char* keep_from) {
  const auto kept = static_cast<size_t>(filled_ - keep_from);
  std::memmove(buffer_.get(), keep_from, kept);
  next_ = buffer_.get();
  filled_ = next_ + kept;
}

void ReaderBase::fault(absl::string_view place, absl::string_view what) {
  std::string text = absl::StrCat(name(), ": ", place, ": ", what);
  if (!lenient()) return fail(absl::InvalidArgumentError(text));
  if (stats_.left_out++ == 0) stats_.first_fault = std::move(text);
}

void ReaderBase::lost(const absl::Status& damage) {
  if (!lenient()) return fail(with_way_out(damage));
  source_ended_ = source_damaged_ = true;
  if (stats_.left_out++ == 0) stats_.first_fault = std::string(damage.message());
}

void ReaderBase::fail(absl::Status error) {
  if (error_.ok()) error_ = std::move(error);
  stopped_ = true;
}

void ReaderBase::give_up() { stopped_ = true; }

void ReaderBase::warn(absl::string_view place, absl::string_view what) {
  if (stats_.warning.empty()) stats_.warning = absl::StrCat(name(), ": ", place, ": ", what);
}

bool BinaryReader::fill(size_t bytes) {
  while (available() < bytes) {
    if (room() == 0) move_down(next_);
    if (available() == 0) move_down(next_);  // nothing to move: the whole buffer is room
    if (!take_more()) return false;
  }
  return true;
}

std::string BinaryReader::place(uint64_t record) const {
  return absl::StrFormat("record %d (byte %d)", record, offset_of(next_));
}

void BinaryReader::cut_off(uint64_t record, size_t needed) {
  // Where the compression is damaged, that is counted already.
  if (!source_damaged_) fault(place(record), absl::StrFormat("cut off: %d of %d bytes", available(), needed));
  give_up();
}

}  // namespace gnomon
