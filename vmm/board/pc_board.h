// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_BOARD_PC_BOARD_H_
#define VMM_BOARD_PC_BOARD_H_

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/board/board_info.h"
#include "vmm/devices/acpi_power.h"
#include "vmm/devices/apic_bus.h"
#include "vmm/devices/fw_cfg.h"
#include "vmm/devices/ide_channel.h"
#include "vmm/devices/io_apic.h"
#include "vmm/devices/keyboard_controller.h"
#include "vmm/devices/local_apic.h"
#include "vmm/devices/local_apic_window.h"
#include "vmm/devices/pci_host.h"
#include "vmm/devices/pic.h"
#include "vmm/devices/pit.h"
#include "vmm/devices/rtc.h"
#include "vmm/devices/simple_ports.h"
#include "vmm/devices/uart.h"
#include "vmm/devices/vga_text.h"

namespace gnomon::vmm {

/// The board `pc`: see docs/boards.md.
class PcBoard : public Board {
 public:
  /// `disks`: as many as the options name, opened.
  PcBoard(const BoardOptions& options, std::vector<std::unique_ptr<DiskImage>> disks, Clock& clock,
          MachineControl& control);

  absl::string_view name() const override { return kPcBoard.name; }
  IoBus& ports() override { return ports_; }
  IoBus& device_memory() override { return device_memory_; }
  std::vector<MemoryRange> memory_map() const override;
  absl::Status place_tables(GuestMemory& memory) override;

  bool interrupt_pending(unsigned cpu) const override;
  std::optional<uint8_t> acknowledge_interrupt(unsigned cpu) override;
  void set_task_priority(unsigned cpu, uint8_t cr8) override;
  uint8_t task_priority(unsigned cpu) const override;
  uint64_t apic_base(unsigned cpu) const override;
  bool set_apic_base(unsigned cpu, uint64_t value) override;

  size_t console_input(absl::string_view bytes) override { return uart_.receive(bytes); }
  size_t keyboard_input(absl::string_view text) override { return keyboard_.type(text); }
  std::vector<std::string> notes() const override;
  std::vector<std::string> text_screen(const GuestMemory& memory) const override {
    return vga_.screen(memory);
  }
  void reset() override;

 private:
  void place_ports();
  IrqLine irq(unsigned number);
  bool takes_external(unsigned cpu) const;

  BoardOptions options_;
  IoBus ports_, device_memory_;
  PortPlan plan_;
  ApicBus apic_bus_;
  std::deque<LocalApic> local_apics_;  // by processor
  LocalApicWindow local_apic_window_;
  IoApic io_apic_;
  PicPair pic_;
  Pit pit_;
  Rtc rtc_;
  Uart uart_;
  KeyboardController keyboard_;
  std::deque<IdeChannel> ide_;
  VgaText vga_;
  FwCfg fw_cfg_;
  PciHost pci_;
  DebugExit debug_exit_;
  AcpiPower acpi_power_;
  DebugConsole debug_console_;
  Scratch scratch_;
};

}  // namespace gnomon::vmm

#endif  // VMM_BOARD_PC_BOARD_H_
