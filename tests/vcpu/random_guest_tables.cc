// SPDX-License-Identifier: Apache-2.0
//
// Which pages the guest uses, what its tables hold, and whether it reads them back.
#include <algorithm>
#include <array>

#include "absl/strings/str_format.h"
#include "tests/vcpu/random_guest.h"

namespace gnomon::vcpu_test {

void RandomGuest::choose_pages() {
  static constexpr std::array<uint64_t, 6> kLow = {0, 1, 4, 9, 70, 510};
  while (pages_.size() < kPages) {
    uint64_t va = random_.pick(kLow) << 12;
    for (unsigned level = 2; level <= shape_.levels; ++level) {
      uint64_t index = random_.percent(60) ? 1 : random_.below(3);
      if (shape_.levels == 3 && level == 3) index = random_.below(4);
      if (level == shape_.levels && level > 3 && random_.percent(20)) index = 511;
      va |= index << shape_.shift(level);
    }
    const unsigned width = 12 + 9 * shape_.levels;
    if (shape_.levels > 3 && (va >> (width - 1) & 1) != 0) va |= ~uint64_t{0} << width;
    for (const uint64_t page : {va, va + kPage}) {
      if (std::find(pages_.begin(), pages_.end(), page) == pages_.end()) pages_.push_back(page);
    }
  }
}

uint64_t RandomGuest::entry(unsigned level) {
  const bool wide = shape_.entry_bytes == 8;
  uint64_t e = random_.percent(96) ? pte::kPresent : 0;
  if (shape_.levels == 3 && level == 3) return e | table(2, random_.below(kTablesPerLevel));
  const bool large = level > 1 && ((level == 2 && random_.percent(20)) ||
                                   (level == 3 && !direct_ && random_.percent(3)));
  bool writable = random_.percent(80);
  if (large) {
    e |= pte::kLarge;
    if (level == 2) e |= !direct_ && random_.percent(30) ? 0 : big_page();
    if (level == 2 && !wide) e &= ~uint64_t{2_MiB};
  } else if (level > 1) {
    const bool odd = !direct_ && random_.percent(3);
    const unsigned next = odd ? 1 + static_cast<unsigned>(random_.below(shape_.levels)) : level - 1;
    e |= table(next, random_.below(kTablesPerLevel));
  } else if (random_.percent(10)) {
    writable = writable && !direct_;
    const uint64_t which = random_.below(kTablesPerLevel);
    e |= table(1 + static_cast<unsigned>(random_.below(shape_.levels)), which);
  } else if (random_.percent(4) && !direct_) {
    e |= random_.pick(std::array<uint64_t, 3>{kRom + 2 * kPage, kDevice, kHole});
  } else if (random_.percent(15)) {
    e |= kBig + random_.below(kBigBytes / kPage) * kPage;
  } else {
    e |= (kFirstData + random_.below(kDataFrames)) * kPage;
  }
  if (writable) e |= pte::kWritable;
  if (random_.percent(85)) e |= pte::kUser;
  if (random_.percent(60)) e |= pte::kAccessed;
  if (random_.percent(40)) e |= pte::kDirty;
  if (random_.percent(20) && (level == 1 || large)) e |= pte::kGlobal;
  if (wide && random_.percent(6)) e |= pte::kNoExecute;
  if (shape_.levels > 3 && random_.percent(12)) e |= random_.below(4) << pte::kKeyShift;
  return e;
}

void RandomGuest::check_word(size_t i, uint64_t gpa) {
  uint64_t seen = 0;
  if (!backend_->read_physical(cpu(i).state(), Gpa(gpa), 8, seen)) {
    if (mirror_.lookup(Gpa(gpa)).state() != FrameState::kBallooned) fail("cannot read a table");
    return;
  }
  const uint64_t should = mirror_load(gpa, 8);
  if (seen != should)
    fail(absl::StrFormat("the guest reads %x at %x, expected %x", seen, gpa, should));
}

void RandomGuest::compare_tables(bool all) {
  for (uint64_t f = kFirstTable; f <= kLastTable; ++f) {
    if (all) {
      for (uint64_t w = 0; w < 512; ++w) check_word(0, f * kPage + w * 8);
    } else {
      for (const uint64_t page : pages_) {
        const unsigned level = 1 + static_cast<unsigned>(random_.below(shape_.levels));
        check_word(0, f * kPage + (shape_.index(page, level) * shape_.entry_bytes & ~uint64_t{7}));
      }
    }
  }
}

}  // namespace gnomon::vcpu_test
