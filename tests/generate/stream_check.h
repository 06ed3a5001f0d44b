// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_GENERATE_STREAM_CHECK_H_
#define TESTS_GENERATE_STREAM_CHECK_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gnomon/traces/record.h"

namespace gnomon::generate_test {

/// Whether records make sense as the life of programs: what they access is mapped in their address
/// space with the rights for it, what ends had begun, and nothing happens after the end. Slow and
/// literal. Also used by a fuzz target, hence all in a header.
class StreamCheck {
 public:
  /// Empty, or what is wrong with this batch.
  std::string take(absl::Span<const TraceRecord> records, absl::Span<const TraceEvent> events) {
    size_t next_event = 0;
    for (const TraceRecord& r : records) {
      std::string wrong;
      if (!running_) wrong = "something after the last exit";
      if (r.kind == RecordKind::kEvent) {
        if (r.address.value() != next_event || next_event >= events.size()) {
          return absl::StrCat("record ", count_, ": event ", r.address.value(), " of ",
                              events.size(), ", expected ", next_event);
        }
        if (r.size != 0 || r.supervisor) wrong = "an event with a size";
        if (wrong.empty()) wrong = event(events[next_event++]);
      } else {
        references_ += references_of(r.kind);
        if (wrong.empty()) wrong = access(r);
      }
      if (!wrong.empty()) return absl::StrCat("record ", count_, ": ", wrong);
      ++count_;
    }
    return next_event == events.size() ? "" : "an event without a record";
  }
  uint64_t references() const { return references_; }
  bool running() const { return running_; }  ///< some process has not ended

 private:
  struct Mapping {
    uint64_t length;
    MapFlags flags;
  };
  using Space = std::map<uint64_t, Mapping>;

  std::string access(const TraceRecord& r) const {
    const uint64_t first = r.address.value();
    if (r.size == 0 || r.size > kMaxRecordBytes || r.supervisor) return "a bad access";
    const auto running = spaces_.find(current_);
    if (running == spaces_.end()) return "an access by nobody";
    const Space& space = running->second;
    auto at = space.upper_bound(first);
    if (at == space.begin()) return absl::StrCat("unmapped ", absl::Hex(first));
    --at;
    if (first + r.size > at->first + at->second.length) {
      return absl::StrCat("unmapped ", absl::Hex(first));
    }
    const MapFlags wanted = r.kind == RecordKind::kFetch   ? kMapExec
                            : r.kind == RecordKind::kLoad  ? kMapRead
                            : r.kind == RecordKind::kStore ? kMapWrite
                                                           : kMapRead | kMapWrite;
    return (at->second.flags & wanted) == wanted ? "" : "no right";
  }

  std::string event(const TraceEvent& e) {
    constexpr uint64_t kUserEnd = 0x7ffffffff000;
    const auto alive = [&](uint64_t process) { return spaces_.count(process) != 0; };
    switch (e.kind) {
      case EventKind::kSwitch:
        // A number that is new in order starts a process.
        if (!alive(e.process)) {
          if (e.process != known_) return absl::StrCat("switch to dead process ", e.process);
          spaces_[known_++];
        }
        current_ = e.process;
        return e.thread == 0 ? "" : "a thread that was not started";
      case EventKind::kFork:
        if (e.process != current_) return "a fork by another process";
        if (e.value != known_) return "a fork that skips a number";
        spaces_[known_++] = spaces_.at(current_);
        return "";
      case EventKind::kExec:
        if (e.process != current_) return "an exec by another process";
        spaces_.at(current_).clear();
        return e.text.empty() ? "an exec of nothing" : "";
      case EventKind::kExit:
        if (e.process != current_ || e.flags != 1) return "an exit by another process";
        spaces_.erase(current_);
        current_ = kNobody;
        running_ = !spaces_.empty();
        return "";
      case EventKind::kMap: {
        if (!alive(current_)) return "a mapping of nobody";
        Space& space = spaces_.at(current_);
        if (e.length == 0 || (e.address | e.length) % 4096 != 0) return "a mapping of odd size";
        if (e.address >= kUserEnd || e.length > kUserEnd - e.address) return "not user addresses";
        auto next = space.lower_bound(e.address);
        if (next != space.end() && next->first < e.address + e.length) return "maps overlap";
        if (next != space.begin() && (--next, next->first + next->second.length > e.address)) {
          return "maps overlap";
        }
        space[e.address] = {e.length, e.flags};
        return "";
      }
      case EventKind::kUnmap: {
        if (!alive(current_)) return "nobody unmaps";
        Space& space = spaces_.at(current_);
        const auto at = space.find(e.address);
        if (at == space.end() || at->second.length != e.length) return "unmaps what is not mapped";
        space.erase(at);
        return "";
      }
      default: return "an unexpected kind of event";
    }
  }

  static constexpr uint64_t kNobody = ~uint64_t{0};
  std::map<uint64_t, Space> spaces_ = {{0, {}}};
  uint64_t current_ = 0, known_ = 1;
  uint64_t count_ = 0, references_ = 0;
  bool running_ = true;
};

}  // namespace gnomon::generate_test

#endif  // TESTS_GENERATE_STREAM_CHECK_H_
