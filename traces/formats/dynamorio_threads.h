// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_FORMATS_DYNAMORIO_THREADS_H_
#define TRACES_FORMATS_DYNAMORIO_THREADS_H_

#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"

namespace gnomon {

/// Numbers the system's thread and process ids from 0, in the order in which they do something.
class DynamorioThreads {
 public:
  struct Who {
    uint32_t process = 0;
    uint32_t thread = 0;
    friend bool operator==(const Who&, const Who&) = default;
  };
  static constexpr size_t kMostThreads = size_t{1} << 16;

  void run(uint64_t tid) {
    changed_ = changed_ || tid != tid_;
    tid_ = tid;
  }
  /// The process of the thread that runs; false if there are too many threads.
  bool set_process(uint64_t pid) {
    changed_ = true;
    Thread* const thread = entry(tid_);
    if (thread == nullptr) return false;
    if (thread->pid != pid) *thread = {pid, std::nullopt};
    return true;
  }
  bool changed() const { return changed_; }  ///< since running() was called last
  /// Nullopt: too many threads.
  std::optional<Who> running() {
    changed_ = false;
    return find(tid_);
  }
  std::optional<Who> find(uint64_t tid) {
    Thread* const thread = entry(tid);
    if (thread == nullptr) return std::nullopt;
    if (!thread->who) {
      if (processes_.size() >= kMostThreads) return std::nullopt;  // one thread may claim many
      const auto next = static_cast<uint32_t>(processes_.size());
      Process& process = processes_.try_emplace(thread->pid, Process{next, 0}).first->second;
      thread->who = Who{process.number, process.threads++};
    }
    return thread->who;
  }

 private:
  struct Thread {
    uint64_t pid = 0;
    std::optional<Who> who;
  };
  struct Process {
    uint32_t number;
    uint32_t threads;
  };

  Thread* entry(uint64_t tid) {
    const auto found = threads_.find(tid);
    if (found != threads_.end()) return &found->second;
    if (threads_.size() >= kMostThreads) return nullptr;
    return &threads_[tid];
  }

  absl::flat_hash_map<uint64_t, Thread> threads_;
  absl::flat_hash_map<uint64_t, Process> processes_;
  uint64_t tid_ = 0;
  bool changed_ = true;
};

}  // namespace gnomon

#endif  // TRACES_FORMATS_DYNAMORIO_THREADS_H_
