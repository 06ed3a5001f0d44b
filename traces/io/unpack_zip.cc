// SPDX-License-Identifier: Apache-2.0
#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "traces/io/unpack.h"

namespace gnomon {
namespace {

/// What libarchive makes of a source.
class UnpackedZip final : public ByteSource {
 public:
  explicit UnpackedZip(std::unique_ptr<ByteSource> source)
      : source_(std::move(source)), archive_(archive_read_new()) {}
  ~UnpackedZip() override { archive_read_free(archive_); }
  UnpackedZip(const UnpackedZip&) = delete;
  UnpackedZip& operator=(const UnpackedZip&) = delete;

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
    auto* const self = static_cast<UnpackedZip*>(self_pointer);
    size_t filled = 0;
    while (filled < kPiece && self->source_error_.ok()) {
      const absl::StatusOr<size_t> got =
          self->source_->read(absl::MakeSpan(self->piece_).subspan(filled));
      if (!got.ok()) self->source_error_ = got.status();
      if (got.ok() && *got == 0) self->asked_beyond_ = filled == 0;
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
    int result = archive_read_support_format_zip_streamable(archive_);
    if (result == ARCHIVE_OK) {
      result = archive_read_open(archive_, this, nullptr, &UnpackedZip::hand_in, nullptr);
    }
    // A file that is damaged from the start looks empty, but libarchive remembers that something
    // went wrong.
    if (result != ARCHIVE_OK || archive_errno(archive_) != 0) fail();
  }

  void next_member() {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(archive_, &entry);
    if (result == ARCHIVE_EOF) {
      ended_ = true;
    } else if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {  // a warning: an odd member name
      fail();
    } else {
      // Directories and links have no content of their own: the next call goes on to the next one.
      in_member_ = archive_entry_filetype(entry) == AE_IFREG;
    }
  }

  void fail() {
    if (!error_.ok()) return;  // the source's own
    const auto taken =
        static_cast<uint64_t>(std::max<la_int64_t>(archive_filter_bytes(archive_, -1), 0));
    error_ = unpacking_error(name(), asked_beyond_ ? handed_in_ : taken, "zip", asked_beyond_);
  }

  std::unique_ptr<ByteSource> source_;
  archive* archive_;
  std::vector<char> piece_ = std::vector<char>(kPiece);
  absl::string_view rest_;  // of a block that libarchive owns until the next is asked for
  uint64_t handed_in_ = 0;
  bool asked_beyond_ = false;  // for bytes behind the last: what is missing is cut off
  bool opened_ = false;
  bool in_member_ = false;
  bool ended_ = false;
  absl::Status source_error_;  // comes after the bytes before it
  absl::Status error_;
};

}  // namespace

std::unique_ptr<ByteSource> unpack_zip(std::unique_ptr<ByteSource> source) {
  return std::make_unique<UnpackedZip>(std::move(source));
}

}  // namespace gnomon
