// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/pic.h"

namespace gnomon::vmm {
namespace {

constexpr unsigned kCascade = 2;
constexpr unsigned kSpurious = 7;

constexpr uint8_t bit(unsigned level) { return static_cast<uint8_t>(1u << level); }

}  // namespace

int pic_level_to_serve(const PicPriorities& p) {
  const unsigned wanted = p.requests & ~p.masked;
  const unsigned blocking = p.special_mask ? p.in_service & ~p.masked : p.in_service;
  for (unsigned i = 1; i <= 8; ++i) {
    const unsigned level = (p.lowest + i) & 7;
    if ((blocking & bit(level)) != 0 && (p.nested & wanted & bit(level)) == 0) return -1;
    if ((wanted & bit(level)) != 0) return static_cast<int>(level);
    if ((blocking & bit(level)) != 0) return -1;
  }
  return -1;
}

// An edge stays a request until it is served, even if the line falls before: chip sets since the
// first PC do that, and guests that leave interrupts off for long depend on it.
void PicChip::set_line(unsigned level, bool high) {
  const uint8_t mask = bit(level);
  const bool was_high = (lines_ & mask) != 0;
  if (high) {
    lines_ |= mask;
    if (!was_high || (level_triggered_ & mask) != 0) p_.requests |= mask;
  } else {
    lines_ &= static_cast<uint8_t>(~mask);
    if ((level_triggered_ & mask) != 0) p_.requests &= static_cast<uint8_t>(~mask);
  }
}

void PicChip::follow(unsigned level, bool requested) {
  p_.requests = static_cast<uint8_t>((p_.requests & ~bit(level)) | (requested ? bit(level) : 0));
}

unsigned PicChip::acknowledge() {
  const int level = pic_level_to_serve(p_);
  if (level < 0) return kSpurious;
  const uint8_t mask = bit(static_cast<unsigned>(level));
  if ((level_triggered_ & mask) == 0) p_.requests &= static_cast<uint8_t>(~mask);
  if (!auto_eoi_) {
    p_.in_service |= mask;
  } else if (rotate_on_auto_eoi_) {
    p_.lowest = static_cast<uint8_t>(level);
  }
  return static_cast<unsigned>(level);
}

uint8_t PicChip::read(bool a0) {
  if (poll_) {  // this read is an INTA
    poll_ = false;
    if (!wants_service()) return 0;
    return static_cast<uint8_t>(0x80 | acknowledge());
  }
  if (a0) return p_.masked;
  return reads_isr_ ? p_.in_service : p_.requests;
}

void PicChip::write(bool a0, uint8_t value) {
  if (a0) {
    if (expect_ != Expect::kNothing) {
      write_initialization(value);
    } else {
      p_.masked = value;  // OCW1
    }
  } else if ((value & 0x10) != 0) {
    start_initialization(value);
  } else if ((value & 0x08) != 0) {
    write_ocw3(value);
  } else {
    write_ocw2(value);
  }
}

void PicChip::set_level_triggered(uint8_t levels) {
  level_triggered_ = levels & level_capable_;
  p_.requests =
      static_cast<uint8_t>((p_.requests & ~level_triggered_) | (lines_ & level_triggered_));
}

// LTIM (bit 3) has no effect: the edge/level control registers take its place.
void PicChip::start_initialization(uint8_t icw1) {
  p_ = PicPriorities{};
  p_.requests = lines_ & level_triggered_;
  auto_eoi_ = rotate_on_auto_eoi_ = reads_isr_ = poll_ = false;
  has_icw4_ = (icw1 & 1) != 0;
  is_single_ = (icw1 & 2) != 0;
  expect_ = Expect::kIcw2;
}

void PicChip::write_initialization(uint8_t value) {
  switch (expect_) {
    case Expect::kIcw2:
      base_ = value & 0xf8;
      expect_ = !is_single_ ? Expect::kIcw3 : has_icw4_ ? Expect::kIcw4 : Expect::kNothing;
      break;
    case Expect::kIcw3:  // the cascade is wired as it is
      expect_ = has_icw4_ ? Expect::kIcw4 : Expect::kNothing;
      break;
    case Expect::kIcw4:
      auto_eoi_ = (value & 2) != 0;
      p_.nested = (value & 0x10) != 0 ? bit(kCascade) : 0;
      expect_ = Expect::kNothing;
      break;
    case Expect::kNothing: break;
  }
}

int PicChip::highest_in_service() const {
  // A masked level is not ended by a non-specific EOI in special mask mode.
  const unsigned candidates = p_.special_mask ? p_.in_service & ~p_.masked : p_.in_service;
  for (unsigned i = 1; i <= 8; ++i) {
    const unsigned level = (p_.lowest + i) & 7;
    if ((candidates & bit(level)) != 0) return static_cast<int>(level);
  }
  return -1;
}

void PicChip::write_ocw2(uint8_t value) {
  const bool rotate = (value & 0x80) != 0;
  const bool specific = (value & 0x40) != 0;
  const bool eoi = (value & 0x20) != 0;
  int level = value & 7;
  if (eoi) {
    if (!specific) level = highest_in_service();
    if (level < 0) return;
    p_.in_service &= static_cast<uint8_t>(~bit(static_cast<unsigned>(level)));
    if (rotate) p_.lowest = static_cast<uint8_t>(level);
  } else if (rotate && specific) {
    p_.lowest = static_cast<uint8_t>(level);
  } else if (!specific) {
    rotate_on_auto_eoi_ = rotate;
  }
}

void PicChip::write_ocw3(uint8_t value) {
  if ((value & 0x40) != 0) p_.special_mask = (value & 0x20) != 0;
  if ((value & 0x02) != 0) reads_isr_ = (value & 0x01) != 0;
  poll_ = (value & 0x04) != 0;
}

void PicPair::reset() {
  master_.reset();
  slave_.reset();
  update();
}

void PicPair::set_irq(unsigned irq, bool high) {
  if (irq >= 16 || irq == kCascade) return;
  if (irq < 8) {
    master_.set_line(irq, high);
  } else {
    slave_.set_line(irq - 8, high);
  }
  update();
}

uint8_t PicPair::acknowledge() {
  const unsigned level = master_.acknowledge();
  uint8_t vector = master_.vector(level);
  if (level == kCascade) vector = slave_.vector(slave_.acknowledge());
  update();
  return vector;
}

void PicPair::update() {
  master_.follow(kCascade, slave_.wants_service());
  const bool asserted = master_.wants_service();
  if (asserted == asserted_) return;
  asserted_ = asserted;
  intr_(asserted);
}

uint8_t PicPair::read_port(uint16_t port) {
  switch (port) {
    case 0x4d0: return master_.level_triggered();
    case 0x4d1: return slave_.level_triggered();
    default: break;
  }
  PicChip& chip = (port & 0x80) != 0 ? slave_ : master_;
  const uint8_t value = chip.read((port & 1) != 0);
  update();
  return value;
}

void PicPair::write_port(uint16_t port, uint8_t value) {
  switch (port) {
    case 0x4d0: master_.set_level_triggered(value); break;
    case 0x4d1: slave_.set_level_triggered(value); break;
    default: ((port & 0x80) != 0 ? slave_ : master_).write((port & 1) != 0, value); break;
  }
  update();
}

}  // namespace gnomon::vmm
