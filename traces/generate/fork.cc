// SPDX-License-Identifier: Apache-2.0
//
// fork: a parent with memory of its own makes children that run for a moment, as a shell or a
// server that forks for each request does.
#include <memory>

#include "traces/generate/random.h"
#include "traces/generate/reader.h"

namespace gnomon::generate {
namespace {

struct ForkKeys {
  uint64_t bytes;    ///< of the parent's memory
  uint64_t touches;  ///< accesses of each child, and of the parent between children
  uint64_t alive;    ///< children at once
  uint64_t exec;     ///< percent of the children that start another program
};

class ForkReader final : public GeneratorReader {
 public:
  ForkReader(const Keys& keys, const CommonKeys& common, const AccessKeys& access,
             const ForkKeys& fork)
      : GeneratorReader(keys, common), access_(access), fork_(fork), random_(common.seed) {}

 private:
  enum class State { kMap, kPopulate, kFork, kSwitch, kRun, kExit, kParent, kParentRuns };

  bool step(Output& out) override {
    switch (state_) {
      case State::kMap:
        map_code(out);
        map_data(out, common_.base, fork_.bytes, "memory");
        state_ = State::kPopulate;
        return true;
      case State::kPopulate:
        out.store(common_.base + populated_, access_.size);
        populated_ += kPage;
        if (populated_ + access_.size > fork_.bytes) state_ = State::kFork;
        return out.left() != 0 || end(out);
      case State::kFork:
        fork_child(out);
        if (waiting_ == fork_.alive) state_ = State::kSwitch;
        return true;
      case State::kSwitch:
        start_child(out);
        // Once no more references are wanted, those who are left only end.
        state_ = out.left() == 0 ? State::kExit : State::kRun;
        return true;
      case State::kRun:
        if (touch(out)) state_ = State::kExit;
        return true;
      case State::kExit:
        exit(out, next_child_ - waiting_);
        state_ = --waiting_ == 0 ? State::kParent : State::kSwitch;
        return true;
      case State::kParent:
        switch_to(out, 0);
        touched_ = 0;
        state_ = State::kParentRuns;
        return out.left() != 0 || end(out);
      case State::kParentRuns:
        if (touch(out)) state_ = State::kFork;
        return out.left() != 0 || end(out);
    }
    return false;
  }

  bool end(Output& out) {
    exit(out, 0);
    return false;
  }
  void fork_child(Output& out) {
    TraceEvent event;
    event.kind = EventKind::kFork;
    event.value = next_child_++;
    out.event(std::move(event));
    ++waiting_;
  }
  /// The eldest that waits.
  void start_child(Output& out) {
    const uint32_t child = next_child_ - waiting_;
    switch_to(out, child);
    touched_ = 0;
    if (out.left() == 0 || fork_.exec == 0 || !random_.percent(fork_.exec)) return;
    TraceEvent event;
    event.kind = EventKind::kExec;
    event.process = child;
    event.text = "child";
    out.event(std::move(event));
    map_code(out);
    map_data(out, common_.base, fork_.bytes, "memory");
  }
  /// Accesses a page of the memory. True if that was the last of this turn.
  bool touch(Output& out) {
    const uint64_t pages = (fork_.bytes - access_.size) / kPage + 1;
    const bool store = random_.percent(access_.writes);
    const uint64_t address = common_.base + random_.below(pages) * kPage;
    store ? out.store(address, access_.size) : out.load(address, access_.size);
    return ++touched_ == fork_.touches || out.left() == 0;
  }

  const AccessKeys access_;
  const ForkKeys fork_;
  Random random_;
  State state_ = State::kMap;
  uint64_t populated_ = 0, touched_ = 0;
  uint32_t next_child_ = 1;
  uint32_t waiting_ = 0;  // children that have not ended, the youngest of which is next_child_ - 1
};

}  // namespace

Created create_fork(absl::string_view options) {
  absl::StatusOr<Keys> keys = Keys::parse("fork", options);
  if (!keys.ok()) return keys.status();
  // Each child makes an access at least (but the last few), so that their numbers fit.
  constexpr uint64_t kMostChildren = 4'000'000'000;
  const CommonKeys common = common_keys(*keys, kMostChildren);
  ForkKeys fork;
  fork.bytes = keys->bytes("bytes", uint64_t{4} << 20, 1, kMostBytes);
  fork.touches = keys->count("touches", 100, 1, kMostChildren);
  fork.alive = keys->number("alive", 1, 1, 10'000);
  fork.exec = keys->number("exec", 0, 0, 100);
  const AccessKeys access = access_keys(*keys, /*writes=*/50);
  keys->require(fork.bytes >= access.size, "bytes is less than size");
  require_room(*keys, common, fork.bytes);
  if (absl::Status status = keys->finish(); !status.ok()) return status;
  return std::make_unique<ForkReader>(*keys, common, access, fork);
}

}  // namespace gnomon::generate
