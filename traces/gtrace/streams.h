// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_STREAMS_H_
#define TRACES_GTRACE_STREAMS_H_

#include <zstd.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// A block is several streams of bytes, each compressed on its own: alike things lie together.
//
//   stored:  (raw size, stored size) of each stream, as varints | the streams
//
// A stream whose two sizes are the same is stored as it is.

namespace gnomon::gtrace {

enum Stream : size_t {
  kShapes,      ///< dictionary: the basic runs
  kSlots,       ///< dictionary: how addresses are foretold
  kPairs,       ///< dictionary: runs made of two others
  kTokenLow,    ///< which run comes next: low bytes
  kTokenHigh,   ///< and high bytes
  kMissCounts,  ///< for each run: data references that were not foretold
  kMisses,      ///< which ones, and the size of the correction
  kCorrections,
  kEvents,
  kStreamCount,
};

using Streams = std::array<std::string, kStreamCount>;

class Packer {
 public:
  explicit Packer(int level);
  /// Replaces `to`. Internal: zstd is out of memory.
  absl::Status pack(const Streams& streams, std::string& to);

 private:
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context_;
};

class Unpacker {
 public:
  Unpacker();
  /// Replaces `to`, whose buffers are kept from block to block; kPadding zero bytes follow what
  /// each stream holds. InvalidArgument says what is wrong with `stored`.
  absl::Status unpack(absl::string_view stored, Streams& to);

  static constexpr size_t kPadding = 8;  ///< any number can be read with one load

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_;
};

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_STREAMS_H_
