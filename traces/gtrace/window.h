// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_WINDOW_H_
#define TRACES_GTRACE_WINDOW_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gnomon/traces/byte_source.h"

namespace gnomon::gtrace {

/// A stretch of a source that moves forward. It grows only as bytes really come, not by what is
/// asked.
class Window {
 public:
  /// `lenient`: compression around the trace that is damaged ends it there.
  explicit Window(ByteSource& source, bool lenient = false) : source_(source), lenient_(lenient) {}

  /// Makes at least `count` bytes available, or all that are left. Errors: the source's.
  absl::Status want(size_t count);
  absl::string_view bytes() const { return {buffer_.data() + front_, filled_ - front_}; }
  void drop(size_t count) {
    front_ += count;
    offset_ += count;
  }

  const std::string& damage() const { return damage_; }  ///< what and where; empty: none so far
  uint64_t offset() const { return offset_; }  ///< of the first byte, in the source
  uint64_t taken() const { return offset_ + bytes().size(); }

 private:
  ByteSource& source_;
  bool lenient_;
  std::string damage_;
  std::vector<char> buffer_;
  size_t front_ = 0;
  size_t filled_ = 0;
  uint64_t offset_ = 0;
  bool ended_ = false;
};

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_WINDOW_H_
