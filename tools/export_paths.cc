// SPDX-License-Identifier: Apache-2.0
#include "tools/export_paths.h"

#include <sys/stat.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace gnomon::tools {
namespace {

/// The same regular file, or the same one to be, whatever the way to it is.
bool same_file(const std::string& a, const std::string& b) {
  struct stat one {
  }, other{};
  const bool there = stat(a.c_str(), &one) == 0;
  if (there != (stat(b.c_str(), &other) == 0)) return false;
  if (there)
    return S_ISREG(one.st_mode) && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
  std::error_code error;
  const std::filesystem::path path = std::filesystem::weakly_canonical(a, error);
  return !error && path == std::filesystem::weakly_canonical(b, error) && !error;
}

}  // namespace

absl::Status check_export_paths(absl::Span<const ExportPath> exports,
                                absl::Span<const std::string> inputs, absl::string_view what) {
  for (const auto& [option, path] : exports) {
    if (path.empty()) continue;
    if (path == "-") {
      return absl::InvalidArgumentError(absl::StrCat(
          option, ": standard output is for the result; name a file, or use --json or --csv"));
    }
    for (const std::string& input : inputs) {
      if (same_file(path, input)) {
        return absl::InvalidArgumentError(absl::StrCat(option, ": ", path, " is ", what));
      }
    }
    for (const auto& [other, other_path] : exports) {
      if (other == option) break;
      if (!other_path.empty() && same_file(path, other_path)) {
        return absl::InvalidArgumentError(
            absl::StrCat(other, " and ", option, " name the same file, ", path));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace gnomon::tools
