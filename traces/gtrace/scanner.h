// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_SCANNER_H_
#define TRACES_GTRACE_SCANNER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gnomon/traces/byte_source.h"
#include "gnomon/traces/trace_reader.h"
#include "traces/gtrace/layout.h"
#include "traces/gtrace/window.h"

namespace gnomon::gtrace {

/// Finds the blocks of a file from front to back, and checks what can be checked without decoding
/// them. Lenient: goes on at the next whole block after something damaged.
class Scanner {
 public:
  Scanner(ByteSource& source, ReadMode mode)
      : source_(source), mode_(mode), window_(source, /*lenient=*/mode == ReadMode::kLenient) {}

  /// Once, first. Errors as next(); also InvalidArgument in either mode if the file cannot be read
  /// by this program.
  absl::Status read_file_header(TraceInfo& info);
  /// Goes to the next block; false at the end. Errors: the source's; strict: InvalidArgument with
  /// source, block, byte offset and what is wrong.
  absl::StatusOr<bool> next();

  // The block found; until the next call.
  const BlockHeader& header() const { return header_; }
  absl::string_view stored() const {
    return window_.bytes().substr(BlockHeader::kBytes, header_.stored);
  }
  uint64_t offset() const { return window_.offset(); }

  /// Says that the block found is damaged after all: counts it, or returns the error.
  absl::Status reject(absl::string_view fault);

  uint64_t left_out() const { return left_out_; }
  const std::string& first_fault() const { return first_fault_; }
  const std::string& warning() const { return warning_; }
  uint64_t bytes() const { return window_.taken(); }

 private:
  enum class Found { kNothing, kBlock, kEnd };

  absl::StatusOr<Found> look(std::string& fault);
  absl::StatusOr<Found> look_at_block(std::string& fault);
  absl::StatusOr<Found> look_at_index(std::string& fault);
  absl::Status skip_to_magic();
  std::string place(absl::string_view fault) const;
  void count_lost(uint64_t blocks, const std::string& fault);
  void warn(absl::string_view text);

  ByteSource& source_;
  ReadMode mode_;
  Window window_;
  BlockHeader header_;
  size_t done_ = 0;  // bytes of the block found, to be dropped
  bool ended_ = false;
  uint64_t number_ = 0;   // of the next block, if none is lost
  std::string lost_;      // lenient: what was wrong where blocks may be lost
  uint64_t in_vain_ = 0;  // bytes of blocks that turned out damaged
  size_t skip_ = 0;       // bytes to go before looking for a magic number again
  uint64_t left_out_ = 0;
  std::string first_fault_;
  std::string warning_;
};

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_SCANNER_H_
