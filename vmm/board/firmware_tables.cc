// SPDX-License-Identifier: Apache-2.0
#include "vmm/board/firmware_tables.h"

#include <vector>

#include "absl/strings/str_format.h"
#include "vmm/board/acpi_tables.h"
#include "vmm/board/memory_map.h"
#include "vmm/board/mp_table.h"
#include "vmm/devices/vga_text.h"

namespace gnomon::vmm {
namespace {

struct Value {
  uint16_t address;
  uint8_t bytes;
  uint32_t value;
};

// BIOS data area (IBM PS/2 BIOS Interface Technical Reference, section 3); what is not here is 0.
constexpr Value kBiosData[] = {
    {0x400, 2, 0x3f8},                // port of COM1
    {0x40e, 2, kExtendedBios >> 4},   // segment of the EBDA
    {0x410, 2, 0x0226},               // 80x25 colour, coprocessor, pointing device, one serial port
    {0x413, 2, kExtendedBios >> 10},  // KiB of base memory
    {0x41a, 2, 0x1e},                 // keyboard buffer: head
    {0x41c, 2, 0x1e},                 // and tail
    {0x449, 1, 3},                    // video mode
    {0x44a, 2, VgaText::kColumns},
    {0x44c, 2, 0x1000},  // bytes of a video page
    {0x460, 2, 0x0d0e},  // shape of the cursor
    {0x463, 2, 0x3d4},   // port of the CRTC
    {0x465, 1, 0x29},    // mode register
    {0x47c, 1, 1},       // time-out of COM1
    {0x480, 2, 0x1e},    // keyboard buffer: start
    {0x482, 2, 0x3e},    // and end
    {0x484, 1, VgaText::kRows - 1},
    {0x485, 2, 16},    // lines of a character
    {0x487, 1, 0x60},  // video memory of 256 KiB
    {0x489, 1, 0x11},
    {0x496, 1, 0x10},  // an enhanced keyboard
};

constexpr uint16_t kDiskCount = 0x475;
constexpr uint64_t kMpPointerInEbda = kExtendedBios + 0x10;  // the EBDA begins with its own size
constexpr uint64_t kMpTable = kFirmware + 0x10;
constexpr uint32_t kAcpiTables = kFirmware + 0x1000;  // behind an MP table of 64 processors
constexpr uint8_t kGreyOnBlack = 0x07;

}  // namespace

absl::Status place_firmware_tables(const BoardOptions& options, uint8_t io_apic_id,
                                   GuestMemory& memory) {
  bool ok = true;
  const auto put = [&](uint64_t address, absl::Span<const uint8_t> bytes) {
    ok = ok && memory.write(Gpa(address), bytes);
  };
  const auto put_number = [&](uint64_t address, unsigned size, uint32_t value) {
    uint8_t bytes[4];
    for (unsigned i = 0; i < 4; ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
    put(address, absl::MakeConstSpan(bytes, size));
  };

  for (const Value& v : kBiosData) put_number(v.address, v.bytes, v.value);
  put_number(kDiskCount, 1, static_cast<uint32_t>(options.disks.size()));
  put_number(kExtendedBios, 1, (kVideoMemory - kExtendedBios) >> 10);

  const std::vector<uint8_t> table = mp_configuration_table(options.cpus, io_apic_id);
  const auto pointer = mp_floating_pointer(static_cast<uint32_t>(kMpTable));
  put(kMpTable, table);
  put(kFirmware, pointer);
  put(kMpPointerInEbda, pointer);
  put(kAcpiTables, acpi_tables(kAcpiTables, options.cpus, io_apic_id));

  std::vector<uint8_t> blank;
  for (unsigned i = 0; i < VgaText::kColumns * VgaText::kRows; ++i) {
    blank.push_back(' ');
    blank.push_back(kGreyOnBlack);
  }
  put(VgaText::kMemory, blank);
  if (ok) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrFormat(
      "the firmware's tables do not fit: the first MiB must be RAM (memory is 0x%x bytes)",
      options.memory_bytes));
}

}  // namespace gnomon::vmm
