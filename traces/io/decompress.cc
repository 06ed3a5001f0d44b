// SPDX-License-Identifier: Apache-2.0
#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "gnomon/traces/formats.h"
#include "gnomon/traces/gtrace.h"
#include "traces/io/peek.h"

namespace gnomon {
namespace {

enum class Packing : uint8_t { kNone, kGzip, kXz, kZstd, kBzip2, kZip };

struct PackingInfo {
  Packing packing;
  absl::string_view name;
  absl::string_view magic;
  int filter;  // of libarchive; one layer and no more, so that nothing inside is unpacked again
};
// The third byte of gzip's magic is its only method, deflate; a ZIP archive without members starts
// with its directory's end.
constexpr std::array<PackingInfo, 6> kPackings = {{
    {Packing::kGzip, "gzip", "\x1f\x8b\x08", ARCHIVE_FILTER_GZIP},
    {Packing::kXz, "xz", "\xfd\x37zXZ", ARCHIVE_FILTER_XZ},
    {Packing::kZstd, "zstd", "\x28\xb5\x2f\xfd", ARCHIVE_FILTER_ZSTD},
    {Packing::kBzip2, "bzip2", "BZh", ARCHIVE_FILTER_BZIP2},
    {Packing::kZip, "zip", "PK\x03\x04", ARCHIVE_FILTER_NONE},
    {Packing::kZip, "zip", "PK\x05\x06", ARCHIVE_FILTER_NONE},
}};
constexpr size_t kLongestMagic = 64;

const PackingInfo* find_packing(absl::string_view front) {
  for (const PackingInfo& row : kPackings) {
    if (!absl::StartsWith(front, row.magic)) continue;
    // "BZh" alone could be text; the level and the first block's mark (or the end's) follow.
    if (row.packing == Packing::kBzip2 &&
        (front.size() < 10 || front[3] < '1' || front[3] > '9' ||
         (front.substr(4, 6) != "1AY&SY" && front.substr(4, 6) != "\x17\x72\x45\x38\x50\x90"))) {
      continue;
    }
    return &row;
  }
  return nullptr;
}

/// What libarchive makes of a source.
class UnpackedBytes final : public ByteSource {
 public:
  UnpackedBytes(std::unique_ptr<ByteSource> source, const PackingInfo& packing)
      : source_(std::move(source)), packing_(packing), archive_(archive_read_new()) {}
  ~UnpackedBytes() override { archive_read_free(archive_); }
  UnpackedBytes(const UnpackedBytes&) = delete;
  UnpackedBytes& operator=(const UnpackedBytes&) = delete;

  absl::StatusOr<size_t> read(absl::Span<char> to) override {
    while (rest_.empty() && !ended_ && error_.ok()) advance();
    if (rest_.empty() && !error_.ok()) return error_;
    const size_t n = std::min(to.size(), rest_.size());
    std::copy_n(rest_.data(), n, to.data());
    rest_.remove_prefix(n);
    return n;
  }
  absl::string_view name() const override { return source_->name(); }
  std::optional<uint64_t> total_bytes() const override { return source_->total_bytes(); }
  std::optional<uint64_t> stored_bytes_taken() const override { return handed_in_; }

 private:
  static constexpr size_t kPiece = size_t{64} << 10;

  /// Hands in full pieces, so that what comes out before an error does not depend on how the bytes
  /// arrived.
  static la_ssize_t hand_in(archive* a, void* self_pointer, const void** buffer) {
    auto* const self = static_cast<UnpackedBytes*>(self_pointer);
    size_t filled = 0;
    while (filled < kPiece && self->source_error_.ok()) {
      const absl::StatusOr<size_t> got =
          self->source_->read(absl::MakeSpan(self->piece_).subspan(filled));
      if (!got.ok()) self->source_error_ = got.status();
      if (!got.ok() || *got == 0) break;
      filled += *got;
    }
    if (filled == 0 && !self->source_error_.ok()) {
      self->error_ = self->source_error_;
      archive_set_error(a, EIO, "cannot read");
      return -1;
    }
    self->handed_in_ += filled;
    *buffer = self->piece_.data();
    return static_cast<la_ssize_t>(filled);
  }

  void advance() {
    if (!opened_) return open();
    if (!in_member_) return next_member();
    const void* block = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int result = archive_read_data_block(archive_, &block, &size, &offset);
    if (result == ARCHIVE_EOF) {
      in_member_ = false;
    } else if (result == ARCHIVE_OK) {
      rest_ = absl::string_view(static_cast<const char*>(block), size);
    } else if (result != ARCHIVE_RETRY) {
      fail();
    }
  }

  void open() {
    opened_ = true;
    // "empty" reads what a compressed empty file holds.
    int result = packing_.packing == Packing::kZip
                     ? archive_read_support_format_zip_streamable(archive_)
                     : std::min(archive_read_support_format_raw(archive_),
                                archive_read_support_format_empty(archive_));
    if (result == ARCHIVE_OK) result = archive_read_append_filter(archive_, packing_.filter);
    if (result == ARCHIVE_OK) {
      result = archive_read_open(archive_, this, nullptr, &UnpackedBytes::hand_in, nullptr);
    }
    // A file that is damaged from the start looks empty, but libarchive remembers what went wrong.
    if (result != ARCHIVE_OK || archive_errno(archive_) != 0) fail();
  }

  void next_member() {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(archive_, &entry);
    // Libarchive takes fewer bytes than these for the end of what was compressed with bzip2.
    constexpr uint64_t kLeastBzip2 = 14;
    if (result == ARCHIVE_EOF) {
      ended_ = true;
      if (packing_.packing == Packing::kBzip2 && handed_in_ < kLeastBzip2) fail();
    } else if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {  // a warning: an odd member name
      fail();
    } else {
      // Directories and links have no content of their own: the next call goes on to the next one.
      in_member_ = archive_entry_filetype(entry) == AE_IFREG;
    }
  }

  void fail() {
    if (!error_.ok()) return;  // the source's own
    const char* const why = archive_error_string(archive_);
    error_ = absl::InvalidArgumentError(absl::StrFormat(
        "%s: damaged %s data (near byte %d of the compressed file): %s", source_->name(),
        packing_.name, archive_filter_bytes(archive_, -1), why != nullptr ? why : "cut off"));
  }

  std::unique_ptr<ByteSource> source_;
  const PackingInfo& packing_;
  archive* archive_;
  std::vector<char> piece_ = std::vector<char>(kPiece);
  absl::string_view rest_;  // of a block that libarchive owns until the next is asked for
  uint64_t handed_in_ = 0;
  bool opened_ = false;
  bool in_member_ = false;
  bool ended_ = false;
  absl::Status source_error_;  // comes after the bytes before it
  absl::Status error_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> decompress(std::unique_ptr<ByteSource> source) {
  auto peeked = std::make_unique<PeekedBytes>(std::move(source));
  const absl::StatusOr<absl::string_view> front = peeked->peek(kLongestMagic);
  if (!front.ok()) return front.status();
  const PackingInfo* const packing = is_gtrace(*front) ? nullptr : find_packing(*front);
  if (packing == nullptr) return peeked;
  return std::make_unique<UnpackedBytes>(std::move(peeked), *packing);
}

}  // namespace gnomon
