// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_RECORD_WORKSPACE_H_
#define GNOMON_TRACES_RECORD_WORKSPACE_H_

#include <string>

#include "absl/status/statusor.h"

namespace gnomon::recording {

/// A private temporary directory with the FIFO and valgrind's messages; gone with this object.
class Workspace {
 public:
  static absl::StatusOr<Workspace> create();
  Workspace(Workspace&& other) noexcept;
  Workspace& operator=(Workspace&&) = delete;
  ~Workspace();

  const std::string& directory() const { return directory_; }
  std::string fifo_path() const { return directory_ + "/fifo"; }
  /// For valgrind, which puts the process's number in the place of %p.
  std::string log_pattern() const { return directory_ + "/log.%p"; }
  /// The FIFO's reading end; does not block, and never sees an end.
  int fifo() const { return fifo_; }
  /// What all processes' valgrinds said, cut to `most` bytes.
  std::string messages(size_t most) const;

 private:
  explicit Workspace(std::string directory) : directory_(std::move(directory)) {}

  std::string directory_;
  int fifo_ = -1;
};

}  // namespace gnomon::recording

#endif  // GNOMON_TRACES_RECORD_WORKSPACE_H_
