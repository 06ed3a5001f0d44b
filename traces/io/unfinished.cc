// SPDX-License-Identifier: Apache-2.0
#include "traces/io/unfinished.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "gnomon/traces/trace_writer.h"

namespace gnomon {
namespace {

constexpr size_t kMostFiles = 64;
static_assert(std::atomic<char*>::is_always_lock_free);  // for a signal handler

// Whoever takes a name out of its slot owns it: a handler that runs while another thread finishes
// the file never sees memory that was given back.
std::array<std::atomic<char*>, kMostFiles> slots;

}  // namespace

UnfinishedFile::UnfinishedFile(const std::string& path) : path_(strdup(path.c_str())) {
  for (; path_ != nullptr && slot_ < kMostFiles; ++slot_) {
    char* empty = nullptr;
    if (slots[slot_].compare_exchange_strong(empty, path_)) return;
  }
  free(path_);  // NOLINT: strdup's
  path_ = nullptr;
}

UnfinishedFile::~UnfinishedFile() {
  char* mine = path_;
  if (mine != nullptr && slots[slot_].compare_exchange_strong(mine, nullptr)) {
    free(path_);  // NOLINT: strdup's
  }
}

void remove_unfinished_files() {
  const int error = errno;
  for (std::atomic<char*>& slot : slots) {
    const char* const path = slot.exchange(nullptr);
    if (path != nullptr) unlink(path);
  }
  errno = error;
}

}  // namespace gnomon
