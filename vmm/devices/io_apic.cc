// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/io_apic.h"

namespace gnomon::vmm {
namespace {

enum : uint64_t { kSelectRegister = 0x00, kWindowRegister = 0x10 };
enum : uint8_t { kIdIndex = 0, kVersionIndex = 1, kArbitrationIndex = 2, kTableIndex = 0x10 };

constexpr uint32_t kVersion = 0x11 | (IoApic::kPins - 1) << 16;

// A redirection entry.
constexpr uint64_t kLogical = 1u << 11, kStatus = 1u << 12, kRemoteIrr = 1u << 14,
                   kLevel = 1u << 15, kMasked = 1u << 16;
constexpr uint64_t kReadOnly = kStatus | kRemoteIrr;
constexpr uint64_t kDefined = 0xff00'0000'0001'ffff;

}  // namespace

void IoApic::reset() {
  id_ = power_on_id_;
  select_ = 0;
  redirections_.fill(kMasked);
}

void IoApic::set_pin(unsigned pin, bool high) {
  if (pin >= kPins) return;
  const uint32_t mask = uint32_t{1} << pin;
  const bool rises = high && (lines_ & mask) == 0;
  lines_ = high ? lines_ | mask : lines_ & ~mask;
  // An edge at a masked pin is lost; a level is served as soon as it is unmasked.
  if (rises) serve(pin);
}

void IoApic::serve(unsigned pin) {
  uint64_t& entry = redirections_[pin];
  if ((entry & kMasked) != 0) return;
  const bool level = (entry & kLevel) != 0;
  if (level && (entry & kRemoteIrr) != 0) return;  // until it is ended
  ApicMessage message;
  message.vector = static_cast<uint8_t>(entry);
  message.mode = static_cast<DeliveryMode>(entry >> 8 & 7);
  message.logical = (entry & kLogical) != 0;
  message.destination = static_cast<uint8_t>(entry >> 56);
  message.level = level;
  const bool maskable =
      message.mode == DeliveryMode::kFixed || message.mode == DeliveryMode::kLowestPriority;
  if (!maskable) message.level = false;
  if (bus_->deliver(message) && level && maskable) entry |= kRemoteIrr;
}

void IoApic::end_of_interrupt(uint8_t vector) {
  for (unsigned pin = 0; pin < kPins; ++pin) {
    uint64_t& entry = redirections_[pin];
    if ((entry & kRemoteIrr) == 0 || static_cast<uint8_t>(entry) != vector) continue;
    entry &= ~kRemoteIrr;
    if ((lines_ >> pin & 1) != 0) serve(pin);
  }
}

uint32_t IoApic::read_register() const {
  switch (select_) {
    case kIdIndex:
    case kArbitrationIndex: return uint32_t{id_} << 24;
    case kVersionIndex: return kVersion;
    default: break;
  }
  const unsigned pin = (select_ - kTableIndex) / 2u;
  if (select_ < kTableIndex || pin >= kPins) return 0;
  return static_cast<uint32_t>(redirections_[pin] >> ((select_ & 1) != 0 ? 32 : 0));
}

void IoApic::write_register(uint32_t value) {
  if (select_ == kIdIndex) id_ = value >> 24 & 15;
  const unsigned pin = (select_ - kTableIndex) / 2u;
  if (select_ < kTableIndex || pin >= kPins) return;
  uint64_t& entry = redirections_[pin];
  const uint64_t old = entry;
  if ((select_ & 1) != 0) {
    entry = (entry & 0xffff'ffff) | uint64_t{value} << 32;
  } else {
    entry = (entry & ~uint64_t{0xffff'ffff}) | value;
  }
  entry = (entry & kDefined & ~kReadOnly) | (old & kReadOnly);
  if ((entry & kLevel) == 0) {
    entry &= ~kRemoteIrr;  // only levels have one; kernels clear a stuck one this way
  } else if ((lines_ >> pin & 1) != 0) {
    serve(pin);
  }
}

uint64_t IoApic::io_read(const IoAccess& access) {
  switch (access.offset) {
    case kSelectRegister: return select_;
    case kWindowRegister: return access.size >= 4 ? read_register() : 0;
    default: return 0;
  }
}

void IoApic::io_write(const IoAccess& access, uint64_t value) {
  switch (access.offset) {
    case kSelectRegister: select_ = static_cast<uint8_t>(value); break;
    case kWindowRegister:
      if (access.size >= 4) write_register(static_cast<uint32_t>(value));
      break;
    default: break;
  }
}

}  // namespace gnomon::vmm
