// SPDX-License-Identifier: Apache-2.0
//
// A page directory with an entry for itself: its last 4 MiB of addresses are all page tables of the
// address space, and the very last page is the directory. Entries are read and changed through that
// window.
#include "identity.h"
#include "small/guest.h"

enum { kSelf = 1023, kFirst = 3, kSecond = 4, kNewTable = 65 };
#define WINDOW ((volatile uint32_t*)0xffc00000u)
#define DIRECTORY ((volatile uint32_t*)0xfffff000u)

static volatile uint32_t frames[2][kTableEntries] __attribute__((aligned(kPageSize)));
static volatile uint32_t new_table[kTableEntries] __attribute__((aligned(kPageSize)));

static volatile uint32_t* word_at(uintptr_t address) { return (volatile uint32_t*)address; }
static uintptr_t page_at(unsigned page) { return TEST_AREA + page * kPageSize; }
static volatile uint32_t* entry_of(uintptr_t address) { return WINDOW + address / kPageSize; }

static void check_reading(void) {
  bool same = true;
  for (unsigned i = 0; i < kTableEntries; i++) {
    // Bits that the processor sets may come between the two reads.
    same = same && (DIRECTORY[i] | kAccessed | kDirty) == (page_directory[i] | kAccessed | kDirty);
    same = same && (WINDOW[i] | kAccessed | kDirty) == (low_table[i] | kAccessed | kDirty);
  }
  check(same, "directory and first table read the same through the window");
  check((DIRECTORY[kSelf] & ~0xfffu) == (uintptr_t)page_directory,
        "the last entry leads to the directory");
  check((page_directory[kSelf] & kAccessed) != 0, "the entry for itself is accessed");
}

static void check_flags(void) {
  uintptr_t address = page_at(kFirst);
  *entry_of(address) = (uintptr_t)frames[0] | kPresent | kWritable;
  uint32_t fresh = *entry_of(address);
  (void)*word_at(address);
  uint32_t after_read = *entry_of(address);
  *word_at(address) = 1;
  uint32_t after_write = *entry_of(address);
  check((fresh & (kAccessed | kDirty)) == 0, "a new entry is neither accessed nor dirty");
  check((after_read & (kAccessed | kDirty)) == kAccessed, "a read sets accessed only");
  check((after_write & (kAccessed | kDirty)) == (kAccessed | kDirty), "a write sets dirty");
  check(test_table[kFirst] == after_write, "the table itself reads the same");

  *entry_of(address) &= ~(uint32_t)(kAccessed | kDirty);
  invlpg(address);
  check((test_table[kFirst] & (kAccessed | kDirty)) == 0, "both cleared through the window");
  (void)*word_at(address);
  check((*entry_of(address) & (kAccessed | kDirty)) == kAccessed,
        "accessed again after INVLPG and a read");
  *word_at(address) = 2;
  check((*entry_of(address) & kDirty) != 0, "dirty again after a write");
}

static void check_changes(void) {
  uintptr_t address = page_at(kSecond);
  frames[0][0] = 0x1111;
  frames[1][0] = 0x2222;
  *entry_of(address) = (uintptr_t)frames[0] | kPresent;
  check(*word_at(address) == 0x1111, "a mapping made through the window");
  *entry_of(address) = (uintptr_t)frames[1] | kPresent;
  invlpg(address);
  check(*word_at(address) == 0x2222, "another frame, after INVLPG");
  *entry_of(address) = 0;
  invlpg(address);
  PROVOKE("movl (%%eax), %%eax", address);
  check(saw_fault(14, 0) && seen.address == address, "no mapping any more");
}

static void check_new_table(void) {
  uintptr_t address = (uintptr_t)kNewTable << 22;
  DIRECTORY[kNewTable] = (uintptr_t)new_table | kPresent | kWritable;
  check((page_directory[kSelf] & kDirty) != 0,
        "a write to the directory makes its own entry dirty");
  // The new table's page in the window was not present, so no flush is needed.
  *entry_of(address) = (uintptr_t)frames[0] | kPresent | kWritable;
  check(new_table[0] == ((uintptr_t)frames[0] | kPresent | kWritable),
        "an entry written to a new table");
  *word_at(address + 8) = 0x3333;
  check(frames[0][2] == 0x3333, "a page below the new table");

  DIRECTORY[kNewTable] = 0;
  invlpg(address);
  invlpg((uintptr_t)entry_of(address));
  PROVOKE("movl (%%eax), %%eax", address);
  check(saw_fault(14, 0), "the table taken away: its pages are gone");
  PROVOKE("movl (%%eax), %%eax", (uintptr_t)entry_of(address));
  check(saw_fault(14, 0), "and so is its place in the window");
}

// The directory moves: the same window must show the new one.
static void check_second_directory(void) {
  static volatile uint32_t second[kTableEntries] __attribute__((aligned(kPageSize)));
  for (unsigned i = 0; i < kTableEntries; i++) second[i] = page_directory[i];
  second[kSelf] = (uintptr_t)second | kPresent | kWritable;
  second[kNewTable] = (uintptr_t)new_table | kPresent | kWritable;
  write_cr3((uintptr_t)second);
  bool good = (DIRECTORY[kSelf] & ~0xfffu) == (uintptr_t)second;
  good = good && *word_at(((uintptr_t)kNewTable << 22) + 8) == 0x3333;
  write_cr3((uintptr_t)page_directory);
  check(good, "after a load of CR3 the window shows the other directory");
  check((DIRECTORY[kSelf] & ~0xfffu) == (uintptr_t)page_directory && DIRECTORY[kNewTable] == 0,
        "and the first one after the next");
}

unsigned guest_main(void) {
  trap_handle(14, note_and_resume);
  page_directory[kSelf] = (uintptr_t)page_directory | kPresent | kWritable;
  identity_paging_on();
  check_reading();
  check_flags();
  check_changes();
  check_new_table();
  check_second_directory();
  return finish("selfmap");
}
