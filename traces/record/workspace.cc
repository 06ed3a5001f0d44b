// SPDX-License-Identifier: Apache-2.0
#include "traces/record/workspace.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace gnomon::recording {

// What the kernel lets anybody ask for; fewer turns between the program and us.
constexpr int kPipeBytes = 1 << 20;

absl::StatusOr<Workspace> Workspace::create() {
  const char* variable = std::getenv("TMPDIR");
  std::string directory = absl::StrCat(
      variable != nullptr && variable[0] == '/' ? variable : "/tmp", "/gnomon-record-XXXXXX");
  if (mkdtemp(directory.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make a directory ", directory));
  }
  Workspace workspace(directory);
  const std::string fifo = workspace.fifo_path();
  if (mkfifo(fifo.c_str(), 0600) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make a FIFO ", fifo));
  }
  // For writing, too: otherwise reading would end whenever no process has it open.
  workspace.fifo_ = open(fifo.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (workspace.fifo_ < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", fifo));
  fcntl(workspace.fifo_, F_SETPIPE_SZ, kPipeBytes);  // slower if refused
  return workspace;
}

Workspace::Workspace(Workspace&& other) noexcept
    : directory_(std::exchange(other.directory_, "")), fifo_(std::exchange(other.fifo_, -1)) {}

Workspace::~Workspace() {
  if (fifo_ >= 0) close(fifo_);
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

std::string Workspace::messages(size_t most) const {
  std::vector<std::string> files;
  std::error_code error;
  for (std::filesystem::directory_iterator it(directory_, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().filename().string().starts_with("log.")) files.push_back(it->path().string());
  }
  std::sort(files.begin(), files.end());
  std::string all;
  for (const std::string& name : files) {
    std::ifstream file(name, std::ios::binary);
    const size_t before = all.size();
    all.resize(most);
    file.read(all.data() + before, static_cast<std::streamsize>(most - before));
    all.resize(before + static_cast<size_t>(file.gcount()));
    if (all.size() == most) break;
  }
  return all;
}

}  // namespace gnomon::recording
