// SPDX-License-Identifier: Apache-2.0
#include <zstd.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "traces/io/compressed_sink.h"

namespace gnomon {
namespace {

/// One frame, with a checksum of what is in it.
class ZstdSink final : public ByteSink {
 public:
  explicit ZstdSink(std::unique_ptr<ByteSink> sink)
      : sink_(std::move(sink)), stream_(ZSTD_createCStream()), packed_(ZSTD_CStreamOutSize()) {}
  ~ZstdSink() override { ZSTD_freeCStream(stream_); }
  ZstdSink(const ZstdSink&) = delete;
  ZstdSink& operator=(const ZstdSink&) = delete;

  bool ready() {
    return stream_ != nullptr &&
           ZSTD_isError(ZSTD_CCtx_setParameter(stream_, ZSTD_c_checksumFlag, 1)) == 0;
  }
  absl::Status write(absl::string_view bytes) override { return put(bytes, ZSTD_e_continue); }
  absl::Status finish() override {
    if (finished_) return absl::OkStatus();
    if (absl::Status s = put({}, ZSTD_e_end); !s.ok()) return s;
    finished_ = true;
    return sink_->finish();
  }
  absl::string_view name() const override { return sink_->name(); }

 private:
  absl::Status put(absl::string_view bytes, ZSTD_EndDirective what) {
    ZSTD_inBuffer from{bytes.data(), bytes.size(), 0};
    while (error_.ok()) {
      ZSTD_outBuffer to{packed_.data(), packed_.size(), 0};
      const size_t left = ZSTD_compressStream2(stream_, &to, &from, what);
      if (ZSTD_isError(left) != 0) {
        error_ = absl::InternalError(
            absl::StrCat(name(), ": cannot compress with zstd: ", ZSTD_getErrorName(left)));
      } else if (to.pos != 0) {
        error_ = sink_->write({packed_.data(), to.pos});
      }
      if (what == ZSTD_e_end ? left == 0 : from.pos == from.size) break;
    }
    return error_;
  }

  std::unique_ptr<ByteSink> sink_;
  ZSTD_CStream* stream_;
  std::vector<char> packed_;  // what comes out in one step
  absl::Status error_;        // the first: what was lost with it cannot be written any more
  bool finished_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSink>> zstd_into(std::unique_ptr<ByteSink> sink) {
  auto packed = std::make_unique<ZstdSink>(std::move(sink));
  if (!packed->ready()) {
    return absl::InternalError(absl::StrCat(packed->name(), ": cannot compress with zstd"));
  }
  return packed;
}

}  // namespace gnomon
