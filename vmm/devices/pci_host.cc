// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/pci_host.h"

namespace gnomon::vmm {
namespace {

constexpr uint32_t kEnable = 0x8000'0000;
constexpr uint32_t kWritableAddress = 0x80ff'fffc;
constexpr uint8_t kFullReset = 0x04;

// The standard header of the host bridge, by dword.
uint32_t bridge_register(uint32_t index) {
  switch (index) {
    case 0: return 0x1237'8086;
    case 1: return 0x0000'0006;  // memory accesses, bus master
    case 2: return 0x0600'0002;  // host bridge, revision 2
    default: return 0;
  }
}

}  // namespace

uint64_t PciHost::io_read(const IoAccess& access) {
  if (access.offset < 4) {
    if (access.offset == 1 && access.size == 1) return reset_control_;
    if (access.offset == 0 && access.size == 4) return address_;
    return ~uint64_t{0};  // the address is a whole register
  }
  if ((address_ & kEnable) == 0) return ~uint64_t{0};
  const bool is_bridge = (address_ & 0x00ff'ff00) == 0;
  const uint32_t value = is_bridge ? bridge_register(address_ >> 2 & 0x3f) : 0xffff'ffff;
  return value >> (8 * (access.offset - 4));
}

void PciHost::io_write(const IoAccess& access, uint64_t value) {
  if (access.offset == 0 && access.size == 4) {
    address_ = static_cast<uint32_t>(value) & kWritableAddress;
  } else if (access.offset == 1 && access.size == 1) {
    const bool resets = (value & ~reset_control_ & kFullReset) != 0;
    reset_control_ = static_cast<uint8_t>(value) & 0x0a;  // bit 2 falls back by itself
    if (resets) reset_machine_();
  }
}

}  // namespace gnomon::vmm
