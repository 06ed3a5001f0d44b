// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_BYTE_SOURCE_H_
#define GNOMON_TRACES_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace gnomon {

/// Where the bytes of a recording come from, read once from front to back.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills the front of `to` and returns how many bytes, 0 only at the end. It may return fewer
  /// than asked for. Errors: Unavailable, when the system cannot read on; DataLoss, when what was compressed
  /// is cut off or damaged (everything before that has been handed out); ResourceExhausted.
  virtual absl::StatusOr<size_t> read(absl::Span<char> to) = 0;
  /// For messages: the file's name, "standard input".
  virtual absl::string_view name() const = 0;
  /// All bytes there are as stored (compressed), if that is known beforehand.
  virtual std::optional<uint64_t> total_bytes() const { return std::nullopt; }
  /// Stored bytes taken so far, where that is not the number of bytes that read() has returned: what
  /// to compare with total_bytes().
  virtual std::optional<uint64_t> stored_bytes_taken() const { return std::nullopt; }
};

/// A file by name, or standard input for "-". NotFound or FailedPrecondition when it cannot be
/// opened.
absl::StatusOr<std::unique_ptr<ByteSource>> open_bytes(absl::string_view path);

/// Bytes in memory, which must outlive the source; handed out at most `piece` at a time.
class MemoryBytes final : public ByteSource {
 public:
  explicit MemoryBytes(absl::string_view bytes, absl::string_view name = "memory",
                       size_t piece = ~size_t{0})
      : rest_(bytes), total_(bytes.size()), piece_(piece), name_(name) {}
  absl::StatusOr<size_t> read(absl::Span<char> to) override;
  absl::string_view name() const override { return name_; }
  std::optional<uint64_t> total_bytes() const override { return total_; }

 private:
  absl::string_view rest_;
  uint64_t total_;
  size_t piece_;
  std::string name_;
};

}  // namespace gnomon

#endif  // GNOMON_TRACES_BYTE_SOURCE_H_
