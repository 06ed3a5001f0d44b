// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_LAYOUT_H_
#define TRACES_GTRACE_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

// The pieces that a file is made of (docs/gtrace.md), and the limits that keep a reader's memory
// fixed whatever a file claims:
//
//   file header | block | block | … | index | trailer
//   block:  64-byte header | stored streams

namespace gnomon::gtrace {

inline constexpr size_t kMagicBytes = 8;
inline constexpr absl::string_view kFileMagic("\x89GTRACE\n", kMagicBytes);
inline constexpr absl::string_view kBlockMagic("\xb1GTBLK\r\n", kMagicBytes);
inline constexpr absl::string_view kIndexMagic("\xb2GTIDX\r\n", kMagicBytes);
inline constexpr absl::string_view kTrailerMagic("\xb3GTEND\r\n", kMagicBytes);

inline constexpr uint32_t kVersion = 1;

inline constexpr uint32_t kMaxBlockRecords = 1u << 21;
/// Stored streams of a block, and the same unpacked.
inline constexpr uint32_t kMaxStoredBytes = 1u << 26;
inline constexpr uint32_t kMaxRawBytes = 1u << 26;
/// Tagged fields of the file header.
inline constexpr uint32_t kMaxInfoBytes = 1u << 17;
/// A writer with more blocks leaves the index out.
inline constexpr uint64_t kMaxIndexRows = 1u << 20;

/// XXH64 with seed 0.
uint64_t checksum(absl::string_view bytes);

/// The fixed front of a block.
struct BlockHeader {
  static constexpr size_t kBytes = 64;

  uint32_t number = 0;   ///< of the block: 0, 1, 2, …
  uint32_t stored = 0;   ///< bytes that follow this header
  uint32_t records = 0;  ///< events included
  uint32_t events = 0;
  uint64_t references = 0;
  uint64_t first_reference = 0;  ///< references in the blocks before
  uint32_t process = 0;          ///< who runs as the block begins
  uint32_t thread = 0;
  uint64_t stored_checksum = 0;

  std::string encode() const;
  /// Nothing if these are not the bytes of a header, whole and within the limits.
  static std::optional<BlockHeader> decode(absl::string_view bytes);
};

/// Where the index is: the last bytes of a file.
struct Trailer {
  static constexpr size_t kBytes = 24;

  uint64_t index_offset = 0;

  std::string encode() const;
  static std::optional<Trailer> decode(absl::string_view bytes);
};

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_LAYOUT_H_
