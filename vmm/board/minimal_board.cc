// SPDX-License-Identifier: Apache-2.0
#include "vmm/board/board_info.h"
#include "vmm/board/memory_map.h"
#include "vmm/devices/pic.h"
#include "vmm/devices/pit.h"
#include "vmm/devices/simple_ports.h"
#include "vmm/devices/uart.h"

namespace gnomon::vmm {
namespace {

class MinimalBoard : public Board {
 public:
  MinimalBoard(const BoardOptions& options, Clock& clock, MachineControl& control)
      : memory_bytes_(options.memory_bytes),
        pic_([](bool) {}),
        pit_(clock, [this](bool high) { pic_.set_irq(0, high); }),
        uart_(options.console_output, [this](bool high) { pic_.set_irq(4, high); }),
        debug_exit_(control) {
    plan_.add_basics(ports_, pic_, pit_, uart_, debug_exit_);
  }

  absl::string_view name() const override { return kMinimalBoard.name; }
  IoBus& ports() override { return ports_; }
  IoBus& device_memory() override { return device_memory_; }
  std::vector<MemoryRange> memory_map() const override { return plain_memory_map(memory_bytes_); }
  absl::Status place_tables(GuestMemory&) override { return absl::OkStatus(); }

  bool interrupt_pending(unsigned cpu) const override { return cpu == 0 && pic_.intr(); }
  std::optional<uint8_t> acknowledge_interrupt(unsigned cpu) override {
    if (!interrupt_pending(cpu)) return std::nullopt;
    return pic_.acknowledge();
  }
  void set_task_priority(unsigned, uint8_t) override {}
  uint8_t task_priority(unsigned) const override { return 0; }
  uint64_t apic_base(unsigned) const override { return 0; }
  bool set_apic_base(unsigned, uint64_t) override { return false; }

  size_t console_input(absl::string_view bytes) override { return uart_.receive(bytes); }
  std::vector<std::string> text_screen(const GuestMemory&) const override { return {}; }
  void reset() override {
    pic_.reset();
    pit_.reset();
    uart_.reset();
  }

 private:
  uint64_t memory_bytes_;
  IoBus ports_, device_memory_;
  PortPlan plan_;
  PicPair pic_;
  Pit pit_;
  Uart uart_;
  DebugExit debug_exit_;
};

absl::StatusOr<std::unique_ptr<Board>> create(const BoardOptions& options, Clock& clock,
                                              MachineControl& control) {
  if (options.cpus != 1) {
    return absl::InvalidArgumentError("the board minimal has one processor");
  }
  if (!options.disks.empty()) {
    return absl::InvalidArgumentError("the board minimal has no disks");
  }
  return std::make_unique<MinimalBoard>(options, clock, control);
}

}  // namespace

const BoardInfo kMinimalBoard{"minimal", "serial port, timer and interrupt controller", create};

}  // namespace gnomon::vmm
