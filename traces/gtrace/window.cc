// SPDX-License-Identifier: Apache-2.0
#include "traces/gtrace/window.h"

#include <algorithm>
#include <cstddef>

#include "traces/io/unpack.h"

namespace gnomon::gtrace {
namespace {

constexpr size_t kLeastBuffer = size_t{1} << 16;

}  // namespace

absl::Status Window::want(size_t count) {
  while (bytes().size() < count && !ended_) {
    if (filled_ == buffer_.size()) {
      std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(front_), buffer_.end(),
                buffer_.begin());
      filled_ -= front_;
      front_ = 0;
      const size_t most = std::max(count, kLeastBuffer);
      if (2 * filled_ > buffer_.size() || buffer_.empty()) {
        buffer_.resize(
            std::max(buffer_.size(), std::min(std::max(2 * filled_, kLeastBuffer), most)));
      }
    }
    const absl::StatusOr<size_t> got =
        source_.read(absl::MakeSpan(buffer_.data() + filled_, buffer_.size() - filled_));
    if (absl::IsDataLoss(got.status())) {
      if (!lenient_) return with_way_out(got.status());
      damage_ = std::string(got.status().message());
      ended_ = true;
      break;
    }
    if (!got.ok()) return got.status();
    ended_ = *got == 0;
    filled_ += *got;
  }
  return absl::OkStatus();
}

}  // namespace gnomon::gtrace
