// SPDX-License-Identifier: Apache-2.0
#include "traces/io/peek.h"

#include <algorithm>

namespace gnomon {

absl::StatusOr<absl::string_view> PeekedBytes::peek(size_t bytes) {
  front_.erase(0, front_taken_);
  front_taken_ = 0;
  while (front_.size() < bytes && error_.ok()) {
    const size_t had = front_.size();
    front_.resize(bytes);
    const absl::StatusOr<size_t> got = source_->read(absl::MakeSpan(&front_[had], bytes - had));
    front_.resize(had + (got.ok() ? *got : 0));
    if (!got.ok()) error_ = got.status();
    if (!got.ok() || *got == 0) break;
  }
  if (front_.empty() && !error_.ok()) return error_;
  return absl::string_view(front_).substr(0, bytes);
}

absl::StatusOr<size_t> PeekedBytes::read(absl::Span<char> to) {
  if (front_taken_ == front_.size()) {
    if (!error_.ok()) return error_;
    return source_->read(to);
  }
  const size_t n = std::min(to.size(), front_.size() - front_taken_);
  std::copy_n(front_.data() + front_taken_, n, to.data());
  front_taken_ += n;
  if (front_taken_ == front_.size()) {
    front_.clear();
    front_.shrink_to_fit();
    front_taken_ = 0;
  }
  return n;
}

}  // namespace gnomon
