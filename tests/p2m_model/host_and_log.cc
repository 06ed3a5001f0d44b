// SPDX-License-Identifier: Apache-2.0
//
// The dirty log, and what others do with the host's memory.
#include <algorithm>
#include <optional>
#include <tuple>

#include "tests/p2m_model/model.h"

namespace gnomon {

std::string P2mModel::start_dirty_log(uint64_t first, uint64_t count) {
  begin();
  p2m_->start_dirty_log(gpa(first), count);
  for (uint64_t f = first; f < std::min(first + count, kGuestFrames); ++f) {
    if (slot_of(f) != nullptr) {
      std::tie(frames_[f].logged, frames_[f].dirty) = std::make_pair(true, false);
    }
  }
  return end("start_dirty_log", first, absl::StatusCode::kOk, absl::StatusCode::kOk);
}

std::string P2mModel::stop_dirty_log(uint64_t first, uint64_t count) {
  begin();
  p2m_->stop_dirty_log(gpa(first), count);
  for (uint64_t f = first; f < std::min(first + count, kGuestFrames); ++f) {
    frames_[f].logged = frames_[f].dirty = false;
  }
  return end("stop_dirty_log", first, absl::StatusCode::kOk, absl::StatusCode::kOk);
}

std::string P2mModel::take_dirty(uint64_t first, uint64_t count) {
  begin();
  std::vector<Gpa> expected;
  for (uint64_t f = first; f < std::min(first + count, kGuestFrames); ++f) {
    if (!frames_[f].dirty) continue;
    expected.push_back(gpa(f));
    std::tie(frames_[f].logged, frames_[f].dirty) = std::make_pair(true, false);
  }
  const std::vector<Gpa> got = p2m_->take_dirty(gpa(first), count);
  return (got == expected ? "" : "take_dirty: other frames; ") +
         end("take_dirty", first, absl::StatusCode::kOk, absl::StatusCode::kOk);
}

std::string P2mModel::mark_dirty(uint64_t f) {
  begin();
  p2m_->mark_dirty(gpa(f));
  Frame& frame = frames_[f];
  if (frame.logged) std::tie(frame.logged, frame.dirty) = std::make_pair(false, true);
  return end("mark_dirty", f, absl::StatusCode::kOk, absl::StatusCode::kOk);
}

std::string P2mModel::host_takes(PageSize size, bool scattered, uint64_t random) {
  begin();
  const bool possible = size == PageSize::k4K ? host_free() != 0 : host_has_block();
  const std::optional<Hpa> page = scattered && size == PageSize::k4K
                                      ? host_->allocate_scattered(FrameOwner::kVmm, random)
                                      : host_->allocate(FrameOwner::kVmm, size);
  std::string difference;
  if (page.has_value() != possible) difference = "host: allocation should have gone otherwise; ";
  if (page) {
    const uint8_t* bytes = host_->at(*page);
    if (std::any_of(bytes, bytes + bytes_of(size), [](uint8_t b) { return b != 0; })) {
      difference += "host: page not zero; ";
    }
    std::fill_n(host_->at(*page), bytes_of(size), uint8_t{0xa5});
    others_.emplace_back(*page, size);
  }
  return difference + end("host_takes", 0, absl::StatusCode::kOk, absl::StatusCode::kOk);
}

std::string P2mModel::host_gives_back() {
  begin();
  if (!others_.empty()) {
    host_->free(others_.front().first, others_.front().second);
    others_.erase(others_.begin());
  }
  return end("host_gives_back", 0, absl::StatusCode::kOk, absl::StatusCode::kOk);
}

}  // namespace gnomon
