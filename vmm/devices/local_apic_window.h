// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_LOCAL_APIC_WINDOW_H_
#define VMM_DEVICES_LOCAL_APIC_WINDOW_H_

#include <cstdint>
#include <deque>

#include "gnomon/vmm/io_bus.h"
#include "vmm/devices/local_apic.h"

namespace gnomon::vmm {

/// The page in which each processor sees its own local APIC. Registers are 32 bits every 16 bytes:
/// other writes do nothing, other reads give the bytes of the register around them or zero.
class LocalApicWindow : public IoHandler {
 public:
  static constexpr uint64_t kBase = 0xfee0'0000;
  static constexpr uint64_t kBytes = 0x1000;

  /// Both outlive this; the processors may be added later.
  explicit LocalApicWindow(std::deque<LocalApic>& apics) : apics_(&apics) {}

  uint64_t io_read(const IoAccess& access) override {
    LocalApic* apic = apic_of(access);
    if (apic == nullptr) return ~uint64_t{0};
    const unsigned byte = access.offset & 15;
    if (byte >= 4) return 0;
    return apic->read(static_cast<uint32_t>(access.offset & ~uint64_t{15})) >> (8 * byte);
  }
  void io_write(const IoAccess& access, uint64_t value) override {
    LocalApic* apic = apic_of(access);
    if (apic == nullptr || access.size < 4 || (access.offset & 15) != 0) return;
    apic->write(static_cast<uint32_t>(access.offset), static_cast<uint32_t>(value));
  }

 private:
  LocalApic* apic_of(const IoAccess& access) const {
    if (access.cpu >= apics_->size() || !(*apics_)[access.cpu].hardware_enabled()) return nullptr;
    return &(*apics_)[access.cpu];
  }

  std::deque<LocalApic>* apics_;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_LOCAL_APIC_WINDOW_H_
