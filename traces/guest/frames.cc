// SPDX-License-Identifier: Apache-2.0
#include "traces/guest/frames.h"

#include <algorithm>

namespace gnomon::guest {
namespace {

uint64_t mixed(uint64_t z) {  // SplitMix64's finisher
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}
constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

}  // namespace

Frames::Frames(const GuestOptions& options)
    : placement_(options.placement),
      fragmented_percent_(options.fragmented_percent),
      seed_(options.seed),
      state_(mixed(options.seed + kGolden)),
      total_(options.memory_bytes / kFrameBytes),
      blocks_(total_ / kBlockFrames),
      taken_(total_),
      busy_(blocks_),
      used_(blocks_ + 1),
      owners_(total_),
      block_owners_(blocks_ + 1) {
  if (!complete() || total_ == 0) return;
  taken_.set(0);
  used_[0] = 1;
  if (blocks_ != 0) busy_.set(0);
}

bool Frames::complete() const {
  return taken_.complete() && busy_.complete() && used_.size() == blocks_ + 1 &&
         owners_.size() == total_ && block_owners_.size() == blocks_ + 1;
}

uint64_t Frames::random() { return mixed(state_ += kGolden); }

bool Frames::spoiled(uint64_t block) const {
  return placement_ == FramePlacement::kFragmented &&
         mixed(seed_ ^ mixed(block * kGolden + 1)) % 100 < fragmented_percent_;
}

std::optional<uint64_t> Frames::take() {
  if (total_ == 0) return std::nullopt;
  for (;;) {
    std::optional<uint64_t> frame;
    if (placement_ == FramePlacement::kRandom) {
      frame = taken_.first_clear(random() % total_);
    }
    if (!frame) frame = taken_.first_clear();
    if (!frame) return std::nullopt;
    const uint64_t block = *frame / kBlockFrames;
    if (used_[block] == 0 && spoiled(block)) {
      // The page that cannot move takes its place when the block is first used.
      const uint64_t stuck =
          std::min(block * kBlockFrames + mixed(seed_ + block) % kBlockFrames, total_ - 1);
      if (!taken_.test(stuck)) {
        taken_.set(stuck);
        if (stuck == *frame) continue;
      }
    }
    taken_.set(*frame);
    if (block < blocks_) busy_.set(block);
    ++used_[block];
    owners_[*frame] = 1;
    note_taken(*frame, 1);
    return frame;
  }
}

std::optional<uint64_t> Frames::take_block(bool early) {
  if (blocks_ == 0) return std::nullopt;
  uint64_t from = placement_ == FramePlacement::kRandom ? random() % blocks_ : 0;
  for (;;) {
    std::optional<uint64_t> block = busy_.first_clear(from);
    if (!block && from != 0) block = busy_.first_clear();
    if (!block) return std::nullopt;
    busy_.set(*block);
    if (!early && spoiled(*block)) continue;
    const uint64_t first = *block * kBlockFrames;
    for (uint64_t i = 0; i < kBlockFrames; ++i) taken_.set(first + i);
    used_[*block] = kBlockFrames;
    block_owners_[*block] = 1;
    note_taken(first, kBlockFrames);
    return first;
  }
}

void Frames::note_taken(uint64_t frame, uint64_t count) {
  in_use_ += count;
  peak_ = std::max(peak_, in_use_);
  end_ = std::max(end_, frame + count);
}

void Frames::release(uint64_t frame) {
  const uint64_t block = frame / kBlockFrames;
  taken_.clear(frame);
  --in_use_;
  if (--used_[block] == 0 && block < blocks_ && !spoiled(block)) busy_.clear(block);
}

void Frames::drop_block_owner(uint64_t first) {
  if (--block_owners_[first / kBlockFrames] != 0) return;
  for (uint64_t i = 0; i < kBlockFrames; ++i) {
    if (owners_[first + i] == 0) release(first + i);
  }
}

void Frames::split_block(uint64_t first) {
  --block_owners_[first / kBlockFrames];
  for (uint64_t i = 0; i < kBlockFrames; ++i) ++owners_[first + i];
}

bool Frames::block_is_exclusive(uint64_t first) const {
  if (block_owners_[first / kBlockFrames] != 1) return false;
  for (uint64_t i = 0; i < kBlockFrames; ++i) {
    if (owners_[first + i] != 0) return false;
  }
  return true;
}

}  // namespace gnomon::guest
