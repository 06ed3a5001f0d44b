// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/acpi_power.h"

#include "vmm/devices/rate.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kEnable = 2;         // offset in the event block; before it the status
constexpr uint8_t kAcpiMode = 0x01;     // PM1 control: SCI_EN
constexpr uint8_t kSleepType = 0x1c;    // of its second byte
constexpr uint8_t kSleepEnable = 0x20;  // write only

}  // namespace

uint8_t AcpiPower::byte(uint64_t offset) const {
  if (offset >= kTimer)
    return static_cast<uint8_t>(ticks_at(clock_->now(), kTimerHz) >> (8 * (offset - kTimer)));
  if (offset < kEnable) return 0;  // nothing has happened
  if (offset == kControl) return bytes_[offset] | kAcpiMode;
  return bytes_[offset];
}

uint64_t AcpiPower::io_read(const IoAccess& access) {
  uint64_t value = 0;
  for (unsigned i = 0; i < access.size; ++i) {
    const uint64_t offset = access.offset + i;
    if (offset < kPorts) value |= uint64_t{byte(offset)} << (8 * i);
  }
  return value;
}

void AcpiPower::io_write(const IoAccess& access, uint64_t value) {
  for (unsigned i = 0; i < access.size; ++i) {
    const uint64_t offset = access.offset + i;
    auto written = static_cast<uint8_t>(value >> (8 * i));
    if (offset >= kTimer || offset < kEnable) continue;
    if (offset == kControl + 1) {
      const bool off = (written & kSleepEnable) != 0 && (written & kSleepType) == 0;
      if (off) control_->request_exit(0);
      written &= kSleepType;
    }
    bytes_[offset] = written;
  }
}

}  // namespace gnomon::vmm
