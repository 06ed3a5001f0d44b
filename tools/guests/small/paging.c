// SPDX-License-Identifier: Apache-2.0
//
// Two-level paging, one rule a line.
#include "identity.h"
#include "small/guest.h"
#include "user_mode.h"

enum { kPageFault = 14, kBoth = kAccessed | kDirty, kAll = kPresent | kWritable | kUser };
enum { kLargeIndex = (TEST_AREA >> 22) + 1, kStackBytes = 1024 };
#define LARGE_AREA (TEST_AREA + 0x400000u)

static volatile uint32_t frames[3][kTableEntries] __attribute__((aligned(kPageSize)));
static volatile uint32_t second_directory[kTableEntries] __attribute__((aligned(kPageSize)));
static volatile uint32_t second_table[kTableEntries] __attribute__((aligned(kPageSize)));
static uint8_t user_stack[kStackBytes];

static volatile uint32_t* word_at(uintptr_t address) { return (volatile uint32_t*)address; }
static uintptr_t page_at(unsigned page) { return TEST_AREA + page * kPageSize; }

// Maps page `page` of the test area anew.
static uintptr_t map(unsigned page, const volatile void* frame, uint32_t flags) {
  test_table[page] = (uintptr_t)frame | flags;
  invlpg(page_at(page));
  return page_at(page);
}

static bool page_fault(uintptr_t error, uintptr_t address) {
  return saw_fault(kPageFault, error) && seen.address == address;
}

static void check_flags(void) {
  volatile uint32_t* directory_entry = &page_directory[TEST_AREA >> 22];
  *directory_entry &= ~(uint32_t)kBoth;
  write_cr3(read_cr3());
  uintptr_t address = map(0, frames[0], kPresent | kWritable);
  (void)*word_at(address);
  check((test_table[0] & kBoth) == kAccessed, "a read sets accessed, not dirty");
  check((*directory_entry & kAccessed) != 0, "and accessed in the directory");
  *word_at(address) = 1;
  check((test_table[0] & kBoth) == kBoth, "a write sets dirty");
  check((*directory_entry & kDirty) == 0, "but not in the directory");
  map(1, frames[1], kPresent);
  PROVOKE("movl %%eax, (%%eax)", page_at(1));
  check((test_table[1] & kDirty) == 0, "a write that faults does not set dirty");
}

static void check_write_protection(void) {
  uintptr_t address = map(0, frames[0], kPresent);
  PROVOKE("movl %%eax, (%%eax)", address);
  check(page_fault(kFaultPresent | kFaultWrite, address),
        "CR0.WP=1: ring 0 cannot write to a read-only page");
  write_cr0(read_cr0() & ~(uintptr_t)kCr0WriteProtect);
  PROVOKE("movl %%eax, (%%eax)", address);
  check(seen.count == 0 && frames[0][0] == address, "CR0.WP=0: it can");
  check((test_table[0] & kDirty) != 0, "and that sets dirty");
  write_cr0(read_cr0() | kCr0WriteProtect);
  PROVOKE("movl %%eax, (%%eax)", address);
  check(page_fault(kFaultPresent | kFaultWrite, address),
        "CR0.WP=1 again: it cannot, without any flush");
}

static void check_absent(void) {
  PROVOKE("movl (%%eax), %%eax", page_at(7) + 5);
  check(page_fault(0, page_at(7) + 5), "no entry: error code 0 for a read, the address in CR2");
  PROVOKE("movl %%eax, (%%eax)", 0x20000000);
  check(page_fault(kFaultWrite, 0x20000000), "no table: error code 2 for a write");
  map(2, frames[2], kPresent | kWritable);
  frames[2][kTableEntries - 1] = 0x12345678;
  PROVOKE("movl %%eax, (%%eax)", page_at(3) - 2);
  check(page_fault(kFaultWrite, page_at(3)),
        "a write across pages: CR2 has the start of the missing one");
  check(frames[2][kTableEntries - 1] == 0x12345678, "and nothing of it was written");
}

// What the code in ring 3 is to touch; the faults are noted by the handler as usual.
static volatile uintptr_t target;
static void read_target(void) {
  PROVOKE("movl (%%eax), %%eax", target);
  leave_ring3(0);
}
static void write_target(void) {
  PROVOKE("movl %%eax, (%%eax)", target);
  leave_ring3(0);
}

// Runs code in ring 3; the first trap it made is in `first`, the last is the way back.
static Seen first;
static void note_first(TrapFrame* frame) {
  note_and_resume(frame);
  first = seen;
}
static void in_ring3(void (*code)(void), uintptr_t address) {
  target = address;
  first = (Seen){0};
  call_user(code, user_stack + kStackBytes);
}
static bool user_fault(uintptr_t error) {
  return first.count == 1 && first.vector == kPageFault && first.error == error &&
         first.address == target;
}

static void check_user(void) {
  trap_handle(kPageFault, note_first);
  in_ring3(read_target, map(0, frames[0], kPresent | kWritable));
  check(user_fault(kFaultUser | kFaultPresent),
        "ring 3 cannot read a supervisor page: error code 5");
  in_ring3(write_target, map(0, frames[0], kPresent | kUser));
  check(user_fault(kFaultUser | kFaultPresent | kFaultWrite),
        "nor write a read-only one: error code 7");
  in_ring3(read_target, page_at(0));
  check(first.count == 0, "but read it");
  write_cr0(read_cr0() & ~(uintptr_t)kCr0WriteProtect);
  in_ring3(write_target, page_at(0));
  check(user_fault(kFaultUser | kFaultPresent | kFaultWrite), "CR0.WP=0 is for ring 0 only");
  write_cr0(read_cr0() | kCr0WriteProtect);
  in_ring3(write_target, map(0, frames[0], kAll));
  check(first.count == 0 && frames[0][0] == target, "and write one that allows both");

  page_directory[TEST_AREA >> 22] &= ~(uint32_t)kUser;
  write_cr3(read_cr3());
  in_ring3(read_target, page_at(0));
  check(user_fault(kFaultUser | kFaultPresent), "the directory must allow it, too: user");
  page_directory[TEST_AREA >> 22] = (uintptr_t)test_table | kPresent | kUser;
  write_cr3(read_cr3());
  in_ring3(write_target, page_at(0));
  check(user_fault(kFaultUser | kFaultPresent | kFaultWrite), "and writable");
  page_directory[TEST_AREA >> 22] = (uintptr_t)test_table | kAll;
  write_cr3(read_cr3());
  in_ring3(read_target, page_at(7));
  check(user_fault(kFaultUser), "no entry: error code 4");
  trap_handle(kPageFault, note_and_resume);
}

static void check_large(void) {
  // The first 4 MiB once more, as one page: the frames are seen at their distance from 0.
  page_directory[kLargeIndex] = kPresent | kWritable | kLarge;
  frames[1][5] = 0x5555;
  volatile uint32_t* word = word_at(LARGE_AREA + (uintptr_t)&frames[1][5]);
  check(*word == 0x5555, "a 4 MiB page shows what lies there");
  check((page_directory[kLargeIndex] & kBoth) == kAccessed, "its directory entry is accessed");
  *word = 0x6666;
  check(frames[1][5] == 0x6666 && (page_directory[kLargeIndex] & kBoth) == kBoth,
        "and dirty after a write");
  page_directory[kLargeIndex] &= ~(uint32_t)kWritable;
  invlpg(LARGE_AREA);
  PROVOKE("movl %%eax, (%%eax)", LARGE_AREA + 0x234564);
  check(page_fault(kFaultPresent | kFaultWrite, LARGE_AREA + 0x234564),
        "one INVLPG is for all of it");
  page_directory[kLargeIndex] = 0;
  invlpg(LARGE_AREA);
}

static void check_invlpg(void) {
  frames[0][0] = 1;
  frames[1][0] = 2;
  uintptr_t address = map(0, frames[0], kPresent);
  bool good = *word_at(address) == 1;
  test_table[0] = (uintptr_t)frames[1] | kPresent;
  touch(address);
  invlpg(address + 123);
  check(good && *word_at(address) == 2, "INVLPG anywhere in a page makes a changed entry count");
  test_table[0] = 0;
  invlpg(address);
  PROVOKE("movl (%%eax), %%eax", address);
  test_table[0] = (uintptr_t)frames[0] | kPresent;
  check(page_fault(0, address) && *word_at(address) == 1,
        "an entry that was not present counts without it");
}

static void check_directories(void) {
  for (unsigned i = 0; i < kTableEntries; i++) second_directory[i] = page_directory[i];
  second_directory[TEST_AREA >> 22] = (uintptr_t)second_table | kPresent | kWritable;
  frames[0][0] = 1;
  frames[1][0] = 2;
  uintptr_t address = map(0, frames[0], kPresent);
  second_table[0] = (uintptr_t)frames[1] | kPresent;
  bool good = true;
  for (int i = 0; i < 10; i++) {
    write_cr3((uintptr_t)page_directory);
    good = good && *word_at(address) == 1;
    write_cr3((uintptr_t)second_directory);
    good = good && *word_at(address) == 2;
  }
  second_table[0] = (uintptr_t)frames[2] | kPresent;
  frames[2][0] = 3;
  write_cr3((uintptr_t)second_directory);
  good = good && *word_at(address) == 3;
  write_cr3((uintptr_t)page_directory);
  check(good, "each load of CR3 shows the address space it loads");
}

static void check_global(void) {
  if (!(cpuid(1, 0).edx & 1u << 13)) {
    skip("global pages", "the processor has none");
    return;
  }
  write_cr4(read_cr4() | kCr4GlobalPages);
  frames[0][0] = 1;
  frames[1][0] = 2;
  uintptr_t address = map(0, frames[0], kPresent | kGlobal);
  bool good = *word_at(address) == 1;
  test_table[0] = (uintptr_t)frames[1] | kPresent | kGlobal;
  write_cr3(read_cr3());
  touch(address);
  invlpg(address);
  check(good && *word_at(address) == 2, "INVLPG is for global pages, too");
  test_table[0] = (uintptr_t)frames[0] | kPresent | kGlobal;
  write_cr4(read_cr4() & ~(uintptr_t)kCr4GlobalPages);
  check(*word_at(address) == 1, "a change of CR4.PGE flushes them");
}

unsigned guest_main(void) {
  trap_handle(kPageFault, note_and_resume);
  pic_init();  // everything masked: ring 3 runs with interrupts on
  user_mode_init();
  identity_paging_on();
  check_flags();
  check_write_protection();
  check_absent();
  check_user();
  check_large();
  check_invlpg();
  check_directories();
  check_global();
  return finish("paging");
}
