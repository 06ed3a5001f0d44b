// SPDX-License-Identifier: Apache-2.0
#include "gnomon/memory/p2m.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

// Slots, MMIO regions and listeners. How frames are backed is in p2m_backing.cc, how they move in
// p2m_changes.cc, and which were written in p2m_dirty_log.cc.

namespace gnomon {
namespace {

constexpr uint64_t kFrameBytes = bytes_of(PageSize::k4K);

std::string range_text(Gpa base, uint64_t bytes) {
  return absl::StrFormat("[0x%x, 0x%x)", base.value(), base.value() + bytes);
}

bool overlap(Gpa a, uint64_t a_bytes, Gpa b, uint64_t b_bytes) {
  return a.value() < b.value() + b_bytes && b.value() < a.value() + a_bytes;
}

absl::Status check_options(const SlotOptions& options) {
  if (options.backing != PageSize::k4K && options.backing != PageSize::k2M &&
      options.backing != PageSize::k1G) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "a slot is backed with pages of 4K, 2M or 1G, not %s", name_of(options.backing)));
  }
  if (options.fragmented_percent > 100) {
    return absl::InvalidArgumentError(
        absl::StrFormat("fragmented_percent is %d, above 100", options.fragmented_percent));
  }
  return absl::OkStatus();
}

}  // namespace

absl::string_view name_of(FrameState state) {
  switch (state) {
    case FrameState::kAbsent: return "absent";
    case FrameState::kLazy: return "lazy";
    case FrameState::kRam: return "ram";
    case FrameState::kBallooned: return "ballooned";
    case FrameState::kMmio: return "mmio";
  }
  return "?";
}

P2m::P2m(HostMemory& host) : host_(&host), entries_(kMaxFrames) {}

P2m::~P2m() {
  for (const Slot& slot : slots_) release_frames(slot);
}

absl::Status P2m::add_slot(Gpa base, uint64_t bytes, const SlotOptions& options) {
  if (absl::Status status = check_range(base, bytes); !status.ok()) return status;
  if (absl::Status status = check_options(options); !status.ok()) return status;
  const std::optional<uint32_t> number = free_numbers(bytes / kFrameBytes);
  if (!number) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("slot %s: no numbers left for its 0x%x frames, of 0x%x in all",
                        range_text(base, bytes), bytes / kFrameBytes, entries_.size()));
  }
  // All its entries are lazy now (the numbers are new, or were cleared by release_frames), and
  // nobody can see them before the slot is in slots_.
  const Slot slot{base, bytes, *number, options};
  const uint32_t frames = static_cast<uint32_t>(bytes / kFrameBytes);
  if (options.rom) {
    const P2mEntry lazy = P2mEntry::make(FrameState::kLazy, Hpa(), PageSize::k4K, true);
    for (uint32_t i = 0; i < frames; ++i) set_entry(*number + i, lazy);
  }
  if (!options.lazy) {
    bool full = bytes > host_->free_bytes();
    for (uint32_t i = 0; i < frames && !full; ++i) {
      full = !back_in(slot, Gpa(base.value() + i * kFrameBytes)).is_ram();
    }
    if (full) {
      release_frames(slot);
      return absl::ResourceExhaustedError(
          absl::StrFormat("slot %s needs 0x%x bytes at once, and the host has 0x%x free",
                          range_text(base, bytes), bytes, host_->free_bytes()));
    }
  }
  tell(base, frames, Change::kAppeared);
  slots_.insert(
      std::find_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return base < s.base; }),
      slot);
  next_index_ = std::max(next_index_, *number + frames);
  ++generation_;
  return absl::OkStatus();
}

absl::Status P2m::add_mmio(Gpa base, uint64_t bytes) {
  if (absl::Status status = check_range(base, bytes); !status.ok()) return status;
  tell(base, bytes / kFrameBytes, Change::kAppeared);
  mmio_.push_back({base, bytes});
  ++generation_;
  return absl::OkStatus();
}

absl::Status P2m::remove_mmio(Gpa base) {
  const auto region =
      std::find_if(mmio_.begin(), mmio_.end(), [&](const Mmio& m) { return m.base == base; });
  if (region == mmio_.end()) {
    return absl::NotFoundError(absl::StrCat("no MMIO region starts at ", to_string(base)));
  }
  tell(base, region->bytes / kFrameBytes, Change::kRemoved);
  mmio_.erase(region);
  ++generation_;
  return absl::OkStatus();
}

absl::Status P2m::remove_slot(Gpa base) {
  const auto slot =
      std::find_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.base == base; });
  if (slot == slots_.end()) {
    return absl::NotFoundError(absl::StrCat("no slot starts at ", to_string(base)));
  }
  tell(base, slot->bytes / kFrameBytes, Change::kRemoved);
  release_frames(*slot);
  slots_.erase(slot);
  forget_clean();
  if (logging()) logging_ = any_logged();
  ++generation_;
  return absl::OkStatus();
}

Gpa P2m::frame_at(uint32_t index) const {
  for (const Slot& s : slots_) {
    const uint64_t offset = (uint64_t{index} - s.first_index) * kFrameBytes;
    if (index >= s.first_index && offset < s.bytes) return Gpa(s.base.value() + offset);
  }
  assert(false && "number of no live frame");
  return Gpa();
}

P2mEntry P2m::outside(Gpa gpa) const {
  for (const Mmio& m : mmio_) {
    if (gpa.value() - m.base.value() < m.bytes) {
      return P2mEntry::make(FrameState::kMmio, Hpa(), PageSize::k4K, false);
    }
  }
  return P2mEntry();
}

const P2m::Slot* P2m::slot_around(Gpa gpa) const {
  for (const Slot& s : slots_) {
    if (gpa.value() - s.base.value() < s.bytes) return &s;
  }
  return nullptr;
}

// Is it a range that a new slot or MMIO region may have?
absl::Status P2m::check_range(Gpa base, uint64_t bytes) const {
  const uint64_t limit = uint64_t{1} << kMaxGpaBits;
  if (bytes == 0) {
    return absl::InvalidArgumentError(absl::StrCat("empty range at ", to_string(base)));
  }
  if (!base.is_aligned(PageSize::k4K) || bytes % kFrameBytes != 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "range of 0x%x bytes at %s is not of whole 4K frames", bytes, to_string(base)));
  }
  if (base.value() >= limit || bytes > limit - base.value()) {
    return absl::InvalidArgumentError(absl::StrFormat("range of 0x%x bytes at %s goes beyond 2^%d",
                                                      bytes, to_string(base), kMaxGpaBits));
  }
  for (const Slot& s : slots_) {
    if (overlap(base, bytes, s.base, s.bytes)) {
      return absl::AlreadyExistsError(absl::StrFormat(
          "%s overlaps the slot at %s", range_text(base, bytes), range_text(s.base, s.bytes)));
    }
  }
  for (const Mmio& m : mmio_) {
    if (overlap(base, bytes, m.base, m.bytes)) {
      return absl::AlreadyExistsError(absl::StrFormat("%s overlaps the MMIO region at %s",
                                                      range_text(base, bytes),
                                                      range_text(m.base, m.bytes)));
    }
  }
  return absl::OkStatus();
}

// The lowest `frames` numbers in a row that no slot has.
std::optional<uint32_t> P2m::free_numbers(uint64_t frames) const {
  std::vector<std::pair<uint64_t, uint64_t>> used;  // first, end
  for (const Slot& s : slots_) {
    used.emplace_back(s.first_index, s.first_index + s.bytes / kFrameBytes);
  }
  std::sort(used.begin(), used.end());
  uint64_t candidate = 0;
  for (const auto& [first, end] : used) {
    if (frames <= first - candidate) break;
    candidate = end;
  }
  if (frames > entries_.size() - candidate) return std::nullopt;
  return static_cast<uint32_t>(candidate);
}

// Gives all host frames of the slot back, and leaves its words as untouched ones are.
void P2m::release_frames(const Slot& slot) {
  const uint32_t end = slot.first_index + static_cast<uint32_t>(slot.bytes / kFrameBytes);
  for (uint32_t i = slot.first_index; i < end;) {
    const P2mEntry e = entry(i);
    if (e.is_ram()) host_->free(e.frame(), e.size());
    for (const uint32_t page_end = i + frames_of(e.size()); i < page_end; ++i) {
      if (entries_[i].load(std::memory_order_relaxed) != 0) set_entry(i, P2mEntry(kInverted));
    }
  }
}

void P2m::tell(Gpa first, uint64_t frames, Change change) {
  for (P2mListener* listener : listeners_) listener->before_p2m_change(first, frames, change);
}

void P2m::add_listener(P2mListener* listener) { listeners_.push_back(listener); }

void P2m::remove_listener(P2mListener* listener) {
  listeners_.erase(std::remove(listeners_.begin(), listeners_.end(), listener), listeners_.end());
}

}  // namespace gnomon
