// SPDX-License-Identifier: Apache-2.0
#include "vmm/board/mp_table.h"

#include <algorithm>

#include "absl/types/span.h"
#include "vmm/board/table_bytes.h"
#include "vmm/devices/io_apic.h"

namespace gnomon::vmm {
namespace {

using Bytes = TableBytes;

enum EntryType : uint8_t { kProcessor, kBus, kIoApic, kIoInterrupt, kLocalInterrupt };
enum InterruptType : uint8_t { kInt = 0, kNmi = 1, kExtInt = 3 };

constexpr uint64_t kLocalApicAddress = 0xfee0'0000;
constexpr uint8_t kLocalApicVersion = 0x14, kIoApicVersion = 0x11;
constexpr uint32_t kSignature = 0x611;       // family 6; informative
constexpr uint32_t kFeatures = 0x0000'0201;  // FPU and APIC on the chip
constexpr uint8_t kIsaBus = 0;
constexpr uint8_t kAllApics = 0xff;

void put_interrupt(Bytes& table, EntryType entry, InterruptType type, uint8_t irq, uint8_t apic,
                   uint8_t pin) {
  put(table, entry, 1);
  put(table, type, 1);
  put(table, 0, 2);  // polarity and trigger mode of the bus
  put(table, kIsaBus, 1);
  put(table, irq, 1);
  put(table, apic, 1);
  put(table, pin, 1);
}

}  // namespace

Bytes mp_configuration_table(unsigned cpus, uint8_t io_apic_id) {
  Bytes table;
  put_text(table, "PCMP", 4);
  put(table, 0, 2);  // length, below
  put(table, 4, 1);  // specification 1.4
  put(table, 0, 1);  // checksum, below
  put_text(table, "GNOMON", 8);
  put_text(table, "PC", 12);
  put(table, 0, 4);  // no OEM table
  put(table, 0, 2);
  put(table, 0, 2);  // number of entries, below
  put(table, kLocalApicAddress, 4);
  put(table, 0, 4);  // no extended table

  uint16_t entries = 0;
  for (unsigned cpu = 0; cpu < cpus; ++cpu, ++entries) {
    put(table, kProcessor, 1);
    put(table, cpu, 1);
    put(table, kLocalApicVersion, 1);
    put(table, cpu == 0 ? 3 : 1, 1);  // enabled; the first one boots
    put(table, kSignature, 4);
    put(table, kFeatures, 4);
    put(table, 0, 8);
  }
  put(table, kBus, 1);
  put(table, kIsaBus, 1);
  put_text(table, "ISA", 6);
  ++entries;
  put(table, kIoApic, 1);
  put(table, io_apic_id, 1);
  put(table, kIoApicVersion, 1);
  put(table, 1, 1);  // usable
  put(table, IoApic::kBase, 4);
  ++entries;
  for (uint8_t irq = 0; irq < 16; ++irq) {
    if (irq == 2) continue;  // the cascade
    put_interrupt(table, kIoInterrupt, kInt, irq, io_apic_id, irq == 0 ? 2 : irq);
    ++entries;
  }
  put_interrupt(table, kLocalInterrupt, kExtInt, 0, 0, 0);
  put_interrupt(table, kLocalInterrupt, kNmi, 0, kAllApics, 1);
  entries = static_cast<uint16_t>(entries + 2);

  table[4] = static_cast<uint8_t>(table.size());
  table[5] = static_cast<uint8_t>(table.size() >> 8);
  table[34] = static_cast<uint8_t>(entries);
  table[35] = static_cast<uint8_t>(entries >> 8);
  set_checksum(absl::MakeSpan(table), 7);
  return table;
}

std::array<uint8_t, 16> mp_floating_pointer(uint32_t table_address) {
  Bytes bytes;
  put_text(bytes, "_MP_", 4);
  put(bytes, table_address, 4);
  put(bytes, 1, 1);  // paragraphs
  put(bytes, 4, 1);  // specification 1.4
  put(bytes, 0, 1);  // checksum, below
  put(bytes, 0, 5);  // a table is there; no IMCR: virtual wire mode
  std::array<uint8_t, 16> pointer{};
  std::copy(bytes.begin(), bytes.end(), pointer.begin());
  set_checksum(absl::MakeSpan(pointer), 10);
  return pointer;
}

}  // namespace gnomon::vmm
