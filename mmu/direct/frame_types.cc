// SPDX-License-Identifier: Apache-2.0
#include "mmu/direct/frame_types.h"

namespace gnomon::direct {
namespace {

constexpr PageSize kRegionSizes[] = {PageSize::k2M, PageSize::k1G};

}  // namespace

const FrameTypes::Region* FrameTypes::find(PageSize size, Gpa gpa) const {
  const Regions& regions = this->regions(size);
  const auto it = regions.find(gpa.frame(size));
  return it == regions.end() ? nullptr : &it->second;
}

template <class F>
bool FrameTypes::any_around(Gpa frame, F&& f) const {
  for (const PageSize size : kRegionSizes) {
    const Region* region = find(size, frame);
    if (region != nullptr && f(*region)) return true;
  }
  return false;
}

bool FrameTypes::may_map_writable(Gpa page, PageSize size) const {
  if (size == PageSize::k4K) return !is_table(at(page).type.load(std::memory_order_relaxed));
  const Region* region = find(size, page);
  return region == nullptr || region->tables == 0;
}

void FrameTypes::add_mapping(Gpa page, PageSize size, bool writable) {
  if (size != PageSize::k4K) {
    Region& region = regions(size)[page.frame(size)];
    ++region.refs;
    if (writable) ++region.writable;
    return;
  }
  Frame& frame = at(page);
  ++frame.refs;
  if (writable && frame.type_count++ == 0) frame.type.store(FrameType::kWritable);
}

void FrameTypes::drop_mapping(Gpa page, PageSize size, bool writable, uint64_t epoch) {
  if (size != PageSize::k4K) {
    // The record stays, for its epoch; there is at most one for each region of the guest's RAM.
    Region& region = regions(size)[page.frame(size)];
    --region.refs;
    if (writable) --region.writable;
    region.unmapped_at = epoch;
    return;
  }
  Frame& frame = at(page);
  --frame.refs;
  frame.unmapped_at = epoch;
  if (writable && --frame.type_count == 0) frame.type.store(FrameType::kNone);
}

bool FrameTypes::may_become_table(Gpa frame) const {
  return at(frame).type.load(std::memory_order_relaxed) == FrameType::kNone &&
         !any_around(frame, [](const Region& r) { return r.writable != 0; });
}

void FrameTypes::begin_table(Gpa frame, FrameType type) {
  at(frame).type.store(type);
  for (const PageSize size : kRegionSizes) ++regions(size)[frame.frame(size)].tables;
}

void FrameTypes::end_table(Gpa frame) {
  at(frame).type.store(FrameType::kNone);
  for (const PageSize size : kRegionSizes) --regions(size)[frame.frame(size)].tables;
}

void FrameTypes::note_unmapped(Gpa frame, uint64_t epoch) { at(frame).unmapped_at = epoch; }

bool FrameTypes::may_be_stale(Gpa frame, uint64_t epoch) const {
  return at(frame).unmapped_at == epoch ||
         any_around(frame, [&](const Region& r) { return r.unmapped_at == epoch; });
}

bool FrameTypes::is_mapped(Gpa frame) const {
  return at(frame).refs != 0 || any_around(frame, [](const Region& r) { return r.refs != 0; });
}

bool FrameTypes::any_referenced(Gpa first, uint64_t frames) const {
  const auto covered = [&](PageSize size) {
    const uint64_t last = first.frame() + frames - 1;
    const uint64_t low = first.frame(size);
    const uint64_t high = Gpa::from_frame(last).frame(size);
    for (const auto& [number, region] : regions(size)) {
      if (number >= low && number <= high && region.refs != 0) return true;
    }
    return false;
  };
  for (const PageSize size : kRegionSizes) {
    if (covered(size)) return true;
  }
  for (uint64_t i = 0; i < frames; ++i) {
    const uint32_t index = p2m_.frame_index(Gpa::from_frame(first.frame() + i));
    if (index == P2m::kNoIndex) continue;
    if (frames_[index].refs != 0 || is_table(type(index))) return true;
  }
  return false;
}

}  // namespace gnomon::direct
