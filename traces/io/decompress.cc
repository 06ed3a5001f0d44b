// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "gnomon/traces/formats.h"
#include "gnomon/traces/gtrace.h"
#include "traces/io/peek.h"
#include "traces/io/stream_decoder.h"
#include "traces/io/unpack.h"

namespace gnomon {
namespace {

struct PackingInfo {
  absl::string_view name;
  absl::string_view magic;
  std::unique_ptr<StreamDecoder> (*decoder)();  // null: an archive
};
// The third byte of gzip's magic is its only method, deflate; a ZIP archive without members starts
// with its directory's end.
constexpr absl::string_view kBzip2Magic = "BZh";
constexpr std::array<PackingInfo, 6> kPackings = {{
    {"gzip", "\x1f\x8b\x08", &make_gzip_decoder},
    {"xz", "\xfd\x37zXZ", &make_xz_decoder},
    {"zstd", "\x28\xb5\x2f\xfd", &make_zstd_decoder},
    {"bzip2", kBzip2Magic, &make_bzip2_decoder},
    {"zip", "PK\x03\x04", nullptr},
    {"zip", "PK\x05\x06", nullptr},
}};
constexpr size_t kLongestMagic = 64;

const PackingInfo* find_packing(absl::string_view front) {
  for (const PackingInfo& row : kPackings) {
    if (!absl::StartsWith(front, row.magic)) continue;
    // "BZh" alone could be text; the level and the first block's mark (or the end's) follow.
    if (row.magic == kBzip2Magic &&
        (front.size() < 10 || front[3] < '1' || front[3] > '9' ||
         (front.substr(4, 6) != "1AY&SY" && front.substr(4, 6) != "\x17\x72\x45\x38\x50\x90"))) {
      continue;
    }
    return &row;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> decompress(std::unique_ptr<ByteSource> source) {
  auto peeked = std::make_unique<PeekedBytes>(std::move(source));
  const absl::StatusOr<absl::string_view> front = peeked->peek(kLongestMagic);
  if (!front.ok()) return front.status();
  const PackingInfo* const packing = is_gtrace(*front) ? nullptr : find_packing(*front);
  if (packing == nullptr) return peeked;
  if (packing->decoder == nullptr) return unpack_zip(std::move(peeked));
  std::unique_ptr<StreamDecoder> decoder = packing->decoder();
  if (decoder == nullptr) return absl::ResourceExhaustedError("no memory to unpack a compressed file");
  return unpack_stream(std::move(peeked), packing->name, std::move(decoder));
}

}  // namespace gnomon
