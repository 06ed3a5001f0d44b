// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GENERATE_OUTPUT_H_
#define TRACES_GENERATE_OUTPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "gnomon/traces/record.h"
#include "traces/generate/keys.h"

namespace gnomon::generate {

/// Where a pattern puts its records. It knows how many references are still wanted, never hands out
/// more, and puts the instruction fetches between the accesses: a loop of 256 instructions of 4
/// bytes.
class Output {
 public:
  Output(uint64_t references, bool fetches) : left_(references), fetches_(fetches) {}

  void bind(absl::Span<TraceRecord> out, std::vector<TraceEvent>& events) {
    out_ = out;
    events_ = &events;
    used_ = 0;
  }
  size_t used() const { return used_; }
  size_t room() const { return out_.size() - used_; }
  uint64_t left() const { return left_; }  ///< references still wanted

  void event(TraceEvent event) {
    out_[used_++] = {Gva(events_->size()), 0, RecordKind::kEvent, false};
    events_->push_back(std::move(event));
  }

  /// An access with its fetch, cut to the references still wanted. Takes up to two records of room.
  void access(const TraceRecord& record) {
    if (left_ == 0) return;
    if (fetches_) {
      out_[used_++] = fetch();
      if (--left_ == 0) return;
    }
    TraceRecord& last = out_[used_++] = record;
    if (last.kind == RecordKind::kModify && left_ == 1) last.kind = RecordKind::kLoad;
    left_ -= references_of(last.kind);
  }
  void load(uint64_t address, uint64_t size) { access(data(RecordKind::kLoad, address, size)); }
  void store(uint64_t address, uint64_t size) { access(data(RecordKind::kStore, address, size)); }

  static TraceRecord data(RecordKind kind, uint64_t address, uint64_t size) {
    return {Gva(address), static_cast<uint16_t>(size), kind, false};
  }

  /// Accesses from `next()`, each of `references`, until there is no room or none is wanted. It
  /// leaves less than two records of room if more are wanted. At least two are needed.
  template <class Next>
  void fill(uint64_t references, Next next) {
    if (fetches_) {
      const uint64_t pairs = std::min(room() / 2, left_ / (references + 1));
      TraceRecord* to = out_.data() + used_;
      uint64_t instruction = instruction_;
      for (uint64_t i = 0; i < pairs; ++i, to += 2) {
        to[0] = instruction_at(instruction++);
        to[1] = next();
      }
      instruction_ = instruction;
      advance(2 * pairs, pairs * (references + 1));
    } else {
      const uint64_t n = std::min<uint64_t>(room(), left_ / references);
      TraceRecord* const to = out_.data() + used_;
      for (uint64_t i = 0; i < n; ++i) to[i] = next();
      advance(n, n * references);
    }
    if (room() >= 2 && left_ > 0) access(next());
  }

 private:
  static TraceRecord instruction_at(uint64_t i) {
    return {Gva(kCode + 4 * (i % 256)), 4, RecordKind::kFetch, false};
  }
  TraceRecord fetch() { return instruction_at(instruction_++); }
  void advance(uint64_t records, uint64_t references) {
    used_ += records;
    left_ -= references;
  }

  absl::Span<TraceRecord> out_;
  std::vector<TraceEvent>* events_ = nullptr;
  size_t used_ = 0;
  uint64_t left_;
  uint64_t instruction_ = 0;
  bool fetches_;
};

}  // namespace gnomon::generate

#endif  // TRACES_GENERATE_OUTPUT_H_
