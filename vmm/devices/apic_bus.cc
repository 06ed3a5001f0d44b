// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/apic_bus.h"

#include "vmm/devices/io_apic.h"
#include "vmm/devices/local_apic.h"

namespace gnomon::vmm {

uint64_t ApicBus::everyone() const {
  return apics_.size() >= 64 ? ~uint64_t{0} : (uint64_t{1} << apics_.size()) - 1;
}

uint64_t ApicBus::destinations(uint8_t destination, bool logical) const {
  if (!logical && destination == 0xff) return everyone();
  uint64_t found = 0;
  for (unsigned cpu = 0; cpu < apics_.size(); ++cpu) {
    const bool named = logical ? apics_[cpu]->has_logical_address(destination) : destination == cpu;
    if (named) found |= uint64_t{1} << cpu;
  }
  return found;
}

uint64_t ApicBus::lowest_priority(uint64_t processors) const {
  unsigned best = 64, best_priority = 256;
  for (unsigned cpu = 0; cpu < apics_.size(); ++cpu) {
    if ((processors >> cpu & 1) == 0 || !apics_[cpu]->accepts_interrupts()) continue;
    const unsigned priority = apics_[cpu]->processor_priority();
    if (priority >= best_priority) continue;
    best = cpu;
    best_priority = priority;
  }
  return best < 64 ? uint64_t{1} << best : 0;
}

bool ApicBus::deliver(uint64_t processors, const ApicMessage& message) {
  if (message.mode == DeliveryMode::kLowestPriority) processors = lowest_priority(processors);
  bool taken = false;
  for (unsigned cpu = 0; cpu < apics_.size(); ++cpu) {
    if ((processors >> cpu & 1) != 0 && deliver_one(cpu, message)) taken = true;
  }
  return taken;
}

bool ApicBus::deliver_one(unsigned cpu, const ApicMessage& message) {
  LocalApic& apic = *apics_[cpu];
  if (!apic.hardware_enabled()) return false;
  switch (message.mode) {
    case DeliveryMode::kFixed:
    case DeliveryMode::kLowestPriority: return apic.accept(message.vector, message.level);
    case DeliveryMode::kNmi: control_->send_nmi(cpu); return true;
    case DeliveryMode::kInit:
      apic.init();
      control_->send_init(cpu);
      return true;
    case DeliveryMode::kStartup: control_->send_startup(cpu, message.vector); return true;
    case DeliveryMode::kSmi:     // there is no system management mode
    case DeliveryMode::kExtInt:  // the PIC's output is not a message here
      return false;
  }
  return false;  // 3 is reserved
}

void ApicBus::end_of_interrupt(uint8_t vector) {
  if (io_apic_ != nullptr) io_apic_->end_of_interrupt(vector);
}

}  // namespace gnomon::vmm
