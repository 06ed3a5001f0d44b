// SPDX-License-Identifier: Apache-2.0
#include "tools/guest_files.h"

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace gnomon::tools {

absl::StatusOr<std::string> find_guest(absl::string_view name) {
  namespace fs = std::filesystem;
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
  for (const std::string& folder : folders) {
    std::string file = absl::StrCat(folder, "/", name, ".elf");
    if (fs::is_regular_file(file, error)) return file;
  }
  return absl::NotFoundError(absl::StrCat("no guest '", name, "' in ", absl::StrJoin(folders, " or "),
                                          "; GNOMON_GUESTS names another folder"));
}

std::string guest_image(const std::string& word) {
  std::error_code error;
  if (word.find('/') != std::string::npos || std::filesystem::exists(word, error)) return word;
  const auto known = find_guest(word);
  return known.ok() ? *known : word;  // whoever opens it says what is wrong
}

}  // namespace gnomon::tools
