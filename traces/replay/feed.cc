// SPDX-License-Identifier: Apache-2.0
#include "traces/replay/feed.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/base/units.h"

namespace gnomon {

OpCounts count_ops(absl::Span<const TraceRecord> records) {
  // In fields of one register: counters in memory would wait for each other.
  constexpr unsigned kBits = 12;
  constexpr uint64_t kField = (uint64_t{1} << kBits) - 1;
  std::array<uint64_t, 5> kinds{};
  while (!records.empty()) {
    const absl::Span<const TraceRecord> some = records.first(std::min<size_t>(records.size(), kField));
    uint64_t fields = 0;
    for (const TraceRecord& r : some) fields += uint64_t{1} << kBits * (static_cast<unsigned>(r.kind) % 5);
    for (size_t i = 0; i < kinds.size(); ++i) kinds[i] += fields >> (kBits * i) & kField;
    records.remove_prefix(some.size());
  }
  const auto of = [&](RecordKind kind) { return kinds[static_cast<size_t>(kind)]; };
  OpCounts counts{};
  counts[static_cast<size_t>(AccessOp::kRead)] = of(RecordKind::kLoad) + of(RecordKind::kModify);
  counts[static_cast<size_t>(AccessOp::kWrite)] = of(RecordKind::kStore) + of(RecordKind::kModify);
  counts[static_cast<size_t>(AccessOp::kFetch)] = of(RecordKind::kFetch);
  return counts;
}

void Feed::join(const Feed& other) {
  joined_ = true;
  number_ = other.number_;
  batch_ = other.batch_;
  next_ = other.next_;
  taken_ = other.taken_;
  records_before_ = other.records_before_;
  references_before_ = other.references_before_;
  marked = other.marked;
  batches_->enter(number_);
}

absl::StatusOr<Piece> Feed::prime() {
  const bool used_up = batch_ != nullptr && next_ == batch_->count;
  if (used_up && batch_->count > 0) {
    records_before_ += batch_->count;
    references_before_ = taken_;
    next_ = 0;
    batch_ = nullptr;
    batches_->enter(number_ + 1);
    batches_->leave(number_++);
  }
  if (batch_ == nullptr) {
    const absl::StatusOr<const ReadBatch*> batch = batches_->get(number_);
    if (!batch.ok()) return batch.status();
    batch_ = *batch;
  }
  return Piece{absl::MakeConstSpan(batch_->records).subspan(next_, batch_->count - next_),
               batch_->events};
}

absl::StatusOr<Piece> Feed::take(uint64_t references) {
  absl::StatusOr<Piece> piece = prime();
  if (!piece.ok()) return piece;
  // No record is more than two references.
  if (references / 2 < piece->records.size()) {
    size_t count = 0;
    for (uint64_t here = 0; count < piece->records.size() && here < references; ++count) {
      here += references_of(piece->records[count].kind);
    }
    piece->records = piece->records.first(count);
  }
  piece->ops = count_ops(piece->records);
  next_ += piece->records.size();
  taken_ += total(piece->ops);
  return piece;
}

std::string Feed::place(const TraceRecord& record) const {
  const auto records = absl::MakeConstSpan(batch_->records);
  const auto index = static_cast<size_t>(&record - records.data());
  const uint64_t before = references_before_ + total(count_ops(records.first(index)));
  const std::string in_source = place_in(batch_->lines, index);
  return absl::StrFormat("record %d (%sreference %d%s%s)", records_before_ + index + 1,
                         record.kind == RecordKind::kEvent ? "before " : "", before + 1,
                         in_source.empty() ? "" : ", ", in_source);
}

absl::StatusOr<uint64_t> Feed::guest_memory() {
  const absl::StatusOr<Piece> first = prime();
  if (!first.ok()) return first.status();
  constexpr uint64_t kLeast = bytes_of(PageSize::k4K);
  constexpr uint64_t kMost = uint64_t{64} << 30;
  for (const TraceEvent& event : first->events) {
    if (event.kind != EventKind::kGuest) continue;
    if (event.length >= kLeast && event.length <= kMost) return event.length;
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s: a guest with %d bytes of memory; it may have 4K to 64G", reader().name(), event.length));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      reader().name(), ": a trace of a whole guest that does not say first how much memory it has"));
}

}  // namespace gnomon
