// SPDX-License-Identifier: Apache-2.0
#include "tests/scenario/guest_layout.h"

#include <array>

#include "gnomon/x86/entry_bits.h"
#include "tests/scenario/program.h"

namespace gnomon::scenario {
namespace {

constexpr uint64_t kFirstTable = 1, kTables = 15;  // frames that are mostly tables
constexpr uint64_t kFirstData = 18, kData = 10;    // frames that are mostly data

constexpr PagingShape kShapes[] = {{PagingMode::kLegacy32, 2, 10, 4},
                                   {PagingMode::kPae, 3, 9, 8},
                                   {PagingMode::kLevel4, 4, 9, 8},
                                   {PagingMode::kLevel5, 5, 9, 8}};

PagingShape choose_shape(Choices& choices, std::optional<PagingMode> only) {
  const uint8_t number = choices.pick(std::array<uint8_t, 8>{0, 0, 1, 1, 2, 2, 2, 3});
  for (const PagingShape& shape : kShapes) {
    if (only == shape.mode) return shape;
  }
  return kShapes[number];
}

}  // namespace

GuestLayout::GuestLayout(Choices& choices, std::optional<PagingMode> only, uint64_t first_frame)
    : choices_(choices),
      tame_(only.has_value()),
      base_(first_frame),
      shape_(choose_shape(choices, only)) {
  choose_addresses(4 + choices_.below(6));
  for (uint64_t i = 0; i < kTablesPerLevel; ++i) {
    roots_.push_back(level_table(shape_.levels, i) * kFrame);
  }
}

void GuestLayout::choose_addresses(uint64_t count) {
  const uint64_t last = (uint64_t{1} << shape_.index_bits) - 1;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t va = 0;
    for (unsigned level = shape_.levels; level >= 1; --level) {
      uint64_t index = choices_.pick(std::array<uint64_t, 5>{0, 0, 1, 1, last});
      if (shape_.mode == PagingMode::kPae && level == 3) index &= 3;
      va |= index << (12 + shape_.index_bits * (level - 1));
    }
    const unsigned width = 12 + shape_.index_bits * shape_.levels;
    if (shape_.levels >= 4 && (va >> (width - 1) & 1) != 0) va |= ~uint64_t{0} << width;
    addresses_.push_back(va);
  }
  if (choices_.percent(15))
    addresses_.push_back(choices_.pick(std::array<uint64_t, 4>{
        uint64_t{1} << 47, uint64_t{1} << 56, uint64_t{1} << 32, 0x8000'0000'0000'0000}));
  if (choices_.percent(50)) addresses_.push_back(addresses_[0] + 5 * kFrame);
}

uint64_t GuestLayout::table_frame() { return base_ + kFirstTable + choices_.below(kTables); }

uint64_t GuestLayout::table_frame(unsigned level) {
  return choices_.percent(tame_ ? 99 : 88) ? level_table(level, choices_.below(kTablesPerLevel))
                                           : table_frame();
}

uint64_t GuestLayout::level_table(unsigned level, uint64_t which) const {
  return base_ + kFirstTable + (level * kTablesPerLevel + which) % kTables;
}

uint64_t GuestLayout::data_frame() { return base_ + kFirstData + choices_.below(kData); }

uint64_t GuestLayout::root() {
  return choices_.percent(tame_ ? 1 : 8) ? table_frame() * kFrame : choices_.pick(roots_);
}

uint64_t GuestLayout::address() {
  const uint64_t offset =
      choices_.pick(std::array<uint64_t, 8>{0, 0, 8, 4, 0xff8, 0x123, 0x800, 0xffc});
  return choices_.pick(addresses_) | offset;
}

uint64_t GuestLayout::target(bool leaf, unsigned level) {
  if (tame_ && choices_.percent(98)) return (leaf ? data_frame() : table_frame(level - 1)) * kFrame;
  if (leaf && level > 1) {
    const uint64_t base =
        choices_.pick(std::array<uint64_t, 8>{base_ * kFrame, base_ * kFrame, 0, 0x200000, kBigBase,
                                              kBigBase, kBigBase + 0x200000, uint64_t{1} << 30});
    return choices_.percent(90) ? base : base | choices_.below(16) << 13;
  }
  switch (choices_.below(leaf ? 50 : 60)) {
    case 0: return kRomBase + choices_.below(kRomFrames) * kFrame;
    case 1: return kMmioBase;
    case 2: return kHole;
    case 3: return kPlugBase + choices_.below(kPlugFrames) * kFrame;
    case 4:
      return choices_.pick(
          std::array<uint64_t, 3>{uint64_t{1} << 40, uint64_t{1} << 50, uint64_t{1} << 34});
    case 5: return kBigBase + choices_.below(4) * 0x100000;
    case 6:
    case 7:
    case 8:
    case 9: return table_frame() * kFrame;
    default: return (leaf ? data_frame() : table_frame(level - 1)) * kFrame;
  }
}

uint64_t GuestLayout::entry(unsigned level, bool good) {
  const bool can_be_large = level == 2 || (level == 3 && shape_.levels >= 4);
  const bool large = can_be_large && choices_.percent(tame_ ? 1 : good ? 12 : 20);
  const bool leaf = level == 1 || large;
  uint64_t e = target(leaf, level);
  if (shape_.entry_bytes == 4) e &= 0xffff'f000;
  if (choices_.percent(good ? 98 : 88)) e |= pte::kPresent;
  const bool pdpte = shape_.mode == PagingMode::kPae && level == 3;
  if (pdpte && choices_.percent(97)) return e;
  // A cooperating guest maps its own tables too, but only to read them.
  const bool reads_table = tame_ && level == 1 && choices_.percent(10);
  if (reads_table) e = (e & ~pte::kFrameMask) | table_frame() * kFrame;
  if (!reads_table && choices_.percent(level == 1 ? 75 : 90)) e |= pte::kWritable;
  if (choices_.percent(level == 1 ? 75 : 92)) e |= pte::kUser;
  if (choices_.percent(50)) e |= pte::kAccessed;
  if (choices_.percent(30)) e |= pte::kDirty;
  if (large || choices_.percent(level == 1 ? 10 : 2)) e |= pte::kLarge;
  if (choices_.percent(15)) e |= pte::kGlobal;
  if (shape_.entry_bytes == 8) {
    if (choices_.percent(level == 1 ? 12 : 4)) e |= pte::kNoExecute;
    if (shape_.levels >= 4 && choices_.percent(12)) e |= choices_.below(4) << pte::kKeyShift;
    if (choices_.percent(1))
      e |= uint64_t{1} << (52 + choices_.below(7));  // ignored, but not by PAE
  }
  return e;
}

uint64_t GuestLayout::entry_place(unsigned level) {
  const uint64_t table = table_frame(level) * kFrame;
  return table + index_of(choices_.pick(addresses_), level) * shape_.entry_bytes;
}

unsigned GuestLayout::some_level() {
  return 1 + static_cast<unsigned>(choices_.percent(50) ? 0 : choices_.below(shape_.levels));
}

}  // namespace gnomon::scenario
