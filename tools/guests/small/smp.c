// SPDX-License-Identifier: Apache-2.0
//
// A second processor: found in the MP tables, started by INIT and SIPI through the local APIC, then
// both count together with locked additions.
#include "common/string.h"
#include "small/guest.h"

// MultiProcessor Specification 1.4, chapter 4.
typedef struct __attribute__((packed)) FloatingPointer {
  char signature[4];  // "_MP_"
  uint32_t table;
  uint8_t length, revision, checksum, features[5];
} FloatingPointer;
typedef struct __attribute__((packed)) ConfigurationTable {
  char signature[4];  // "PCMP"
  uint16_t length;
  uint8_t revision, checksum;
  char maker[20];
  uint32_t oem_table;
  uint16_t oem_size, entries;
  uint32_t local_apic;
  uint16_t extended_length;
  uint8_t extended_checksum, reserved;
} ConfigurationTable;
typedef struct __attribute__((packed)) ProcessorEntry {
  uint8_t type, apic_id, apic_version, flags;
  uint32_t signature, features, reserved[2];
} ProcessorEntry;

enum { kProcessorEntry = 0, kProcessorEntryBytes = 20, kOtherEntryBytes = 8, kMaxEntries = 1024 };
enum { kProcessorUsable = 1, kProcessorBoot = 2 };
enum { kApicCommandLow = 0x300, kApicCommandHigh = 0x310, kApicSpurious = 0xf0 };
enum { kInit = 0x4500, kStartup = 0x4600, kPending = 1 << 12, kApicOn = 1 << 8 | 255 };
enum { kTrampoline = 0x8000, kAdditions = 100000, kPatience = 200000000, kPause = 100000 };

extern const char trampoline_start[], trampoline_end[];  // trampoline.S
void second_main(void);

static volatile uint32_t* apic;
static volatile uint32_t counter, arrived, finished;

static bool signature_is(const char* at, const char* text) {
  for (int i = 0; i < 4; i++) {
    if (at[i] != text[i]) return false;
  }
  return true;
}

static bool sums_to_zero(const uint8_t* bytes, size_t size) {
  uint8_t sum = 0;
  for (size_t i = 0; i < size; i++) sum = (uint8_t)(sum + bytes[i]);
  return sum == 0;
}

static const FloatingPointer* search(uintptr_t start, uintptr_t end) {
  for (uintptr_t at = start; at + sizeof(FloatingPointer) <= end; at += 16) {
    const FloatingPointer* pointer = (const FloatingPointer*)at;
    if (signature_is(pointer->signature, "_MP_") &&
        sums_to_zero((const uint8_t*)pointer, sizeof *pointer)) {
      return pointer;
    }
  }
  return NULL;
}

// The extended BIOS data area (its segment is at 0x40e), the end of base memory, the BIOS.
static const FloatingPointer* find_pointer(void) {
  // Volatile, or the compiler takes so small an address for a mistake.
  volatile uintptr_t segment_at = 0x40e;
  uintptr_t data_area = (uintptr_t) * (const uint16_t*)segment_at << 4;
  const FloatingPointer* found = NULL;
  if (data_area >= 0x80000 && data_area < 0xa0000) found = search(data_area, data_area + 1024);
  if (found == NULL) found = search(0x9fc00, 0xa0000);
  return found != NULL ? found : search(0xf0000, 0x100000);
}

// The APIC's number of a processor that is not running yet; -1 if there is none.
static int find_second(const ConfigurationTable* table) {
  const uint8_t* entry = (const uint8_t*)(table + 1);
  for (unsigned i = 0; i < table->entries && i < kMaxEntries; i++) {
    const ProcessorEntry* processor = (const ProcessorEntry*)entry;
    if (processor->type != kProcessorEntry) {
      entry += kOtherEntryBytes;
      continue;
    }
    if ((processor->flags & kProcessorUsable) && !(processor->flags & kProcessorBoot)) {
      return processor->apic_id;
    }
    entry += kProcessorEntryBytes;
  }
  return -1;
}

static bool wait_for(volatile uint32_t* flag) {
  for (unsigned i = 0; i < kPatience && *flag == 0; i++) __asm__ volatile("pause");
  return *flag != 0;
}

static void pause_a_while(void) {
  for (volatile unsigned i = 0; i < kPause; i++) __asm__ volatile("pause");
}

static void command(uint32_t id, uint32_t what) {
  apic[kApicCommandHigh / 4] = id << 24;
  apic[kApicCommandLow / 4] = what;
  for (unsigned i = 0; i < kPatience && (apic[kApicCommandLow / 4] & kPending); i++) {
  }
}

static void count(void) {
  for (unsigned i = 0; i < kAdditions; i++) {
    __asm__ volatile("lock; addl $1, %0" : "+m"(counter) : : "memory", "cc");
  }
}

// The second processor comes here from the trampoline, with a stack and flat segments.
void second_main(void) {
  arrived = 1;
  count();
  finished = 1;
  for (;;) __asm__ volatile("cli; hlt");
}

unsigned guest_main(void) {
  const FloatingPointer* pointer = find_pointer();
  const ConfigurationTable* table =
      pointer != NULL ? (const ConfigurationTable*)(uintptr_t)pointer->table : NULL;
  if (table == NULL || !signature_is(table->signature, "PCMP")) {
    skip("second processor", "no MP tables");
    return finish("smp");
  }
  check(sums_to_zero((const uint8_t*)table, table->length),
        "the checksum of the MP table is right");
  int second = find_second(table);
  if (second < 0) {
    skip("second processor", "the MP table has one only");
    return finish("smp");
  }
  apic = (volatile uint32_t*)(uintptr_t)table->local_apic;
  apic[kApicSpurious / 4] = kApicOn;
  memcpy((void*)kTrampoline, trampoline_start, (size_t)(trampoline_end - trampoline_start));

  command((uint32_t)second, kInit);
  pause_a_while();
  command((uint32_t)second, kStartup | kTrampoline >> 12);
  pause_a_while();
  if (!arrived) command((uint32_t)second, kStartup | kTrampoline >> 12);
  if (!check(wait_for(&arrived), "the second processor starts")) return finish("smp");
  count();
  check(wait_for(&finished), "and finishes its work");
  print("smp: %u\n", counter);
  check(counter == 2 * kAdditions, "locked additions of both are all there");
  return finish("smp");
}
