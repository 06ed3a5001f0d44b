// SPDX-License-Identifier: Apache-2.0
//
// Four-level paging, one rule a line: what two-level paging (paging.c) does not have.
#include "small/guest.h"

typedef volatile uint64_t Table[512];

enum {
  kPageFault = 14,
  kAll = kPresent | kWritable | kUser,
  kRet = 0xc3,
  kLevels = 4,
  kBoth = kAccessed | kDirty
};
enum {
  kLargeEntry = 1,
  kCpuidGibibytePages = 1 << 26,
  kCpuidNoExecute = 1 << 20,
  kCpuidPcid = 1 << 17
};
enum { kPcid1 = 1, kPcid2 = 2, kInvpcidAddress = 0, kInvpcidContext = 1, kInvpcidAll = 2 };

// Root entry 1: a tree of our own, one table a level. Page 0 of it is at TEST_AREA.
#define TEST_AREA 0x0000008000000000u
#define LARGE_AREA (TEST_AREA + 0x200000u)
#define GIBIBYTE_AREA (TEST_AREA + 0x40000000u)
#define NO_FLUSH (UINT64_C(1) << 63)

static Table pointers __attribute__((aligned(kPageSize)));
static Table directory __attribute__((aligned(kPageSize)));
static Table pages __attribute__((aligned(kPageSize)));
static Table second_root __attribute__((aligned(kPageSize)));
static Table second_pointers __attribute__((aligned(kPageSize)));
static Table second_directory __attribute__((aligned(kPageSize)));
static Table second_pages __attribute__((aligned(kPageSize)));
static Table frames[2] __attribute__((aligned(kPageSize)));
static volatile uint64_t* root;

static volatile uint64_t* word_at(uintptr_t address) { return (volatile uint64_t*)address; }

static uintptr_t map(const volatile void* frame, uint64_t flags) {
  pages[0] = (uintptr_t)frame | flags;
  invlpg(TEST_AREA);
  return TEST_AREA;
}

static bool page_fault(uintptr_t error, uintptr_t address) {
  return seen.count == 1 && seen.vector == kPageFault && seen.error == error &&
         seen.address == address;
}

static void flush(void) { write_cr3(read_cr3()); }

static void check_levels(void) {
  volatile uint64_t* entries[kLevels] = {&root[1], &pointers[0], &directory[0], &pages[0]};
  uintptr_t address = map(frames[0], kPresent | kWritable);
  for (int i = 0; i < kLevels; i++) *entries[i] &= ~(uint64_t)kBoth;
  flush();
  (void)*word_at(address);
  bool accessed = true, clean = true;
  for (int i = 0; i < kLevels; i++) {
    accessed = accessed && (*entries[i] & kAccessed);
    clean = clean && !(*entries[i] & kDirty);
  }
  check(accessed && clean, "a read sets accessed on all four levels and dirty on none");
  *word_at(address) = 1;
  check((pages[0] & kDirty) && !((root[1] | pointers[0] | directory[0]) & kDirty),
        "a write sets dirty on the last one only");

  static const char* const names[kLevels] = {"level 4", "level 3", "level 2", "level 1"};
  for (int i = 0; i < kLevels; i++) {
    *entries[i] &= ~(uint64_t)kWritable;
    flush();
    PROVOKE("movq %%rax, (%%rax)", address);
    *entries[i] |= kWritable;
    flush();
    check_of(page_fault(kFaultPresent | kFaultWrite, address), names[i],
             "read-only there is read-only");
    uint64_t kept = *entries[i];
    *entries[i] = 0;
    flush();
    PROVOKE("movq (%%rax), %%rax", address + 8);
    *entries[i] = kept;
    check_of(page_fault(0, address + 8), names[i], "not present there is not present");
  }
}

static void check_no_execute(void) {
  if (!(cpuid(0x80000001, 0).edx & kCpuidNoExecute)) {
    skip("no execute", "the processor has no such bit");
    return;
  }
  *(volatile uint8_t*)frames[0] = kRet;
  uintptr_t address = map(frames[0], kPresent | kWritable);
  PROVOKE("call *%%rax", address);
  check(seen.count == 0, "a page without the bit runs");

  write_msr(MSR_EFER, read_msr(MSR_EFER) | kEferNoExecute);
  map(frames[0], kPresent | kWritable | NO_EXECUTE);
  (void)*word_at(address);
  check(seen.count == 0, "a page with it can be read");
  PROVOKE("jmp *%%rax", address);
  check(page_fault(kFaultPresent | kFaultFetch, address), "but not run: error code 17");
  map(frames[0], kPresent);
  directory[0] |= NO_EXECUTE;
  flush();
  PROVOKE("jmp *%%rax", address);
  directory[0] &= ~NO_EXECUTE;
  flush();
  check(page_fault(kFaultPresent | kFaultFetch, address),
        "the bit in a directory is for all below");
  pages[0] = 0;
  invlpg(address);
  PROVOKE("jmp *%%rax", address);
  check(page_fault(kFaultFetch, address), "a fetch from a page not present: error code 16");
}

static void check_large(void) {
  directory[kLargeEntry] = kPresent | kWritable | kLarge;  // the first 2 MiB once more
  frames[0][3] = 0x3333;
  volatile uint64_t* word = word_at(LARGE_AREA + (uintptr_t)&frames[0][3]);
  check(*word == 0x3333, "a 2 MiB page shows what lies there");
  *word = 0x4444;
  check(frames[0][3] == 0x4444 && (directory[kLargeEntry] & kBoth) == kBoth,
        "its entry is accessed and dirty");
  directory[kLargeEntry] |= 1 << 13;
  flush();
  PROVOKE("movq (%%rax), %%rax", LARGE_AREA);
  check(page_fault(kFaultPresent | kFaultReserved, LARGE_AREA),
        "a reserved bit in it: error code 9");
  directory[kLargeEntry] = 0;
  flush();

  if (!(cpuid(0x80000001, 0).edx & kCpuidGibibytePages)) {
    skip("1 GiB pages", "the processor has none");
    return;
  }
  pointers[1] = kPresent | kLarge;
  frames[0][3] = 0x5555;
  check(*word_at(GIBIBYTE_AREA + (uintptr_t)&frames[0][3]) == 0x5555,
        "a 1 GiB page shows what lies there");
  pointers[1] = 0;
  flush();
}

static void invpcid(uint64_t kind, uint64_t pcid, uintptr_t address) {
  struct {
    uint64_t pcid, address;
  } descriptor = {pcid, address};
  __asm__ volatile("invpcid %0, %1" : : "m"(descriptor), "r"(kind) : "memory");
}

static void build_second_root(void) {
  for (unsigned i = 0; i < 512; i++) second_root[i] = root[i];
  second_root[1] = (uintptr_t)second_pointers | kAll;
  second_pointers[0] = (uintptr_t)second_directory | kAll;
  second_directory[0] = (uintptr_t)second_pages | kAll;
}

static void check_pcid(void) {
  if (!(cpuid(1, 0).ecx & kCpuidPcid)) {
    skip("PCID", "the processor has none");
    return;
  }
  uint64_t first_cr3 = (uintptr_t)root | kPcid1, second_cr3 = (uintptr_t)second_root | kPcid2;
  frames[0][0] = 1;
  frames[1][0] = 2;
  uintptr_t address = map(frames[0], kPresent);
  second_pages[0] = (uintptr_t)frames[1] | kPresent;
  write_cr4(read_cr4() | kCr4Pcid);

  bool good = true;
  for (int i = 0; i < 10; i++) {
    write_cr3(first_cr3 | (i > 0 ? NO_FLUSH : 0));
    good = good && *word_at(address) == 1;
    write_cr3(second_cr3 | (i > 0 ? NO_FLUSH : 0));
    good = good && *word_at(address) == 2;
  }
  check(good, "PCID: each address space shows its own page, without flushes");
  check(read_cr3() == second_cr3, "PCID: CR3 reads back with the number, without the no-flush bit");

  second_pages[0] = (uintptr_t)frames[0] | kPresent;
  write_cr3(first_cr3 | NO_FLUSH);
  write_cr3(second_cr3 | NO_FLUSH);
  touch(address);
  invlpg(address);
  check(*word_at(address) == 1, "PCID: INVLPG is for the number in use");
  second_pages[0] = (uintptr_t)frames[1] | kPresent;
  write_cr3(second_cr3);
  check(*word_at(address) == 2, "PCID: a load without the no-flush bit flushes its number");

  if (cpuid(0, 0).eax >= 7 && (cpuid(7, 0).ebx & 1u << 10)) {
    static const char* const names[] = {"INVPCID for one address", "INVPCID for one number",
                                        "INVPCID for everything"};
    for (uint64_t kind = kInvpcidAddress; kind <= kInvpcidAll; kind++) {
      uint64_t before = *word_at(address);
      second_pages[0] = (uintptr_t)frames[before == 1] | kPresent;
      invpcid(kind, kind == kInvpcidAll ? 0 : kPcid2, kind == kInvpcidAddress ? address : 0);
      check_of(*word_at(address) != before, names[kind], "the change is seen");
    }
  } else {
    skip("INVPCID", "the processor has none");
  }
  write_cr3((uintptr_t)root);
  write_cr4(read_cr4() & ~(uintptr_t)kCr4Pcid);
}

unsigned guest_main(void) {
  trap_handle(kPageFault, note_and_resume);
  root = word_at(read_cr3());
  root[1] = (uintptr_t)pointers | kAll;
  pointers[0] = (uintptr_t)directory | kAll;
  directory[0] = (uintptr_t)pages | kAll;
  build_second_root();
  check_levels();
  check_no_execute();
  check_large();
  check_pcid();
  return finish("paging64");
}
