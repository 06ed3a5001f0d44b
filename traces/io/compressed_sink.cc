// SPDX-License-Identifier: Apache-2.0
#include "traces/io/compressed_sink.h"

#include <archive.h>
#include <archive_entry.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace gnomon {
namespace {

struct Packing {
  absl::string_view suffix;
  absl::string_view name;
  int (*add_filter)(archive*);  // nullptr: zstd_into()
};
constexpr Packing kPackings[] = {
    {".gz", "gzip", &archive_write_add_filter_gzip},
    {".xz", "xz", &archive_write_add_filter_xz},
    {".zst", "zstd", nullptr},  // libarchive's has no checksum
    {".bz2", "bzip2", &archive_write_add_filter_bzip2},
};

class CompressedSink final : public ByteSink {
 public:
  CompressedSink(std::unique_ptr<ByteSink> sink, const Packing& packing)
      : sink_(std::move(sink)), packing_(packing), archive_(archive_write_new()) {}
  ~CompressedSink() override {
    // Closing it would write what is held back.
    archive_write_fail(archive_);
    archive_write_free(archive_);
  }
  CompressedSink(const CompressedSink&) = delete;
  CompressedSink& operator=(const CompressedSink&) = delete;

  absl::Status open() {
    bool ok = archive_write_set_format_raw(archive_) == ARCHIVE_OK &&
              packing_.add_filter(archive_) == ARCHIVE_OK;
    // gzip alone would keep the time.
    if (ok && packing_.name == "gzip") {
      ok = archive_write_set_filter_option(archive_, "gzip", "timestamp", nullptr) == ARCHIVE_OK;
    }
    // Blocks as they come, and no padding of the last one.
    ok = ok && archive_write_set_bytes_per_block(archive_, 0) == ARCHIVE_OK &&
         archive_write_open(archive_, this, nullptr, &CompressedSink::take, nullptr) == ARCHIVE_OK;
    if (!ok) return error();
    archive_entry* const entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    ok = archive_write_header(archive_, entry) == ARCHIVE_OK;
    archive_entry_free(entry);
    return ok ? absl::OkStatus() : error();
  }
  absl::Status write(absl::string_view bytes) override {
    while (!bytes.empty()) {
      const la_ssize_t n = archive_write_data(archive_, bytes.data(), bytes.size());
      if (n <= 0) return error();
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return absl::OkStatus();
  }
  absl::Status finish() override {
    if (finished_) return absl::OkStatus();
    // Some filters close well whatever became of what they wrote.
    if (archive_write_close(archive_) != ARCHIVE_OK || !sink_error_.ok()) return error();
    finished_ = true;
    return sink_->finish();
  }
  absl::string_view name() const override { return sink_->name(); }

 private:
  static la_ssize_t take(archive* a, void* self_pointer, const void* bytes, size_t size) {
    auto* const self = static_cast<CompressedSink*>(self_pointer);
    self->sink_error_ = self->sink_->write({static_cast<const char*>(bytes), size});
    if (self->sink_error_.ok()) return static_cast<la_ssize_t>(size);
    archive_set_error(a, EIO, "cannot write");
    return -1;
  }

  absl::Status error() const {
    if (!sink_error_.ok()) return sink_error_;
    const char* const why = archive_error_string(archive_);
    return absl::InternalError(absl::StrCat(name(), ": cannot compress with ", packing_.name, ": ",
                                            why != nullptr ? why : "no reason given"));
  }

  std::unique_ptr<ByteSink> sink_;
  const Packing& packing_;
  archive* archive_;
  absl::Status sink_error_;
  bool finished_ = false;
};

}  // namespace

absl::string_view compressed_suffix(absl::string_view path) {
  for (const Packing& p : kPackings) {
    if (absl::EndsWith(path, p.suffix)) return p.suffix;
  }
  return {};
}

absl::StatusOr<std::unique_ptr<ByteSink>> compress_into(std::unique_ptr<ByteSink> sink,
                                                        absl::string_view suffix) {
  const auto* const packing =
      absl::c_find_if(kPackings, [&](const Packing& p) { return p.suffix == suffix; });
  if (packing->add_filter == nullptr) return zstd_into(std::move(sink));
  auto compressed = std::make_unique<CompressedSink>(std::move(sink), *packing);
  if (absl::Status s = compressed->open(); !s.ok()) return s;
  return compressed;
}

}  // namespace gnomon
