// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/ide_channel.h"

namespace gnomon::vmm {
namespace {

constexpr uint8_t kNoInterrupts = 0x02, kSoftwareReset = 0x04, kHighOrder = 0x80;  // device control
constexpr uint8_t kBusy = 0x80;
constexpr uint8_t kExecuteDiagnostic = 0x90;

}  // namespace

void IdeChannel::reset() {
  for (const auto& drive : drives_) {
    if (drive != nullptr) drive->power_on();
  }
  unit_ = 0;
  control_ = 0;
  update();
}

void IdeChannel::update() {
  const IdeDrive* drive = selected();
  irq_(drive != nullptr && drive->interrupts() && (control_ & kNoInterrupts) == 0);
}

uint8_t IdeChannel::status() const {
  const IdeDrive* drive = selected();
  if (drive == nullptr) return 0;
  return (control_ & kSoftwareReset) != 0 ? kBusy : drive->status();
}

uint8_t IdeChannel::read_byte(uint64_t offset) {
  IdeDrive* drive = selected();
  if (drive == nullptr) return 0;
  const auto which = static_cast<IdeDrive::Register>(offset);
  switch (which) {
    case IdeDrive::kData: return static_cast<uint8_t>(drive->read_data());
    case IdeDrive::kErrorFeatures: return drive->error();
    case IdeDrive::kStatusCommand: drive->clear_interrupt(); return status();
    default: return drive->read_register(which, (control_ & kHighOrder) != 0);
  }
}

void IdeChannel::write_byte(uint64_t offset, uint8_t value) {
  const auto which = static_cast<IdeDrive::Register>(offset);
  if (which == IdeDrive::kData) {
    if (IdeDrive* drive = selected(); drive != nullptr) drive->write_data(value);
    return;
  }
  control_ &= static_cast<uint8_t>(~kHighOrder);
  if ((control_ & kSoftwareReset) != 0) return;
  if (which == IdeDrive::kStatusCommand) {
    execute(value);
    return;
  }
  if (which == IdeDrive::kDevice) unit_ = value >> 4 & 1;
  // Both drives see every register.
  for (const auto& drive : drives_) {
    if (drive != nullptr) drive->write_register(which, value);
  }
}

void IdeChannel::execute(uint8_t command) {
  if (command == kExecuteDiagnostic) {  // both do it, and the first one answers
    unit_ = 0;
    for (const auto& drive : drives_) {
      if (drive != nullptr) drive->execute(command);
    }
  } else if (IdeDrive* drive = selected(); drive != nullptr) {
    drive->execute(command);
  }
}

uint64_t IdeChannel::io_read(const IoAccess& access) {
  uint64_t value = 0;
  if (access.offset == IdeDrive::kData && access.size > 1) {
    IdeDrive* drive = selected();
    for (unsigned i = 0; drive != nullptr && i < access.size; i += 2) {
      value |= uint64_t{drive->read_data()} << (8 * i);
    }
  } else {
    for (unsigned i = 0; i < access.size; ++i) {
      value |= uint64_t{read_byte(access.offset + i)} << (8 * i);
    }
  }
  update();
  return value;
}

void IdeChannel::io_write(const IoAccess& access, uint64_t value) {
  if (access.offset == IdeDrive::kData && access.size > 1) {
    IdeDrive* drive = selected();
    for (unsigned i = 0; drive != nullptr && i < access.size; i += 2) {
      drive->write_data(static_cast<uint16_t>(value >> (8 * i)));
    }
  } else {
    for (unsigned i = 0; i < access.size; ++i) {
      write_byte(access.offset + i, static_cast<uint8_t>(value >> (8 * i)));
    }
  }
  update();
}

uint8_t IdeChannel::read_port(uint16_t) { return status(); }

void IdeChannel::write_port(uint16_t, uint8_t value) {
  const bool resets = (value & ~control_ & kSoftwareReset) != 0;
  control_ = value & (kNoInterrupts | kSoftwareReset | kHighOrder);
  if (resets) {
    unit_ = 0;
    for (const auto& drive : drives_) {
      if (drive != nullptr) drive->reset();
    }
  }
  update();
}

}  // namespace gnomon::vmm
