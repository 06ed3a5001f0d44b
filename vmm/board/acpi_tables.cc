// SPDX-License-Identifier: Apache-2.0
#include "vmm/board/acpi_tables.h"

#include <algorithm>

#include "vmm/board/table_bytes.h"
#include "vmm/devices/acpi_power.h"
#include "vmm/devices/io_apic.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kLocalApic = 0xfee0'0000;
constexpr uint8_t kSystemInterrupt = 9;
constexpr uint16_t kResetPort = 0xcf9;
constexpr uint8_t kResetValue = 6;
constexpr size_t kRootPointerBytes = 36, kFacsBytes = 64;
constexpr size_t kLengthAt = 4, kChecksumAt = 9;

// Every table begins with this; the length and the checksum come at the end.
TableBytes begin(absl::string_view signature, uint8_t revision) {
  TableBytes t;
  put_text(t, signature, 4);
  put(t, 0, 4);
  put(t, revision, 1);
  put(t, 0, 1);
  put_text(t, "GNOMON", 6);
  put_text(t, "PC", 8);
  put(t, 1, 4);
  put_text(t, "GNOM", 4);
  put(t, 1, 4);
  return t;
}

TableBytes finished(TableBytes t) {
  set(t, kLengthAt, t.size(), 4);
  set_checksum(absl::MakeSpan(t), kChecksumAt);
  return t;
}

// A generic address in port space; `access`: log2 of the bytes of an access, plus 1.
void set_port(TableBytes& t, size_t at, uint16_t port, unsigned bits, unsigned access) {
  set(t, at, 1, 1);
  set(t, at + 1, bits, 1);
  set(t, at + 3, access, 1);
  set(t, at + 4, port, 8);
}

// Fixed description: where the fixed registers are. What is not set is not there.
TableBytes fixed_description(uint32_t facs, uint32_t dsdt) {
  constexpr uint16_t kEvents = AcpiPower::kPort + AcpiPower::kEvent;
  constexpr uint16_t kControl = AcpiPower::kPort + AcpiPower::kControl;
  constexpr uint16_t kTimer = AcpiPower::kPort + AcpiPower::kTimer;
  // WBINVD works, C1 is there, no fixed buttons, 32 bits of timer, reset register.
  constexpr uint32_t kFlags = 1u << 0 | 1u << 2 | 1u << 4 | 1u << 5 | 1u << 8 | 1u << 10;
  TableBytes t = begin("FACP", 3);
  t.resize(244);
  set(t, 36, facs, 4);
  set(t, 40, dsdt, 4);
  set(t, 45, 1, 1);  // a desktop
  set(t, 46, kSystemInterrupt, 2);
  set(t, 56, kEvents, 4);
  set(t, 64, kControl, 4);
  set(t, 76, kTimer, 4);
  set(t, 88, 4, 1);
  set(t, 89, 2, 1);
  set(t, 91, 4, 1);
  set(t, 96, 0x0fff, 2);   // too long: no C2
  set(t, 98, 0x0fff, 2);   // nor C3
  set(t, 108, 0x32, 1);    // the century, in CMOS memory
  set(t, 109, 0x0003, 2);  // ISA devices and a keyboard controller
  set(t, 112, kFlags, 4);
  set_port(t, 116, kResetPort, 8, 1);
  set(t, 128, kResetValue, 1);
  set(t, 140, dsdt, 8);
  set_port(t, 148, kEvents, 32, 2);
  set_port(t, 172, kControl, 16, 2);
  set_port(t, 208, kTimer, 32, 3);
  return finished(t);
}

void put_override(TableBytes& t, uint8_t irq, uint32_t pin, uint16_t flags) {
  put(t, 2, 1), put(t, 10, 1), put(t, 0, 1);
  put(t, irq, 1), put(t, pin, 4), put(t, flags, 2);
}

// Multiple APIC description.
TableBytes interrupt_controllers(unsigned cpus, uint8_t io_apic_id) {
  constexpr uint16_t kLevelActiveHigh = 0x000d;
  TableBytes t = begin("APIC", 3);
  put(t, kLocalApic, 4);
  put(t, 1, 4);  // there are two 8259s, too
  for (unsigned cpu = 0; cpu < cpus; ++cpu) {
    put(t, 0, 1), put(t, 8, 1), put(t, cpu, 1), put(t, cpu, 1), put(t, 1, 4);
  }
  put(t, 1, 1), put(t, 12, 1), put(t, io_apic_id, 1), put(t, 0, 1);
  put(t, IoApic::kBase, 4), put(t, 0, 4);
  put_override(t, 0, 2, 0);
  put_override(t, kSystemInterrupt, kSystemInterrupt, kLevelActiveHigh);
  put(t, 4, 1), put(t, 6, 1), put(t, 0xff, 1), put(t, 0, 2), put(t, 1, 1);  // all: NMI at LINT1
  return finished(t);
}

// Name (_S5, Package (4) {0, 0, 0, 0}): sleep type 0 powers off.
TableBytes differentiated_description() {
  TableBytes t = begin("DSDT", 2);
  put(t, 0x08, 1);
  put_text(t, "_S5_", 4);
  put(t, 0x12, 1), put(t, 6, 1), put(t, 4, 1), put(t, 0, 4);
  return finished(t);
}

TableBytes root_table(absl::string_view signature, unsigned pointer_bytes, uint32_t fadt,
                      uint32_t madt) {
  TableBytes t = begin(signature, 1);
  put(t, fadt, pointer_bytes);
  put(t, madt, pointer_bytes);
  return finished(t);
}

TableBytes root_pointer(uint32_t rsdt, uint32_t xsdt) {
  TableBytes t;
  put_text(t, "RSD PTR ", 8);
  put(t, 0, 1);  // checksum of the first 20 bytes
  put_text(t, "GNOMON", 6);
  put(t, 2, 1);
  put(t, rsdt, 4);
  put(t, kRootPointerBytes, 4);
  put(t, xsdt, 8);
  put(t, 0, 4);  // checksum of all
  set_checksum(absl::MakeSpan(t).first(20), 8);
  set_checksum(absl::MakeSpan(t), 32);
  return t;
}

TableBytes firmware_control() {
  TableBytes t;
  put_text(t, "FACS", 4);
  put(t, kFacsBytes, 4);
  t.resize(kFacsBytes);
  set(t, 32, 2, 1);
  return t;
}

}  // namespace

TableBytes acpi_tables(uint32_t base, unsigned cpus, uint8_t io_apic_id) {
  constexpr uint32_t kFacs = 0x40, kRest = kFacs + kFacsBytes;
  TableBytes all(kRest);
  const auto place = [&](const TableBytes& table) {
    all.resize((all.size() + 15) & ~size_t{15});
    const auto at = static_cast<uint32_t>(base + all.size());
    all.insert(all.end(), table.begin(), table.end());
    return at;
  };
  const uint32_t dsdt = place(differentiated_description());
  const uint32_t fadt = place(fixed_description(base + kFacs, dsdt));
  const uint32_t madt = place(interrupt_controllers(cpus, io_apic_id));
  const uint32_t rsdt = place(root_table("RSDT", 4, fadt, madt));
  const uint32_t xsdt = place(root_table("XSDT", 8, fadt, madt));
  const TableBytes facs = firmware_control(), pointer = root_pointer(rsdt, xsdt);
  std::copy(facs.begin(), facs.end(), all.begin() + kFacs);
  std::copy(pointer.begin(), pointer.end(), all.begin());
  return all;
}

}  // namespace gnomon::vmm
