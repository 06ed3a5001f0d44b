// SPDX-License-Identifier: Apache-2.0
#include "traces/gtrace/scanner.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "traces/gtrace/coding.h"
#include "traces/gtrace/file_header.h"
#include "traces/gtrace/index.h"

namespace gnomon::gtrace {
namespace {

constexpr absl::string_view kNoIndex =
    "it ends without its index: the recording was cut short, and records may be missing at its end";

/// Strict reading ends at damage and says so.
absl::Status damaged(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, "; --lenient uses the blocks that are whole"));
}

/// Bytes that are checked and found damaged, for each byte of the file.
constexpr uint64_t kMostInVain = 8;

bool has_right_checksum(absl::string_view bytes) {
  const size_t checked = bytes.size() - 8;
  return get_fixed<uint64_t>(&bytes[checked]) == checksum(bytes.substr(0, checked));
}

}  // namespace

absl::Status Scanner::read_file_header(TraceInfo& info) {
  info = TraceInfo();
  info.format = "gtrace";
  if (absl::Status status = window_.want(kFileHeaderFront); !status.ok()) return status;
  absl::string_view fault;
  if (!absl::StartsWith(window_.bytes(), kFileMagic)) {
    fault = window_.bytes().empty() ? "it is empty" : "it does not start like a gtrace file";
  } else if (window_.bytes().size() < kFileHeaderFront) {
    fault = "it ends within its header";
  } else if (const uint32_t fields = get_fixed<uint32_t>(&window_.bytes()[kFileHeaderFront - 4]);
             fields > kMaxInfoBytes) {
    fault = "its header is damaged";
  } else {
    const size_t size = kFileHeaderFront + fields + kFileHeaderChecksum;
    if (absl::Status status = window_.want(size); !status.ok()) return status;
    const absl::string_view header = window_.bytes().substr(0, size);
    if (header.size() < size) {
      fault = "it ends within its header, or that is damaged";
    } else if (!has_right_checksum(header)) {
      fault = "its header is damaged";
    } else {
      const std::string unreadable = decode_file_header(header, info);
      if (!unreadable.empty()) {
        return absl::InvalidArgumentError(absl::StrCat(source_.name(), ": ", unreadable));
      }
      window_.drop(size);
      return absl::OkStatus();
    }
  }
  const std::string text = absl::StrCat(source_.name(), ": byte 0: ", fault);
  if (mode_ == ReadMode::kStrict) {
    return absl::StartsWith(window_.bytes(), kFileMagic) ? damaged(text)
                                                         : absl::InvalidArgumentError(text);
  }
  ++left_out_;
  first_fault_ = text;
  return skip_to_magic();
}

absl::StatusOr<bool> Scanner::next() {
  window_.drop(done_);
  done_ = 0;
  while (!ended_) {
    std::string fault;
    const absl::StatusOr<Found> found = look(fault);
    if (!found.ok()) return found.status();
    if (lost_.empty()) lost_ = window_.damage();
    if (*found == Found::kBlock) {
      done_ = BlockHeader::kBytes + header_.stored;
      return true;
    }
    if (*found == Found::kEnd) {
      if (!lost_.empty()) count_lost(1, lost_);
      ended_ = true;
      break;
    }
    if (mode_ == ReadMode::kStrict) return damaged(place(fault));
    if (lost_.empty() && !fault.empty()) lost_ = place(fault);
    if (absl::Status status = skip_to_magic(); !status.ok()) return status;
  }
  return false;
}

/// What is at the front of the window. kNothing: `fault` says what is wrong with it.
absl::StatusOr<Scanner::Found> Scanner::look(std::string& fault) {
  if (absl::Status status = window_.want(kMagicBytes); !status.ok()) return status;
  const absl::string_view front = window_.bytes().substr(0, kMagicBytes);
  if (front.empty()) {
    warn(kNoIndex);
    return Found::kEnd;
  }
  if (absl::StartsWith(kIndexMagic, front)) return look_at_index(fault);
  if (absl::StartsWith(kBlockMagic, front)) return look_at_block(fault);
  fault = "here should be a block or the index";
  return Found::kNothing;
}

absl::StatusOr<Scanner::Found> Scanner::look_at_block(std::string& fault) {
  if (absl::Status status = window_.want(BlockHeader::kBytes); !status.ok()) return status;
  if (window_.bytes().size() < BlockHeader::kBytes) {
    fault = "the file ends within it";
    return Found::kNothing;
  }
  const std::optional<BlockHeader> header = BlockHeader::decode(window_.bytes());
  if (!header) {
    fault = "its header is damaged";
    return Found::kNothing;
  }
  const size_t size = BlockHeader::kBytes + header->stored;
  if (absl::Status status = window_.want(size); !status.ok()) return status;
  if (window_.bytes().size() < size) {
    fault = "the file ends within it";
    return Found::kNothing;
  }
  header_ = *header;
  if (checksum(stored()) != header_.stored_checksum) {
    fault = "its contents are damaged: they do not match their checksum";
    // Whole blocks may lie within what this header takes for its own. A file full of such headers
    // must not keep us forever, though.
    in_vain_ += size;
    if (in_vain_ > kMostInVain * window_.taken()) skip_ = size;
    return Found::kNothing;
  }
  if (header_.number < number_ || (mode_ == ReadMode::kStrict && header_.number != number_)) {
    fault = absl::StrCat("here is block ", header_.number);
    return Found::kNothing;
  }
  if (!lost_.empty() || header_.number != number_) {
    const std::string reason =
        lost_.empty() ? place(absl::StrCat("here is block ", header_.number)) : lost_;
    count_lost(std::max<uint64_t>(1, header_.number - number_), reason);
  }
  number_ = uint64_t{header_.number} + 1;
  return Found::kBlock;
}

absl::StatusOr<Scanner::Found> Scanner::look_at_index(std::string& fault) {
  if (absl::Status status = window_.want(kIndexFront); !status.ok()) return status;
  if (window_.bytes().size() < kIndexFront) {
    warn(kNoIndex);
    return Found::kEnd;
  }
  // No record is lost with it, so it is worth a warning, unless the first thing wrong ends the
  // reading.
  const auto bad_index = [&](absl::string_view text) {
    if (mode_ == ReadMode::kStrict) {
      fault = std::string(text);
    } else {
      warn(text);
    }
    return Found::kNothing;
  };
  const std::optional<size_t> size = index_bytes(window_.bytes());
  if (!size) return bad_index("the index is damaged");
  if (absl::Status status = window_.want(*size + Trailer::kBytes + 1); !status.ok()) return status;
  const absl::string_view bytes = window_.bytes();
  if (bytes.size() < *size + Trailer::kBytes) {
    warn(kNoIndex);
    return Found::kEnd;
  }
  const auto blocks = decode_index(bytes.substr(0, *size), window_.offset());
  const auto trailer = Trailer::decode(bytes.substr(*size, Trailer::kBytes));
  if (!blocks || !trailer || trailer->index_offset != window_.offset()) {
    return bad_index("the index is damaged");
  }
  if (blocks->size() != number_) {
    const std::string text = absl::StrCat("the index names ", blocks->size(), " blocks");
    if (mode_ == ReadMode::kStrict || blocks->size() < number_) return bad_index(text);
    count_lost(blocks->size() - number_, lost_.empty() ? place(text) : lost_);
  }
  if (bytes.size() > *size + Trailer::kBytes) {
    constexpr absl::string_view kMore = "bytes follow the end of the trace";
    if (mode_ == ReadMode::kStrict) return bad_index(kMore);
    warn(kMore);
  }
  return Found::kEnd;
}

/// Leaves the front of the window for the next magic number of a block or an index, or the end.
absl::Status Scanner::skip_to_magic() {
  window_.drop(std::min(std::max<size_t>(1, skip_), window_.bytes().size()));
  skip_ = 0;
  while (true) {
    if (absl::Status status = window_.want(kMagicBytes); !status.ok()) return status;
    const absl::string_view bytes = window_.bytes();
    if (bytes.size() < kMagicBytes) {
      window_.drop(bytes.size());
      return absl::OkStatus();
    }
    // Both numbers have these two letters after their first byte.
    for (size_t at = bytes.find("GT", 1); at != absl::string_view::npos;
         at = bytes.find("GT", at + 1)) {
      const absl::string_view magic = bytes.substr(at - 1, kMagicBytes);
      if (magic != kBlockMagic && magic != kIndexMagic) continue;
      window_.drop(at - 1);
      return absl::OkStatus();
    }
    window_.drop(bytes.size() - (kMagicBytes - 1));
  }
}

absl::Status Scanner::reject(absl::string_view fault) {
  const uint64_t next_number = number_;
  number_ = header_.number;
  const std::string text = place(absl::StrCat("its contents make no sense: ", fault));
  number_ = next_number;
  if (mode_ == ReadMode::kStrict) return damaged(text);
  count_lost(1, text);
  return absl::OkStatus();
}

std::string Scanner::place(absl::string_view fault) const {
  return absl::StrCat(source_.name(), ": block ", number_, " (byte ", window_.offset(),
                      "): ", fault);
}

void Scanner::count_lost(uint64_t blocks, const std::string& fault) {
  left_out_ += blocks;
  if (first_fault_.empty()) first_fault_ = fault;
  lost_.clear();
}

void Scanner::warn(absl::string_view text) {
  if (warning_.empty()) warning_ = absl::StrCat(source_.name(), ": ", text);
}

}  // namespace gnomon::gtrace
