// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_APIC_BUS_H_
#define VMM_DEVICES_APIC_BUS_H_

#include <cstdint>
#include <vector>

#include "gnomon/vmm/board.h"

namespace gnomon::vmm {

class IoApic;
class LocalApic;

/// Delivery modes of the interrupt command register, the local vector table and the redirection
/// table (SDM vol. 3, 11.5.1 and 11.6.1).
enum class DeliveryMode : uint8_t {
  kFixed = 0,
  kLowestPriority = 1,
  kSmi = 2,
  kNmi = 4,
  kInit = 5,
  kStartup = 6,
  kExtInt = 7,
};

struct ApicMessage {
  uint8_t destination = 0;
  bool logical = false;
  DeliveryMode mode = DeliveryMode::kFixed;
  uint8_t vector = 0;
  bool level = false;  ///< level triggered
};

/// What connects the APICs: finds who a message is for and hands it over.
class ApicBus {
 public:
  explicit ApicBus(MachineControl& control) : control_(&control) {}
  /// In the order of processors, at most 64. All must outlive the bus' use.
  void attach(LocalApic& apic) { apics_.push_back(&apic); }
  void attach(IoApic& apic) { io_apic_ = &apic; }

  /// Processors that a destination names, bit i for processor i (SDM vol. 3, 11.6.2).
  uint64_t destinations(uint8_t destination, bool logical) const;
  uint64_t everyone() const;
  /// Hands the message to these processors. False: none of them took it.
  bool deliver(uint64_t processors, const ApicMessage& message);
  bool deliver(const ApicMessage& message) {
    return deliver(destinations(message.destination, message.logical), message);
  }
  /// Tells the I/O APIC that a level-triggered interrupt was served.
  void end_of_interrupt(uint8_t vector);
  MachineControl& control() { return *control_; }

 private:
  bool deliver_one(unsigned cpu, const ApicMessage& message);
  uint64_t lowest_priority(uint64_t processors) const;

  MachineControl* control_;
  std::vector<LocalApic*> apics_;
  IoApic* io_apic_ = nullptr;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_APIC_BUS_H_
