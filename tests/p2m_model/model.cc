// SPDX-License-Identifier: Apache-2.0
#include "tests/p2m_model/model.h"

#include <algorithm>

namespace gnomon {

P2mModel::P2mModel()
    : host_(std::move(*HostMemory::create(kHostFrames << 12))),
      p2m_(std::make_unique<P2m>(*host_)),
      frames_(kGuestFrames) {
  p2m_->add_listener(this);
}

void P2mModel::before_p2m_change(Gpa first, uint64_t frames, Change change) {
  for (uint64_t f = first.frame(); f < first.frame() + frames; ++f) {
    if (told_[f] == 0 && p2m_->lookup(gpa(f)).raw() != before_[f].raw()) {
      listener_difference_ = "listener: told after the change; ";
    }
    told_[f] |= 1u << static_cast<unsigned>(change);
  }
}

const P2mModel::Slot* P2mModel::slot_of(uint64_t f) const {
  for (const Slot& s : slots_) {
    if (f >= s.first && f < s.first + s.count) return &s;
  }
  return nullptr;
}

bool P2mModel::region_is(uint64_t f, FrameState state) const {
  for (uint64_t g = region(f); g < region(f) + 512; ++g) {
    if (frames_[g].state != state) return false;
  }
  return true;
}

absl::StatusCode P2mModel::range_code(uint64_t first, uint64_t count) const {
  if (count == 0) return absl::StatusCode::kInvalidArgument;
  for (uint64_t f = first; f < first + count; ++f) {
    if (frames_[f].state != FrameState::kAbsent) return absl::StatusCode::kAlreadyExists;
  }
  return absl::StatusCode::kOk;
}

absl::StatusCode P2mModel::changeable_code(uint64_t f) const {
  if (slot_of(f) == nullptr) return absl::StatusCode::kNotFound;
  if (frames_[f].state != FrameState::kRam) return absl::StatusCode::kFailedPrecondition;
  return absl::StatusCode::kOk;
}

void P2mModel::break_up(uint64_t f) {
  if (frames_[f].size != PageSize::k2M) return;
  for (uint64_t g = region(f); g < region(f) + 512; ++g) frames_[g].size = PageSize::k4K;
}

void P2mModel::adopt(uint64_t f) {
  frames_[f].hpa = p2m_->lookup(gpa(f)).frame();
  if (!slot_of(f)->options.lazy && before_[f].state() == FrameState::kAbsent) {
    frames_[f].size = p2m_->lookup(gpa(f)).size();
  }
}

std::vector<bool> P2mModel::host_frames_in_use() const {
  std::vector<bool> used(kHostFrames);
  const uint64_t base = host_->base().frame();
  for (const Frame& f : frames_) {
    if (f.state == FrameState::kRam && host_->contains(f.hpa)) used[f.hpa.frame() - base] = true;
  }
  for (const auto& [page, size] : others_) {
    for (uint64_t i = 0; i < bytes_of(size) >> 12; ++i) used[page.frame() - base + i] = true;
  }
  return used;
}

uint64_t P2mModel::host_free() const {
  const std::vector<bool> used = host_frames_in_use();
  return static_cast<uint64_t>(std::count(used.begin(), used.end(), false));
}

bool P2mModel::host_has_block() const {
  const std::vector<bool> used = host_frames_in_use();
  for (uint64_t b = 0; b < kHostFrames; b += 512) {
    if (std::count(used.begin() + b, used.begin() + b + 512, true) == 0) return true;
  }
  return false;
}

void P2mModel::begin() {
  before_.resize(kGuestFrames);
  for (uint64_t f = 0; f < kGuestFrames; ++f) before_[f] = p2m_->lookup(gpa(f));
  told_.assign(kGuestFrames, 0);
  listener_difference_.clear();
  ++operations_;
}

}  // namespace gnomon
