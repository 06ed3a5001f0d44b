// SPDX-License-Identifier: Apache-2.0
#include "traces/io/stream_decoder.h"

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <limits>
#include <string>

namespace gnomon {
namespace {

using State = StreamDecoder::State;

/// Of sizes that these libraries keep in 32 bits.
unsigned short_size(size_t n) {
  return static_cast<unsigned>(std::min<size_t>(n, std::numeric_limits<unsigned>::max()));
}

void move_on(absl::string_view& in, size_t taken, absl::Span<char>& out, size_t put) {
  in.remove_prefix(taken);
  out.remove_prefix(put);
}

/// What gzip and bzip2 have in common: streams one after the other, and what does not start like
/// one after the first is passed over, as their own programs do.
class Members : public StreamDecoder {
 public:
  State step(absl::string_view& in, absl::Span<char>& out, bool /*last*/) final {
    if (between_) {
      if (in.empty()) return State::kBetween;
      if (padding_ || in.front() != first_) {
        padding_ = true;
        in = {};
        return State::kBetween;
      }
      if (!begin()) return State::kTooLarge;
      between_ = false;
    }
    const State state = go_on(in, out);
    between_ = state == State::kBetween;
    return state;
  }

 protected:
  explicit Members(char first) : first_(first) {}
  virtual bool begin() = 0;
  virtual State go_on(absl::string_view& in, absl::Span<char>& out) = 0;

 private:
  const char first_;
  bool between_ = false;
  bool padding_ = false;
};

class GzipDecoder final : public Members {
 public:
  GzipDecoder() : Members('\x1f') {
    constexpr int kGzipWindow = 16 + MAX_WBITS;
    ready_ = inflateInit2(&stream_, kGzipWindow) == Z_OK;
  }
  ~GzipDecoder() override { inflateEnd(&stream_); }
  GzipDecoder(const GzipDecoder&) = delete;
  GzipDecoder& operator=(const GzipDecoder&) = delete;
  bool ready() const { return ready_; }

 private:
  bool begin() override { return inflateReset(&stream_) == Z_OK; }
  State go_on(absl::string_view& in, absl::Span<char>& out) override {
    // The library does not write to its input.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    const unsigned given = stream_.avail_in = short_size(in.size());
    const unsigned room = stream_.avail_out = short_size(out.size());
    const int result = inflate(&stream_, Z_NO_FLUSH);
    move_on(in, given - stream_.avail_in, out, room - stream_.avail_out);
    if (result == Z_STREAM_END) return State::kBetween;
    return result == Z_OK || result == Z_BUF_ERROR ? State::kWithin : State::kDamaged;
  }

  z_stream stream_{};
  bool ready_ = false;
};

class Bzip2Decoder final : public Members {
 public:
  Bzip2Decoder() : Members('B') { ready_ = open(); }
  ~Bzip2Decoder() override { BZ2_bzDecompressEnd(&stream_); }
  Bzip2Decoder(const Bzip2Decoder&) = delete;
  Bzip2Decoder& operator=(const Bzip2Decoder&) = delete;
  bool ready() const { return ready_; }

 private:
  bool open() { return BZ2_bzDecompressInit(&stream_, 0, 0) == BZ_OK; }
  bool begin() override {
    BZ2_bzDecompressEnd(&stream_);
    return open();
  }
  State go_on(absl::string_view& in, absl::Span<char>& out) override {
    stream_.next_in = const_cast<char*>(in.data());  // not written to
    stream_.next_out = out.data();
    const unsigned given = stream_.avail_in = short_size(in.size());
    const unsigned room = stream_.avail_out = short_size(out.size());
    const int result = BZ2_bzDecompress(&stream_);
    move_on(in, given - stream_.avail_in, out, room - stream_.avail_out);
    if (result == BZ_STREAM_END) return State::kBetween;
    if (result == BZ_MEM_ERROR) return State::kTooLarge;
    return result == BZ_OK ? State::kWithin : State::kDamaged;
  }

  bz_stream stream_{};
  bool ready_ = false;
};

class XzDecoder final : public StreamDecoder {
 public:
  XzDecoder() {
    constexpr uint64_t kMostMemory = uint64_t{1} << 30;  // xz -9 takes 65M
    ready_ = lzma_stream_decoder(&stream_, kMostMemory, LZMA_CONCATENATED) == LZMA_OK;
  }
  ~XzDecoder() override { lzma_end(&stream_); }
  XzDecoder(const XzDecoder&) = delete;
  XzDecoder& operator=(const XzDecoder&) = delete;
  bool ready() const { return ready_; }

  State step(absl::string_view& in, absl::Span<char>& out, bool last) override {
    stream_.next_in = reinterpret_cast<const uint8_t*>(in.data());
    stream_.next_out = reinterpret_cast<uint8_t*>(out.data());
    stream_.avail_in = in.size();
    stream_.avail_out = out.size();
    const lzma_ret result = lzma_code(&stream_, last ? LZMA_FINISH : LZMA_RUN);
    move_on(in, in.size() - stream_.avail_in, out, out.size() - stream_.avail_out);
    switch (result) {
      case LZMA_STREAM_END: return State::kBetween;
      case LZMA_OK:
      case LZMA_BUF_ERROR:
      case LZMA_NO_CHECK:
      case LZMA_UNSUPPORTED_CHECK:
      case LZMA_GET_CHECK: return State::kWithin;
      case LZMA_MEM_ERROR:
      case LZMA_MEMLIMIT_ERROR: return State::kTooLarge;
      default: return State::kDamaged;
    }
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ready_ = false;
};

/// What comes out before damage must not depend on how the bytes arrive. So the library gets them
/// in the portions that it asks for, and first puts out what it has: of a call that fails it does
/// not say what it has put out.
class ZstdDecoder final : public StreamDecoder {
 public:
  ZstdDecoder() {
    if (ready()) first_ = wanted_ = ZSTD_initDStream(stream_);
  }
  ~ZstdDecoder() override { ZSTD_freeDStream(stream_); }
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;
  bool ready() const { return stream_ != nullptr; }

  State step(absl::string_view& in, absl::Span<char>& out, bool last) override {
    for (;;) {
      if (putting_out_) {
        const size_t room = out.size();
        if (const State s = call(0, out); s != State::kWithin) return s;
        putting_out_ = out.empty();
        if (out.size() != room) break;
      }
      const size_t more = std::min(wanted_ - std::min(wanted_, held_.size()), in.size());
      held_.append(in.data(), more);
      in.remove_prefix(more);
      if (held_.empty() || (held_.size() < wanted_ && !last)) break;
      const size_t had = held_.size();
      absl::Span<char> no_room;
      if (const State s = call(std::min(had, wanted_), no_room); s != State::kWithin) return s;
      putting_out_ = true;
      if (held_.size() == had) break;
    }
    return between_ && held_.empty() ? State::kBetween : State::kWithin;
  }

 private:
  /// kWithin, or what is wrong.
  State call(size_t bytes, absl::Span<char>& out) {
    ZSTD_inBuffer from{held_.data(), bytes, 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const size_t result = ZSTD_decompressStream(stream_, &to, &from);
    if (ZSTD_isError(result) != 0) {
      const ZSTD_ErrorCode code = ZSTD_getErrorCode(result);
      const bool large =
          code == ZSTD_error_frameParameter_windowTooLarge || code == ZSTD_error_memory_allocation;
      return large ? State::kTooLarge : State::kDamaged;
    }
    held_.erase(0, from.pos);
    out.remove_prefix(to.pos);
    // Without input after a frame the library asks for the header of the next.
    if (from.pos != 0 || to.pos != 0) between_ = result == 0;
    wanted_ = result == 0 ? first_ : result;
    return State::kWithin;
  }

  ZSTD_DStream* stream_ = ZSTD_createDStream();
  size_t first_ = 0;          // bytes that it wants of a frame to begin with
  size_t wanted_ = 0;         // bytes that it wants next
  std::string held_;          // of those
  bool putting_out_ = false;  // it may have bytes ready
  bool between_ = false;
};

template <class T>
std::unique_ptr<StreamDecoder> if_ready() {
  auto decoder = std::make_unique<T>();
  if (!decoder->ready()) return nullptr;
  return decoder;
}

}  // namespace

std::unique_ptr<StreamDecoder> make_gzip_decoder() { return if_ready<GzipDecoder>(); }
std::unique_ptr<StreamDecoder> make_xz_decoder() { return if_ready<XzDecoder>(); }
std::unique_ptr<StreamDecoder> make_zstd_decoder() { return if_ready<ZstdDecoder>(); }
std::unique_ptr<StreamDecoder> make_bzip2_decoder() { return if_ready<Bzip2Decoder>(); }

}  // namespace gnomon
