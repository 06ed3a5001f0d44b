// SPDX-License-Identifier: Apache-2.0
#include "traces/replay/batches.h"

#include "absl/strings/str_cat.h"

namespace gnomon {
namespace {

size_t memory_of(const ReadBatch& batch) {
  size_t bytes = sizeof batch + batch.records.capacity() * sizeof(TraceRecord) +
                 batch.events.capacity() * sizeof(TraceEvent) +
                 batch.lines.capacity() * sizeof(SourceLine);
  for (const TraceEvent& event : batch.events) bytes += event.text.size();
  return bytes;
}

}  // namespace

void Batches::enter(uint64_t number) {
  ++users_;
  if (number - first_ < kept_.size()) {
    ++kept_[number - first_].users;
  } else {
    ++waiting_;
  }
}

void Batches::leave(uint64_t number) {
  --users_;
  if (number - first_ < kept_.size()) {
    --kept_[number - first_].users;
  } else {
    --waiting_;
  }
  // Whoever is behind stands at one that is kept.
  while (!kept_.empty() && kept_.front().users == 0) {
    bytes_ -= kept_.front().bytes;
    spare_ = std::move(kept_.front());
    kept_.pop_front();
    ++first_;
  }
}

absl::StatusOr<const ReadBatch*> Batches::get(uint64_t number) {
  if (number - first_ == kept_.size()) {
    if (absl::Status s = read_next(); !s.ok()) return s;
  }
  return &kept_[number - first_];
}

absl::Status Batches::read_next() {
  const bool alone = users_ == 1;
  if (!alone && bytes_ > kMostBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(reader_->name(), ": its copies are too far apart to be kept in ",
                     kMostBytes >> 20, " MiB; take a smaller --slice"));
  }
  ReadBatch batch = std::exchange(spare_, {});
  batch.records.resize(kRecords);
  const absl::StatusOr<size_t> got = reader_->read(absl::MakeSpan(batch.records), batch.events);
  if (!got.ok()) {
    spare_ = std::move(batch);
    return got.status();
  }
  batch.count = *got;
  const absl::Span<const SourceLine> lines = reader_->lines();
  batch.lines.assign(lines.begin(), lines.end());
  // A reader may hand out a few records at a time.
  if (!alone && *got < kRecords / 2) {
    const absl::Span<const TraceRecord> all(batch.records);
    batch.records =
        std::vector<TraceRecord>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(*got));
  }
  batch.users = std::exchange(waiting_, 0);
  batch.bytes = memory_of(batch);
  bytes_ += batch.bytes;
  kept_.push_back(std::move(batch));
  return absl::OkStatus();
}

}  // namespace gnomon
