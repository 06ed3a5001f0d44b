// SPDX-License-Identifier: Apache-2.0
//
// Slots, and what changes single frames.
#include <algorithm>
#include <tuple>

#include "tests/p2m_model/model.h"

namespace gnomon {

std::string P2mModel::add_slot(uint64_t first, uint64_t count, const SlotOptions& options) {
  begin();
  absl::StatusCode expected = range_code(first, count);
  uint64_t room = host_free();
  if (expected == absl::StatusCode::kOk && !options.lazy && count > room) {
    expected = absl::StatusCode::kResourceExhausted;
  }
  const absl::Status got = p2m_->add_slot(gpa(first), count << 12, options);
  if (expected == absl::StatusCode::kOk) {
    slots_.push_back({first, count, options});
    for (uint64_t f = first; f < first + count; ++f) {
      frames_[f] = Frame();
      frames_[f].state = options.lazy ? FrameState::kLazy : FrameState::kRam;
      frames_[f].rom = options.rom;
      if (!options.lazy) adopt(f);
    }
  }
  return end("add_slot", first, expected, got.code());
}

std::string P2mModel::add_mmio(uint64_t first, uint64_t count) {
  begin();
  const absl::StatusCode expected = range_code(first, count);
  const absl::Status got = p2m_->add_mmio(gpa(first), count << 12);
  if (expected == absl::StatusCode::kOk) {
    for (uint64_t f = first; f < first + count; ++f) frames_[f].state = FrameState::kMmio;
  }
  return end("add_mmio", first, expected, got.code());
}

std::string P2mModel::remove_slot(uint64_t first) {
  begin();
  const auto slot =
      std::find_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.first == first; });
  const bool found = slot != slots_.end();
  const absl::Status got = p2m_->remove_slot(gpa(first));
  if (found) {
    for (uint64_t f = first; f < first + slot->count; ++f) frames_[f] = Frame();
    slots_.erase(slot);
  }
  return end("remove_slot", first, found ? absl::StatusCode::kOk : absl::StatusCode::kNotFound,
             got.code());
}

std::string P2mModel::back(uint64_t f) {
  begin();
  const Slot* slot = slot_of(f);
  const bool large = slot != nullptr && slot->options.backing >= PageSize::k2M &&
                     region_in(*slot, f) && region_is(f, FrameState::kLazy) && host_has_block();
  const P2mEntry e = p2m_->back(gpa(f));
  std::string difference;
  if (frames_[f].state == FrameState::kLazy && host_free() != 0) {
    // Whether a region is fragmented is the slot's secret, unless none or all are.
    const uint8_t percent = slot->options.fragmented_percent;
    const bool got_large = e.is_ram() && e.size() == PageSize::k2M;
    if (got_large ? !large || percent == 100 : large && percent == 0) {
      difference = "back: unexpected page size; ";
    }
    const uint64_t from = got_large ? region(f) : f;
    for (uint64_t g = from; g < from + (got_large ? 512 : 1); ++g) {
      frames_[g].state = FrameState::kRam;
      frames_[g].size = got_large ? PageSize::k2M : PageSize::k4K;
      frames_[g].stamp = 0;
      adopt(g);
    }
  }
  if (e.raw() != p2m_->lookup(gpa(f)).raw()) difference += "back: answer is not what lookup says; ";
  return difference + end("back", f, absl::StatusCode::kOk, absl::StatusCode::kOk);
}

std::string P2mModel::write(uint64_t f) {
  if (std::string difference = back(f); !difference.empty()) return difference;
  begin();
  Frame& frame = frames_[f];
  if (frame.state == FrameState::kRam && !frame.rom) {
    if (p2m_->lookup(gpa(f)).write_logged()) p2m_->mark_dirty(gpa(f));
    frame.stamp = ++next_stamp_;
    uint64_t* words = reinterpret_cast<uint64_t*>(p2m_->ram_at(gpa(f)));
    words[0] = words[511] = frame.stamp;
    if (frame.logged) std::tie(frame.logged, frame.dirty) = std::make_pair(false, true);
  }
  return end("write", f, absl::StatusCode::kOk, absl::StatusCode::kOk);
}

std::string P2mModel::remap(uint64_t f) {
  begin();
  absl::StatusCode expected = changeable_code(f);
  if (expected == absl::StatusCode::kOk && host_free() == 0) {
    expected = absl::StatusCode::kResourceExhausted;
  }
  const bool whole = frames_[f].size == PageSize::k2M && host_has_block();
  const Hpa before = frames_[f].hpa;
  const absl::Status got = p2m_->remap(gpa(f));
  std::string difference;
  if (expected == absl::StatusCode::kOk) {
    if (!whole) break_up(f);
    const uint64_t from = whole ? region(f) : f;
    for (uint64_t g = from; g < from + (whole ? 512 : 1); ++g) adopt(g);
    if (frames_[f].hpa == before) difference = "remap: the host frame is the same; ";
  }
  return difference + end("remap", f, expected, got.code());
}

std::string P2mModel::balloon(uint64_t f) {
  begin();
  absl::StatusCode expected = absl::StatusCode::kOk;
  if (slot_of(f) == nullptr) expected = absl::StatusCode::kNotFound;
  if (frames_[f].state == FrameState::kBallooned) {
    expected = absl::StatusCode::kFailedPrecondition;
  }
  const absl::Status got = p2m_->balloon(gpa(f));
  if (expected == absl::StatusCode::kOk) {
    break_up(f);
    frames_[f].state = FrameState::kBallooned;
  }
  return end("balloon", f, expected, got.code());
}

std::string P2mModel::deflate(uint64_t f) {
  begin();
  absl::StatusCode expected = absl::StatusCode::kFailedPrecondition;
  if (slot_of(f) == nullptr) expected = absl::StatusCode::kNotFound;
  if (frames_[f].state == FrameState::kBallooned) expected = absl::StatusCode::kOk;
  const absl::Status got = p2m_->deflate(gpa(f));
  if (expected == absl::StatusCode::kOk) frames_[f].state = FrameState::kLazy;
  return end("deflate", f, expected, got.code());
}

std::string P2mModel::split(uint64_t f) {
  begin();
  const absl::StatusCode expected = changeable_code(f);
  const absl::Status got = p2m_->split(gpa(f));
  if (expected == absl::StatusCode::kOk) break_up(f);
  return end("split", f, expected, got.code());
}

std::string P2mModel::promote(uint64_t f) {
  begin();
  absl::StatusCode expected = absl::StatusCode::kOk;
  const Slot* slot = slot_of(f);
  const uint64_t first = region(f);
  if (slot == nullptr) {
    expected = absl::StatusCode::kNotFound;
  } else if (!region_in(*slot, f)) {
    expected = absl::StatusCode::kFailedPrecondition;
  } else {
    bool in_place = true;
    for (uint64_t g = first; g < first + 512; ++g) {
      if (frames_[g].state == FrameState::kBallooned) {
        expected = absl::StatusCode::kFailedPrecondition;
      }
      in_place =
          in_place && frames_[g].state == FrameState::kRam &&
          frames_[g].hpa.offset_in(PageSize::k2M) == (g - first) << 12 &&
          frames_[g].hpa.page_base(PageSize::k2M) == frames_[first].hpa.page_base(PageSize::k2M);
    }
    if (expected == absl::StatusCode::kOk && !in_place && !host_has_block()) {
      expected = absl::StatusCode::kResourceExhausted;
    }
  }
  const absl::Status got = p2m_->promote(gpa(f));
  if (expected == absl::StatusCode::kOk) {
    for (uint64_t g = first; g < first + 512; ++g) {
      if (frames_[g].state == FrameState::kLazy) frames_[g].stamp = 0;
      frames_[g].state = FrameState::kRam;
      frames_[g].size = PageSize::k2M;
      adopt(g);
    }
  }
  return end("promote", f, expected, got.code());
}

}  // namespace gnomon
