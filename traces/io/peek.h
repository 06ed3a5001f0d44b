// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_IO_PEEK_H_
#define TRACES_IO_PEEK_H_

#include <memory>
#include <string>
#include <utility>

#include "gnomon/traces/byte_source.h"

namespace gnomon {

/// Looks at the front of a source without taking it away.
class PeekedBytes final : public ByteSource {
 public:
  explicit PeekedBytes(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {}

  /// The first `bytes` of what is still to be read, fewer only if there are no more. Valid until
  /// the next call. Errors: what the source reports, if there is nothing before it; read() comes to it
  /// otherwise.
  absl::StatusOr<absl::string_view> peek(size_t bytes);

  absl::StatusOr<size_t> read(absl::Span<char> to) override;
  absl::string_view name() const override { return source_->name(); }
  std::optional<uint64_t> total_bytes() const override { return source_->total_bytes(); }
  /// What was looked at counts as taken from a source that tells stored bytes, for it is.
  std::optional<uint64_t> stored_bytes_taken() const override {
    return source_->stored_bytes_taken();
  }

 private:
  std::unique_ptr<ByteSource> source_;
  std::string front_;
  size_t front_taken_ = 0;
  absl::Status error_;  // comes after front_
};

}  // namespace gnomon

#endif  // TRACES_IO_PEEK_H_
