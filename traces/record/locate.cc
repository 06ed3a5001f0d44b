// SPDX-License-Identifier: Apache-2.0
#include "traces/record/locate.h"

#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace gnomon::recording {
namespace {

constexpr absl::string_view kToolName = "gnomon-amd64-linux";

enum class Found { kMissing, kNotExecutable, kExecutable };

Found look_at(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return Found::kMissing;
  if (!S_ISREG(status.st_mode) || access(path.c_str(), X_OK) != 0) return Found::kNotExecutable;
  return Found::kExecutable;
}

// Of the running program, without a slash at the end; empty if the system does not say.
std::string own_directory() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) return "";
  const absl::string_view whole(path, static_cast<size_t>(length));
  return std::string(whole.substr(0, whole.rfind('/')));
}

bool holds_tool(absl::string_view directory) {
  return look_at(absl::StrCat(directory, "/", kToolName)) == Found::kExecutable;
}

}  // namespace

absl::StatusOr<std::string> find_program(absl::string_view name) {
  if (name.empty()) return absl::InvalidArgumentError("the program to record has an empty name");
  std::vector<std::string> candidates;
  if (name.find('/') != absl::string_view::npos) {
    candidates.emplace_back(name);
  } else {
    const char* path = std::getenv("PATH");
    for (const absl::string_view directory :
         absl::StrSplit(path ? path : "/usr/local/bin:/usr/bin:/bin", ':')) {
      candidates.push_back(absl::StrCat(directory.empty() ? "." : directory, "/", name));
    }
  }
  std::string refused;
  for (const std::string& candidate : candidates) {
    const Found found = look_at(candidate);
    if (found == Found::kExecutable) return candidate;
    if (found == Found::kNotExecutable && refused.empty()) refused = candidate;
  }
  if (!refused.empty()) {
    return absl::PermissionDeniedError(absl::StrCat(refused, ": not an executable file"));
  }
  return absl::NotFoundError(absl::StrCat(
      name, candidates.size() == 1 ? ": no such program" : ": no such program in PATH"));
}

absl::StatusOr<std::string> find_valgrind() {
  absl::StatusOr<std::string> found = find_program("valgrind");
  if (found.ok()) return found;
  return absl::NotFoundError(
      "recording needs valgrind, which is not in PATH (Debian: apt install valgrind)");
}

absl::StatusOr<std::string> find_tool(absl::string_view wanted) {
  if (wanted.empty()) {
    const char* variable = std::getenv("GNOMON_VALGRIND_LIB");
    if (variable != nullptr) wanted = variable;
  }
  if (!wanted.empty()) {
    if (holds_tool(wanted)) return std::string(wanted);
    return absl::FailedPreconditionError(
        absl::StrCat(wanted, ": no recording tool (", kToolName, ") there"));
  }
  const std::string own = own_directory();
  for (const std::string& directory : {absl::StrCat(own, "/../libexec/gnomon/valgrind"),
                                       std::string(GNOMON_VALGRIND_TOOL_DIRECTORY)}) {
    if (!directory.empty() && holds_tool(directory)) return directory;
  }
  return absl::FailedPreconditionError(
      "the recording tool was not built: install valgrind with its headers and libraries (Debian: "
      "apt "
      "install valgrind), and build gnomon again; or name its directory in GNOMON_VALGRIND_LIB");
}

}  // namespace gnomon::recording
