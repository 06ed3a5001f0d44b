// SPDX-License-Identifier: Apache-2.0
#include "tools/guest_files.h"

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace gnomon::tools {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kSuffix = ".elf";

/// Where the guests may be that come with the program.
std::vector<std::string> guest_folders() {
  std::error_code error;
  std::vector<std::string> folders;
  if (const char* chosen = std::getenv("GNOMON_GUESTS"); chosen != nullptr && *chosen != 0) {
    folders.emplace_back(chosen);
  } else {
    const fs::path program = fs::read_symlink("/proc/self/exe", error);
    if (!error) {
      const fs::path above = program.parent_path().parent_path();
      folders.push_back((above / "share/gnomon/guests").string());
      folders.push_back((above / "guests").string());
    }
  }
  return folders;
}

/// The guests in the first of the folders that has any, in alphabetical order.
std::vector<std::string> known_guests() {
  std::vector<std::string> names;
  for (const std::string& folder : guest_folders()) {
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
      if (it->path().extension() == fs::path(std::string(kSuffix)))
        names.push_back(it->path().stem().string());
    }
    if (!names.empty()) break;
  }
  absl::c_sort(names);
  return names;
}

}  // namespace

absl::StatusOr<std::string> find_guest(absl::string_view name) {
  const std::vector<std::string> folders = guest_folders();
  for (const std::string& folder : folders) {
    std::error_code error;
    std::string file = absl::StrCat(folder, "/", name, kSuffix);
    if (fs::is_regular_file(file, error)) return file;
  }
  return absl::NotFoundError(absl::StrCat("no guest '", name, "' in ",
                                          absl::StrJoin(folders, " or "),
                                          "; GNOMON_GUESTS names another folder"));
}

absl::StatusOr<std::string> guest_image(const std::string& word) {
  std::error_code error;
  if (word.find('/') != std::string::npos || fs::exists(word, error)) return word;
  auto known = find_guest(word);
  if (known.ok()) return known;
  const std::vector<std::string> names = known_guests();
  if (names.empty())
    return absl::NotFoundError(absl::StrCat(word, ": no such file; ", known.status().message()));
  return absl::NotFoundError(
      absl::StrCat(word, ": no such file, and no guest that comes with gnomon; there are ",
                   absl::StrJoin(names, ", ")));
}

}  // namespace gnomon::tools
