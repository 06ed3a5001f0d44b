// SPDX-License-Identifier: Apache-2.0
#include "gnomon/traces/reference_stream.h"

namespace gnomon {
namespace {

struct Steps {
  AccessOp first;
  bool then_store;
};

// Indexed by RecordKind.
constexpr std::array<Steps, 4> kSteps = {{
    {AccessOp::kFetch, false},
    {AccessOp::kRead, false},
    {AccessOp::kWrite, false},
    {AccessOp::kRead, true},
}};

}  // namespace

void ReferenceStream::expand(const TraceRecord& record) {
  const Steps steps = kSteps[static_cast<size_t>(record.kind)];
  const Gva last_page = Gva(record.address.value() + record.size - 1).page_base();
  const bool crosses = record.address.page_base() != last_page;
  next_pending_ = 0;
  pending_count_ = 0;
  const auto add = [&](AccessOp op) {
    pending_[pending_count_++] = {record.address, op, record_number_};
    if (crosses) pending_[pending_count_++] = {last_page, op, record_number_};
  };
  add(steps.first);
  if (steps.then_store) add(AccessOp::kWrite);
}

absl::StatusOr<size_t> ReferenceStream::read(absl::Span<Reference> out) {
  size_t filled = 0;
  while (filled < out.size()) {
    if (next_pending_ < pending_count_) {
      out[filled++] = pending_[next_pending_++];
      continue;
    }
    if (next_record_ == record_count_) {
      absl::StatusOr<size_t> got = reader_.read(absl::MakeSpan(records_));
      if (!got.ok() && filled == 0) return got.status();
      if (!got.ok() || *got == 0) break;
      next_record_ = 0;
      record_count_ = *got;
    }
    ++record_number_;
    expand(records_[next_record_++]);
  }
  return filled;
}

}  // namespace gnomon
