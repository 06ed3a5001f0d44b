// SPDX-License-Identifier: Apache-2.0
//
// The second half of the boot sector: an ELF kernel, from the sectors behind the first, to where its program headers want
// it. Sectors are read by programmed I/O from the first IDE drive.
#include <stdint.h>

#include "common/io.h"
#include "common/multiboot.h"

enum { kSectorBytes = 512, kHeaderSectors = 8 };
enum { kDataPort = 0x1f0, kCountPort = 0x1f2, kPlacePort = 0x1f3, kStatusPort = 0x1f7 };
enum { kBusy = 0x80, kDataReady = 0x08, kReadSectors = 0x20 };
enum { kByBlockNumber = 0xe0 };  // drive 0
enum { kSerialPort = 0x3f8 };
enum { kElfMagic = 0x464c457f, kLoad = 1 };

typedef struct ElfHeader {
  uint32_t magic;
  uint8_t unused[20];
  uint32_t entry;
  uint32_t segments;  // offset in the file
  uint8_t unused_too[12];
  uint16_t segment_count;
} ElfHeader;

typedef struct Segment {
  uint32_t type, offset, virtual, physical, file_bytes, memory_bytes, flags, alignment;
} Segment;

// Below the boot sector (sector.ld): what the BIOS said of memory, and what the kernel is told.
extern uint16_t memory_low, memory_high;
extern MultibootInfo boot_information;
// Above: the first sectors of the file, and a sector of it to copy from.
#define HEADER ((const ElfHeader*)0x10000)
#define SECTOR ((uint8_t*)0x20000)

uint32_t load_kernel(void);

// To the serial port, which is as it was at power-on: good enough for one letter.
static _Noreturn void give_up(char why) {
  out8(kSerialPort, (uint8_t)why);
  for (;;) __asm__ volatile("hlt");
}

static __attribute__((noinline)) void read_sector(uint32_t place, void* to) {
  out8(kCountPort, 1);
  for (uint16_t port = kPlacePort; port < kPlacePort + 3; ++port, place >>= 8) {
    out8(port, (uint8_t)place);
  }
  out8(kPlacePort + 3, kByBlockNumber);
  out8(kStatusPort, kReadSectors);
  uint8_t status;
  do status = in8(kStatusPort);
  while (status & kBusy);
  if (!(status & kDataReady)) give_up('D');
  uint32_t words = kSectorBytes / 2;
  __asm__ volatile("rep insw" : "+D"(to), "+c"(words) : "d"(kDataPort) : "memory");
}

static void load_segment(const Segment* s) {
  uint8_t* to = (uint8_t*)s->physical;
  uint32_t at = s->offset;
  uint32_t left = s->file_bytes;
  while (left != 0) {
    read_sector(1 + at / kSectorBytes, SECTOR);
    uint32_t skip = at % kSectorBytes;
    uint32_t piece = kSectorBytes - skip;
    if (piece > left) piece = left;
    at += piece;
    left -= piece;
    const uint8_t* from = SECTOR + skip;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(piece) : : "memory");
  }
  uint32_t zeros = s->memory_bytes - s->file_bytes;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(zeros) : "a"(0) : "memory");
}

uint32_t load_kernel(void) {
  for (uint32_t i = 0; i < kHeaderSectors; ++i) {
    read_sector(1 + i, (uint8_t*)HEADER + i * kSectorBytes);
  }
  if (HEADER->magic != kElfMagic) give_up('K');
  const Segment* s = (const Segment*)((const uint8_t*)HEADER + HEADER->segments);
  for (unsigned n = HEADER->segment_count; n != 0; --n, ++s) {
    if (s->type == kLoad) load_segment(s);
  }
  boot_information.flags = kMultibootMemory;
  boot_information.upper_kib = memory_low + memory_high * 64u;
  return HEADER->entry;
}
