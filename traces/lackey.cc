// SPDX-License-Identifier: Apache-2.0
#include "gnomon/traces/lackey.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "gnomon/x86/format_long.h"

namespace gnomon {
namespace {

constexpr uint8_t kNone = 0xff;

constexpr std::array<uint8_t, 256> hex_values() {
  std::array<uint8_t, 256> values{};
  values.fill(kNone);
  for (unsigned i = 0; i < 10; ++i) values['0' + i] = static_cast<uint8_t>(i);
  for (unsigned i = 0; i < 6; ++i) {
    values['a' + i] = values['A' + i] = static_cast<uint8_t>(10 + i);
  }
  return values;
}
constexpr std::array<uint8_t, 256> kHex = hex_values();

constexpr std::array<uint8_t, 256> data_kinds() {
  std::array<uint8_t, 256> kinds{};
  kinds.fill(kNone);
  kinds['L'] = static_cast<uint8_t>(RecordKind::kLoad);
  kinds['S'] = static_cast<uint8_t>(RecordKind::kStore);
  kinds['M'] = static_cast<uint8_t>(RecordKind::kModify);
  return kinds;
}
constexpr std::array<uint8_t, 256> kDataKind = data_kinds();

constexpr size_t kMaxHexDigits = 16;
constexpr size_t kMaxSizeDigits = 9;  // fits in 32 bits whatever they are

uint8_t byte(char c) { return static_cast<uint8_t>(c); }

/// Reads a record from a line that ends in a newline; returns where the line ends, nullptr if it is
/// no record. Each step looks at one character more only after one that is no newline, so that
/// nothing beyond the line is read and no length is checked.
inline const char* scan_record(const char* p, TraceRecord& record) {
  if (p[0] == 'I') {
    if (p[1] != ' ' || p[2] != ' ') return nullptr;
    record.kind = RecordKind::kFetch;
  } else {
    if (p[0] != ' ') return nullptr;
    const uint8_t kind = kDataKind[byte(p[1])];
    if (kind == kNone || p[2] != ' ') return nullptr;
    record.kind = static_cast<RecordKind>(kind);
  }
  p += 3;
  uint64_t address = 0;
  const char* const digits = p;
  for (uint8_t d; (d = kHex[byte(*p)]) != kNone; ++p) address = address << 4 | d;
  const auto address_digits = static_cast<size_t>(p - digits);
  if (address_digits - 1 >= kMaxHexDigits || *p != ',') return nullptr;
  const char* const size_digits = ++p;
  uint32_t size = 0;
  for (unsigned d; (d = byte(*p) - unsigned{'0'}) < 10; ++p) size = size * 10 + d;
  if (static_cast<size_t>(p - size_digits) - 1 >= kMaxSizeDigits) return nullptr;
  if (*p == '\r') ++p;
  if (*p != '\n') return nullptr;
  record.address = Gva(address);
  record.size = size;
  return p + 1;
}

/// A 4-level guest can make this access, and within one half of the address space.
inline bool is_canonical(const TraceRecord& record) {
  const Gva last(record.address.value() + record.size - 1);
  const uint64_t differing_bits = record.address.value() ^ last.value();
  return Long4::canonical(record.address) && Long4::canonical(last) && differing_bits >> 63 == 0;
}
inline bool has_good_size(const TraceRecord& record) { return record.size - 1 < kMaxRecordBytes; }

/// Length of valgrind's mark at the front of `text` ("==42==", "--42--", "**42**"); 0 if it is
/// none.
size_t mark_length(absl::string_view text) {
  if (text.size() < 5) return 0;
  const char c = text[0];
  if ((c != '=' && c != '-' && c != '*') || text[1] != c) return 0;
  size_t i = 2;
  while (i < text.size() && absl::ascii_isdigit(byte(text[i]))) ++i;
  return i > 2 && i + 1 < text.size() && text[i] == c && text[i + 1] == c ? i + 2 : 0;
}

/// Where valgrind's mark starts in `text`; npos if nowhere.
size_t find_mark(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (mark_length(text.substr(i)) != 0) return i;
  }
  return absl::string_view::npos;
}

constexpr std::array<absl::string_view, kLineFaultCount> kFaultText = {
    "not a lackey record",
    "address outside the 48-bit canonical range",
    "size is not 1 to 4096 bytes",
    "line too long",
};

}  // namespace

uint64_t LackeyStats::rejected_lines() const {
  uint64_t sum = 0;
  for (const uint64_t n : rejected) sum += n;
  return sum;
}

LackeyReader::LackeyReader(ByteSource& source, Mode mode, size_t buffer_bytes)
    : source_(source),
      mode_(mode),
      capacity_(std::max<size_t>(buffer_bytes, 64)),
      buffer_(std::make_unique<char[]>(capacity_ + 1)),  // room for the newline a cut file lacks
      next_(buffer_.get()),
      complete_(next_),
      filled_(next_) {}

absl::StatusOr<size_t> LackeyReader::read(absl::Span<TraceRecord> out) {
  size_t taken = 0;
  while (taken < out.size()) {
    if (next_ == complete_ && !refill()) break;
    TraceRecord& record = out[taken];
    const char* const after = scan_record(next_, record);
    if (after != nullptr && has_good_size(record) && is_canonical(record)) [[likely]] {
      next_ += after - next_;
      ++stats_.lines;
      ++taken;
      continue;
    }
    char* const newline =
        static_cast<char*>(memchr(next_, '\n', static_cast<size_t>(complete_ - next_)));
    const char* const line = next_;
    next_ = newline + 1;
    ++stats_.lines;
    if (take_odd_line(line, newline, record)) ++taken;
  }
  stats_.records += taken;
  if (taken == 0 && !error_.ok()) return error_;
  return taken;
}

/// Makes at least one whole line available; false at the end and after an error.
bool LackeyReader::refill() {
  if (!error_.ok()) return false;
  const auto kept = static_cast<size_t>(filled_ - complete_);
  memmove(buffer_.get(), complete_, kept);
  next_ = complete_ = buffer_.get();
  filled_ = next_ + kept;
  while (!source_ended_) {
    const size_t room = capacity_ - static_cast<size_t>(filled_ - buffer_.get());
    if (room == 0) {
      skip_long_line();
      if (!error_.ok()) return false;
      if (complete_ != next_) return true;
      continue;
    }
    absl::StatusOr<size_t> got = source_.read(absl::MakeSpan(filled_, room));
    if (!got.ok()) {
      fail(got.status());
      return false;
    }
    stats_.bytes += *got;
    source_ended_ = *got == 0;
    char* const fresh = filled_;
    filled_ += *got;
    if (auto* newline = static_cast<char*>(memrchr(fresh, '\n', *got)); newline != nullptr) {
      complete_ = newline + 1;
      return true;
    }
  }
  return finish_last_line();
}

/// The source has ended; gives its last line the newline it lacks.
bool LackeyReader::finish_last_line() {
  if (filled_ == next_) return false;
  *filled_++ = '\n';
  complete_ = filled_;
  last_line_cut_ = true;
  TraceRecord record;
  const size_t length = static_cast<size_t>(filled_ - next_) - 1;
  if (mark_length(absl::string_view(next_, length)) == 0) stats_.cut_off = true;
  if (stats_.cut_off && scan_record(next_, record) == nullptr) {
    ++stats_.lines;
    next_ = complete_;  // half a record is no error, but not a record either
    return false;
  }
  return true;
}

/// The buffer is full and holds no newline: drops the line, up to its end.
void LackeyReader::skip_long_line() {
  ++stats_.lines;
  reject(LineFault::kTooLong, buffer_.get(), filled_);
  filled_ = complete_ = next_ = buffer_.get();
  while (error_.ok() && !source_ended_) {
    absl::StatusOr<size_t> got = source_.read(absl::MakeSpan(buffer_.get(), capacity_));
    if (!got.ok()) return fail(got.status());
    stats_.bytes += *got;
    source_ended_ = *got == 0;
    if (auto* newline = static_cast<char*>(memchr(buffer_.get(), '\n', *got)); newline != nullptr) {
      const size_t rest = *got - static_cast<size_t>(newline + 1 - buffer_.get());
      memmove(buffer_.get(), newline + 1, rest);
      filled_ = buffer_.get() + rest;
      if (auto* last = static_cast<char*>(memrchr(buffer_.get(), '\n', rest)); last != nullptr) {
        complete_ = last + 1;
      }
      return;
    }
  }
}

/// Anything but a good record, from `line` up to its newline at `end`. True if a record was in it.
bool LackeyReader::take_odd_line(const char* line, const char* end, TraceRecord& record) {
  absl::string_view text(line, static_cast<size_t>(end - line));
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  if (text.empty() || mark_length(text) != 0) {
    ++stats_.notes;
    return false;
  }
  if (const size_t mark = find_mark(text); mark != absl::string_view::npos) {
    ++stats_.glued;
    std::string front(text.substr(0, mark));
    front += '\n';
    return scan_record(front.data(), record) != nullptr && has_good_size(record) &&
           is_canonical(record);
  }
  const bool well_formed = scan_record(line, record) != nullptr;
  reject(!well_formed             ? LineFault::kMalformed
         : !has_good_size(record) ? LineFault::kBadSize
                                  : LineFault::kNonCanonical,
         line, end);
  return false;
}

void LackeyReader::reject(LineFault fault, const char* line, const char* end) {
  const auto index = static_cast<size_t>(fault);
  if (mode_ == Mode::kLenient) {
    ++stats_.rejected[index];
    return;
  }
  constexpr size_t kShown = 40;
  const auto length = static_cast<size_t>(end - line);
  const uint64_t offset =
      stats_.bytes + (last_line_cut_ ? 1 : 0) - static_cast<uint64_t>(filled_ - line);
  fail(absl::InvalidArgumentError(absl::StrFormat(
      "%s:%d (byte %d): %s: \"%s\"%s", source_.name(), stats_.lines, offset, kFaultText[index],
      absl::CHexEscape(absl::string_view(line, std::min(length, kShown))),
      length > kShown ? "..." : "")));
}

void LackeyReader::fail(absl::Status error) {
  error_ = std::move(error);
  next_ = complete_ = filled_;
}

}  // namespace gnomon
