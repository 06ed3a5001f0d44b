// SPDX-License-Identifier: Apache-2.0
#include "vmm/board/pc_board.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "vmm/board/firmware_tables.h"
#include "vmm/board/memory_map.h"

namespace gnomon::vmm {
namespace {

// The ID register has four bits; with more processors it shares a number with one of them, which
// only matters to chips with an APIC bus of their own.
uint8_t io_apic_id(unsigned cpus) { return static_cast<uint8_t>(cpus < 16 ? cpus : 0); }

struct ChannelPorts {
  uint16_t command, control;
  uint8_t irq;
};
constexpr ChannelPorts kChannels[] = {{0x1f0, 0x3f6, 14}, {0x170, 0x376, 15}};

}  // namespace

PcBoard::PcBoard(const BoardOptions& options, std::vector<std::unique_ptr<DiskImage>> disks,
                 Clock& clock, MachineControl& control)
    : options_(options),
      apic_bus_(control),
      local_apic_window_(local_apics_),
      io_apic_(apic_bus_, io_apic_id(options.cpus)),
      pic_([this](bool high) { local_apics_.front().set_lint0(high); }),
      pit_(clock, irq(0)),
      rtc_(clock,
           {options.clock_seconds, options.memory_bytes, static_cast<unsigned>(disks.size())},
           irq(8)),
      uart_(options.console_output, irq(4)),
      keyboard_(irq(1), [&control] { control.request_reset(); }),
      fw_cfg_(options, pc_memory_map(options.memory_bytes)),
      pci_([&control] { control.request_reset(); }),
      debug_exit_(control),
      acpi_power_(clock, control),
      debug_console_(options.console_output) {
  for (unsigned cpu = 0; cpu < options.cpus; ++cpu) {
    local_apics_.emplace_back(cpu, clock, apic_bus_);
    apic_bus_.attach(local_apics_.back());
  }
  apic_bus_.attach(io_apic_);
  for (const ChannelPorts& channel : kChannels) ide_.emplace_back(irq(channel.irq));
  for (unsigned i = 0; i < disks.size(); ++i) {
    ide_[i / 2].attach(i % 2, std::make_unique<IdeDrive>(std::move(disks[i]), i));
  }
  place_ports();
  // These cannot overlap.
  (void)device_memory_.add(IoApic::kBase, IoApic::kBytes, io_apic_);
  (void)device_memory_.add(LocalApicWindow::kBase, LocalApicWindow::kBytes, local_apic_window_);
}

IrqLine PcBoard::irq(unsigned number) {
  return [this, number](bool high) {
    pic_.set_irq(number, high);
    io_apic_.set_pin(number == 0 ? 2 : number, high);
  };
}

void PcBoard::place_ports() {
  plan_.add_basics(ports_, pic_, pit_, uart_, debug_exit_);
  plan_.add(ports_, 0x60, 1, keyboard_);
  plan_.add(ports_, 0x64, 1, keyboard_);
  plan_.add(ports_, 0x92, 1, keyboard_);
  plan_.add(ports_, 0x70, 2, rtc_);
  plan_.add(ports_, Scratch::kPort, Scratch::kPorts, scratch_);
  plan_.add(ports_, DebugConsole::kPort, DebugConsole::kPorts, debug_console_);
  for (unsigned i = 0; i < 2; ++i) {
    IoHandler& command = ide_[i];
    PortDevice& device_control = ide_[i];
    plan_.add(ports_, kChannels[i].command, 8, command);
    plan_.add(ports_, kChannels[i].control, 1, device_control);
  }
  plan_.add(ports_, 0x3b4, 2, vga_);
  plan_.add(ports_, 0x3ba, 1, vga_);
  plan_.add(ports_, 0x3c0, 16, vga_);
  plan_.add(ports_, 0x3d4, 2, vga_);
  plan_.add(ports_, 0x3da, 1, vga_);
  plan_.add(ports_, 0x510, 2, fw_cfg_);
  plan_.add(ports_, AcpiPower::kPort, AcpiPower::kPorts, acpi_power_);
  plan_.add(ports_, 0xcf8, 8, pci_);
}

std::vector<MemoryRange> PcBoard::memory_map() const {
  return pc_memory_map(options_.memory_bytes);
}

absl::Status PcBoard::place_tables(GuestMemory& memory) {
  return place_firmware_tables(options_, io_apic_id(options_.cpus), memory);
}

// The PIC is wired to the first processor: through LINT0 of its local APIC, or directly when that
// is switched off.
bool PcBoard::takes_external(unsigned cpu) const {
  if (cpu != 0 || !pic_.intr()) return false;
  const LocalApic& apic = local_apics_.front();
  return !apic.hardware_enabled() || apic.passes_external();
}

bool PcBoard::interrupt_pending(unsigned cpu) const {
  return local_apics_[cpu].interrupt_pending() || takes_external(cpu);
}

std::optional<uint8_t> PcBoard::acknowledge_interrupt(unsigned cpu) {
  if (const auto vector = local_apics_[cpu].acknowledge()) return vector;
  if (takes_external(cpu)) return pic_.acknowledge();
  return std::nullopt;
}

void PcBoard::set_task_priority(unsigned cpu, uint8_t cr8) {
  local_apics_[cpu].set_task_priority(static_cast<uint8_t>(cr8 << 4));
}
uint8_t PcBoard::task_priority(unsigned cpu) const {
  return local_apics_[cpu].task_priority() >> 4;
}
uint64_t PcBoard::apic_base(unsigned cpu) const { return local_apics_[cpu].base(); }
bool PcBoard::set_apic_base(unsigned cpu, uint64_t value) {
  return local_apics_[cpu].set_base(value);
}

// First what is so from the start on, so that what is added later comes behind it.
std::vector<std::string> PcBoard::notes() const {
  std::vector<std::string> all, later;
  for (unsigned i = 0; i < 4; ++i) {
    const IdeDrive* drive = ide_[i / 2].drive(i % 2);
    if (drive == nullptr) continue;
    const DiskImage& image = drive->image();
    if (image.padding_bytes() != 0) {
      all.push_back(absl::StrFormat(
          "disk image %s: its size is not a multiple of 512; %d zero bytes fill the last sector",
          image.path(), image.padding_bytes()));
    }
    if (!drive->trouble().empty()) later.push_back(drive->trouble());
  }
  all.insert(all.end(), later.begin(), later.end());
  return all;
}

void PcBoard::reset() {
  for (unsigned cpu = 0; cpu < local_apics_.size(); ++cpu) local_apics_[cpu].reset(cpu == 0);
  io_apic_.reset();
  pic_.reset();
  pit_.reset();
  rtc_.reset();
  uart_.reset();
  keyboard_.reset();
  for (IdeChannel& channel : ide_) channel.reset();
  vga_.reset();
  fw_cfg_.reset();
  pci_.reset();
  acpi_power_.reset();
  scratch_.reset();
}

namespace {

absl::StatusOr<std::unique_ptr<Board>> create(const BoardOptions& options, Clock& clock,
                                              MachineControl& control) {
  std::vector<std::unique_ptr<DiskImage>> disks;
  for (const std::string& path : options.disks) {
    auto disk = DiskImage::open(path, options.write_disks);
    if (!disk.ok()) return disk.status();
    disks.push_back(*std::move(disk));
  }
  return std::make_unique<PcBoard>(options, std::move(disks), clock, control);
}

}  // namespace

const BoardInfo kPcBoard{"pc", "a PC with IDE disks, text screen and one or more processors",
                         create};

}  // namespace gnomon::vmm
