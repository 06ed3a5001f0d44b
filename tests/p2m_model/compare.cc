// SPDX-License-Identifier: Apache-2.0
//
// Is every frame what the model says, and was the listener told in time?
#include <algorithm>

#include "absl/strings/str_format.h"
#include "tests/p2m_model/model.h"

namespace gnomon {

std::string P2mModel::end(const char* operation, uint64_t f, absl::StatusCode expected,
                          absl::StatusCode got) {
  std::string difference = listener_difference_;
  if (expected != got) {
    difference += absl::StrFormat("answer %s, expected %s; ", absl::StatusCodeToString(got),
                                  absl::StatusCodeToString(expected));
  }
  if (got != absl::StatusCode::kOk &&
      std::count(told_.begin(), told_.end(), 0) != static_cast<int64_t>(kGuestFrames)) {
    difference += "listener told of a change that failed; ";
  }
  difference += compare();
  if (difference.empty()) return "";
  return absl::StrFormat("operation %d, %s of frame 0x%x: %s", operations_, operation, f,
                         difference);
}

std::string P2mModel::compare() const {
  std::vector<bool> host_frames(kHostFrames);
  for (uint64_t f = 0; f < kGuestFrames; ++f) {
    const Frame& m = frames_[f];
    const P2mEntry e = p2m_->lookup(gpa(f));
    const auto differs = [&](const char* what) {
      return absl::StrFormat("frame 0x%x (%s, raw 0x%x): %s", f, name_of(m.state), e.raw(), what);
    };
    if (e.state() != m.state) return differs("state");
    if (e.write_logged() != m.logged || e.dirty() != m.dirty) return differs("log");
    if (e.rom() != m.rom) return differs("rom");
    if (e.writable() != (!m.logged && !m.rom)) return differs("writable");
    const uint32_t number = p2m_->frame_index(gpa(f));
    if ((number != P2m::kNoIndex) != (slot_of(f) != nullptr)) return differs("frame_index");
    if (number != P2m::kNoIndex &&
        (number >= p2m_->frame_capacity() || p2m_->frame_at(number) != gpa(f))) {
      return differs("frame_at");
    }
    if (const char* what = told_difference(before_[f], e, told_[f])) return differs(what);
    if (m.state != FrameState::kRam) {
      if (p2m_->ram_at(gpa(f)) != nullptr) return differs("ram_at");
      continue;
    }
    if (e.frame() != m.hpa) return differs("host frame changed");
    if (e.size() != m.size) return differs("size");
    if (host_->owner(e.frame()) != FrameOwner::kGuestRam) return differs("owner");
    const uint64_t host_frame = e.frame().frame() - host_->base().frame();
    if (host_frames[host_frame]) return differs("host frame shared");
    host_frames[host_frame] = true;
    if (m.size == PageSize::k2M) {
      if (!region_in(*slot_of(f), f)) return differs("page leaves its slot");
      if (e.frame().offset_in(PageSize::k2M) != (f & 511) << 12) return differs("alignment");
      if (p2m_->lookup(gpa(region(f))).frame() != e.frame().page_base(PageSize::k2M)) {
        return differs("page in pieces");
      }
    }
    const uint64_t* words = reinterpret_cast<const uint64_t*>(p2m_->ram_at(gpa(f)));
    if (words[0] != m.stamp || words[511] != m.stamp || words[200] != 0) return differs("contents");
  }
  if (host_->free_bytes() != host_free() << 12) return "free bytes of the host";
  return "";
}

const char* P2mModel::told_difference(P2mEntry before, P2mEntry after, uint32_t told) {
  const auto was_told = [&](Change c) { return (told >> static_cast<unsigned>(c)) & 1; };
  if (before.is_ram() && !after.is_ram()) {
    return was_told(Change::kRemoved) ? nullptr : "removal not told";
  }
  if (before.is_ram() && (before.frame() != after.frame() || before.size() != after.size())) {
    return was_told(Change::kMoved) ? nullptr : "move not told";
  }
  if (before.is_ram() && before.writable() && !after.writable()) {
    return was_told(Change::kWriteProtected) ? nullptr : "write protection not told";
  }
  if (before.state() == FrameState::kAbsent && after.state() != FrameState::kAbsent) {
    return was_told(Change::kAppeared) ? nullptr : "appearance not told";
  }
  return nullptr;
}

}  // namespace gnomon
