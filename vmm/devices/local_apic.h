// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_LOCAL_APIC_H_
#define VMM_DEVICES_LOCAL_APIC_H_

#include <array>
#include <cstdint>
#include <optional>

#include "gnomon/vmm/clock.h"
#include "vmm/devices/apic_bus.h"
#include "vmm/devices/local_apic_timer.h"
#include "vmm/devices/vector_set.h"

namespace gnomon::vmm {

/// The local APIC of one processor, xAPIC mode (SDM vol. 3, chapter 11). Its ID is the processor's
/// number. LINT0 is the PIC's output, LINT1 is not connected.
class LocalApic {
 public:
  LocalApic(unsigned cpu, Clock& clock, ApicBus& bus);

  /// Power-on. `boot_processor`: as firmware leaves it there, enabled and in virtual wire mode.
  void reset(bool boot_processor);
  /// An INIT message: as `reset`, but the base register stays.
  void init();

  /// Registers, by offset. Only aligned ones exist.
  uint32_t read(uint32_t offset);
  void write(uint32_t offset, uint32_t value);

  /// IA32_APIC_BASE.
  uint64_t base() const { return base_; }
  bool set_base(uint64_t value);
  bool hardware_enabled() const { return (base_ & kBaseEnable) != 0; }
  /// Enabled in the base register and by software.
  bool accepts_interrupts() const;

  /// A fixed interrupt. False: refused.
  bool accept(uint8_t vector, bool level);
  bool has_logical_address(uint8_t destination) const;

  bool interrupt_pending() const { return pending_; }
  /// The vector that goes into service, if any is above the processor's priority.
  std::optional<uint8_t> acknowledge();
  /// Bits 4 to 7: class; the others: sub-class (SDM vol. 3, 11.8.3.1).
  uint8_t processor_priority() const;
  uint8_t task_priority() const { return task_priority_; }
  void set_task_priority(uint8_t value);

  void set_lint0(bool high);
  /// Does LINT0 hand the PIC's interrupts to the processor?
  bool passes_external() const;

 private:
  static constexpr uint64_t kBaseBoot = 1u << 8, kBaseEnable = 1u << 11;
  // Local vector table, in the order of the registers from 0x320 on.
  enum Local : unsigned { kTimer, kThermal, kPerformance, kLint0, kLint1, kError, kLocals };

  void clear();
  void update();
  void end_of_interrupt();
  void send();
  void report(uint32_t error);
  void raise(Local local);
  void write_spurious(uint32_t value);
  void write_local(Local local, uint32_t value);

  unsigned cpu_;
  ApicBus* bus_;
  LocalApicTimer timer_;
  uint64_t base_ = 0;
  VectorSet requested_, in_service_, level_;  // IRR, ISR, TMR
  bool pending_ = false;
  uint8_t task_priority_ = 0;
  uint32_t logical_ = 0;   // LDR
  uint32_t format_ = 0;    // DFR
  uint32_t spurious_ = 0;  // SVR
  uint32_t errors_ = 0;    // ESR as last latched
  uint32_t new_errors_ = 0;
  uint32_t command_ = 0;  // ICR, low and high
  uint32_t command_to_ = 0;
  std::array<uint32_t, kLocals> locals_{};
  bool lint0_ = false;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_LOCAL_APIC_H_
