// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SUPPORT_TEMPORARY_DIRECTORY_H_
#define TESTS_SUPPORT_TEMPORARY_DIRECTORY_H_

#include <filesystem>
#include <string>

#include "absl/strings/string_view.h"

namespace gnomon::test_support {

/// An empty directory, which goes with all that is in it. It lies where TMPDIR says, else in /tmp;
/// a test cannot do without, so failing to make it ends the program.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The path of a name in it, where nothing need be.
  std::string path(absl::string_view name) const;
  /// Writes these bytes to a file in it, whose path it returns.
  std::string put(absl::string_view name, absl::string_view bytes) const;

 private:
  std::filesystem::path path_;
};

/// A file with these bytes, alone in a directory. It goes when this goes.
class TemporaryFile {
 public:
  explicit TemporaryFile(absl::string_view bytes) : path_(directory_.put("file", bytes)) {}
  const std::string& path() const { return path_; }

 private:
  TemporaryDirectory directory_;
  std::string path_;
};

}  // namespace gnomon::test_support

#endif  // TESTS_SUPPORT_TEMPORARY_DIRECTORY_H_
