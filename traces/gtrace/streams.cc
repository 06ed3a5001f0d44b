// SPDX-License-Identifier: Apache-2.0
#include "traces/gtrace/streams.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "traces/gtrace/coding.h"
#include "traces/gtrace/layout.h"

namespace gnomon::gtrace {

Packer::Packer(int level) : context_(ZSTD_createCCtx()) {
  if (context_ == nullptr) return;
  const ZSTD_bounds bounds = ZSTD_cParam_getBounds(ZSTD_c_compressionLevel);
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel,
                         std::clamp(level, 1, bounds.upperBound));
  // The sizes are in front of the streams already.
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_contentSizeFlag, 0);
}

absl::Status Packer::pack(const Streams& streams, std::string& to) {
  if (context_ == nullptr) return absl::InternalError("zstd is out of memory");
  std::string sizes, packed;
  for (const std::string& raw : streams) {
    const size_t front = packed.size();
    packed.resize(front + ZSTD_compressBound(raw.size()));
    const size_t n = ZSTD_compress2(context_.get(), &packed[front], packed.size() - front,
                                    raw.data(), raw.size());
    if (ZSTD_isError(n)) {
      return absl::InternalError(absl::StrCat("zstd: ", ZSTD_getErrorName(n)));
    }
    const bool smaller = n < raw.size();
    packed.resize(front + (smaller ? n : 0));
    if (!smaller) packed += raw;
    put_varint(sizes, raw.size());
    put_varint(sizes, packed.size() - front);
  }
  to = std::move(sizes);
  to += packed;
  return absl::OkStatus();
}

Unpacker::Unpacker() : context_(ZSTD_createDCtx()) {}

absl::Status Unpacker::unpack(absl::string_view stored, Streams& to) {
  if (context_ == nullptr) return absl::ResourceExhaustedError("zstd is out of memory");
  Cursor cursor(stored);
  std::array<std::array<uint64_t, 2>, kStreamCount> sizes;
  uint64_t raw_total = 0;
  for (auto& [raw, packed] : sizes) {
    raw = cursor.varint_up_to(kMaxRawBytes);
    packed = cursor.varint_up_to(kMaxStoredBytes);
    raw_total += raw;
  }
  if (!cursor.ok() || raw_total > kMaxRawBytes) {
    return absl::InvalidArgumentError("the sizes of its streams are out of range");
  }
  for (size_t i = 0; i < kStreamCount; ++i) {
    const auto [raw, packed] = sizes[i];
    const absl::string_view bytes = cursor.bytes(packed);
    if (!cursor.ok()) return absl::InvalidArgumentError("its streams are cut off");
    to[i].resize(raw + kPadding);
    std::fill_n(&to[i][raw], kPadding, '\0');
    if (raw == packed) {
      std::copy(bytes.begin(), bytes.end(), to[i].begin());
      continue;
    }
    const size_t n =
        ZSTD_decompressDCtx(context_.get(), to[i].data(), raw, bytes.data(), bytes.size());
    if (ZSTD_isError(n) || n != raw) {
      return absl::InvalidArgumentError(absl::StrCat("stream ", i, " cannot be decompressed"));
    }
  }
  if (!cursor.at_end()) return absl::InvalidArgumentError("bytes are left after its streams");
  return absl::OkStatus();
}

}  // namespace gnomon::gtrace
