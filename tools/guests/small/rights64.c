// SPDX-License-Identifier: Apache-2.0
//
// What keeps the kernel from the user's pages, one rule a line: SMEP, SMAP with STAC and CLAC, and
// protection keys, which hold for the kernel's accesses to them, too.
#include "common/string.h"
#include "small/guest.h"

typedef volatile uint64_t Table[512];

enum { kPageFault = 14, kAll = kPresent | kWritable | kUser, kRet = 0xc3, kFaultKey = 32 };
enum { kCr4Smep = 1 << 20, kCr4Smap = 1 << 21, kCr4Keys = 1 << 22 };
enum { kCpuidSmep = 1 << 7, kCpuidSmap = 1 << 20, kCpuidKeys = 1 << 3 };
enum { kKey = 5, kLdtSelector = kSegmentCount * 8, kInLdt = 4, kLdtType = 0x82 };
#define KEY_SHIFT 59
#define TEST_AREA 0x0000008000000000u  // root entry 1
#define OTHER_AREA (TEST_AREA + kPageSize)

static Table pointers __attribute__((aligned(kPageSize)));
static Table directory __attribute__((aligned(kPageSize)));
static Table pages __attribute__((aligned(kPageSize)));
static Table frames[2] __attribute__((aligned(kPageSize)));
static uint64_t segments[kSegmentCount + 2];

static void map(unsigned page, uint64_t flags) {
  pages[page] = (uintptr_t)frames[page] | flags;
  invlpg(TEST_AREA + page * kPageSize);
}

static bool page_fault(uintptr_t error) {
  return seen.count == 1 && seen.vector == kPageFault && seen.error == error &&
         seen.address == TEST_AREA;
}
static bool may_read(uintptr_t address) {
  PROVOKE("movq (%%rax), %%rax", address);
  return seen.count == 0;
}
static bool may_write(uintptr_t address) {
  PROVOKE("movq %%rax, (%%rax)", address);
  return seen.count == 0;
}

static void stac(void) { __asm__ volatile("stac" : : : "memory", "cc"); }
static void clac(void) { __asm__ volatile("clac" : : : "memory", "cc"); }

static void check_execution(void) {
  if (!(cpuid(7, 0).ebx & kCpuidSmep)) {
    skip("SMEP", "the processor has none");
    return;
  }
  *(volatile uint8_t*)frames[0] = kRet;
  PROVOKE("call *%%rax", TEST_AREA);
  check(seen.count == 0, "the kernel can run code in a user's page");
  write_cr4(read_cr4() | kCr4Smep);
  PROVOKE("jmp *%%rax", TEST_AREA);
  check(page_fault(kFaultPresent | kFaultFetch), "with CR4.SMEP it cannot: error code 17");
  check(may_read(TEST_AREA), "but read it");
  write_cr4(read_cr4() & ~(uintptr_t)kCr4Smep);
}

// The descriptor table itself is read whatever AC says: as the kernel's, and not by its code.
static void check_implicit(void) {
  DescriptorTable table, kept;
  __asm__ volatile("sgdt %0" : "=m"(kept));
  memcpy(segments, (const void*)kept.base, kept.limit + 1u);
  segments[kSegmentCount] = 0xfff | (uint64_t)(TEST_AREA & 0xffffff) << 16 |
                            (uint64_t)kLdtType << 40 | (TEST_AREA >> 24 & 0xff) << 56;
  segments[kSegmentCount + 1] = TEST_AREA >> 32;
  table = (DescriptorTable){sizeof segments - 1, (uintptr_t)segments};
  frames[0][1] = segments[kKernelData / 8];
  __asm__ volatile("lgdt %0\n\tlldt %1" : : "m"(table), "r"((uint16_t)kLdtSelector) : "memory");
  stac();
  PROVOKE("movl %%eax, %%es", 8 | kInLdt);
  clac();
  check(seen.count == 1 && seen.vector == kPageFault && seen.error == kFaultPresent &&
            seen.address == TEST_AREA + 8,
        "nor is a descriptor there, with AC or without");
  write_cr4(read_cr4() & ~(uintptr_t)kCr4Smap);
  PROVOKE("movl %%eax, %%es", 8 | kInLdt);
  check(seen.count == 0, "without CR4.SMAP it is");
  write_cr4(read_cr4() | kCr4Smap);
  PROVOKE("movl %%eax, %%es", kKernelData);
  __asm__ volatile("lldt %1\n\tlgdt %0" : : "m"(kept), "r"((uint16_t)0) : "memory");
}

static void check_access(void) {
  if (!(cpuid(7, 0).ebx & kCpuidSmap)) {
    skip("SMAP", "the processor has none");
    return;
  }
  check(may_read(TEST_AREA) && may_write(TEST_AREA), "the kernel can access a user's page");
  write_cr4(read_cr4() | kCr4Smap);
  check(!may_read(TEST_AREA) && page_fault(kFaultPresent),
        "with CR4.SMAP it cannot read it: error code 1");
  check(!may_write(TEST_AREA) && page_fault(kFaultPresent | kFaultWrite),
        "nor write it: error code 3");
  bool good = true;
  for (int i = 0; i < 20; i++) {
    stac();
    good = good && may_read(TEST_AREA) && may_write(TEST_AREA);
    clac();
    good = good && !may_read(TEST_AREA) && !may_write(TEST_AREA);
  }
  check(good, "between STAC and CLAC it can, without any flush");
  write_flags(read_flags() | kFlagsAlignment);
  check(may_read(TEST_AREA), "as after POPF that sets AC");
  write_flags(read_flags() & ~(uintptr_t)kFlagsAlignment);
  check(!may_read(TEST_AREA), "until POPF clears it");
  check_implicit();
  write_cr4(read_cr4() & ~(uintptr_t)kCr4Smap);
  check(may_read(TEST_AREA), "CR4.SMAP=0: it can again");
}

static uint32_t read_keys(void) {
  uint32_t low, high;
  __asm__ volatile("rdpkru" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}
static void write_keys(uint32_t value) {
  __asm__ volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

static void check_keys(void) {
  if (!(cpuid(7, 0).ecx & kCpuidKeys)) {
    skip("protection keys", "the processor has none");
    return;
  }
  enum { kNoAccess = 1 << 2 * kKey, kNoWrites = 2 << 2 * kKey };
  map(0, kAll | (uint64_t)kKey << KEY_SHIFT);
  write_cr4(read_cr4() | kCr4Keys);
  write_keys(kNoAccess);
  check(read_keys() == kNoAccess, "RDPKRU reads what WRPKRU wrote");
  check(!may_read(TEST_AREA) && page_fault(kFaultPresent | kFaultKey),
        "no access by its key: error code 33 for a read");
  check(!may_write(TEST_AREA) && page_fault(kFaultPresent | kFaultWrite | kFaultKey),
        "and 35 for a write");
  check(may_read(OTHER_AREA) && may_write(OTHER_AREA), "a page with another key is not meant");
  bool good = true;
  for (int i = 0; i < 20; i++) {
    write_keys(kNoWrites);
    good = good && may_read(TEST_AREA) && !may_write(TEST_AREA);
    write_keys(0);
    good = good && may_read(TEST_AREA) && may_write(TEST_AREA);
    write_keys(kNoAccess | kNoWrites);
    good = good && !may_read(TEST_AREA) && !may_write(TEST_AREA);
  }
  check(good, "WRPKRU counts at once, without any flush");
  write_keys(kNoWrites);
  write_cr0(read_cr0() & ~(uintptr_t)kCr0WriteProtect);
  check(may_write(TEST_AREA), "CR0.WP=0: the kernel can write in spite of the key");
  write_cr0(read_cr0() | kCr0WriteProtect);
  check(!may_write(TEST_AREA), "CR0.WP=1: it cannot");
  write_keys(~(uint32_t)0);
  check(may_read((uintptr_t)frames[0]), "the kernel's own pages have no keys");
  write_cr4(read_cr4() & ~(uintptr_t)kCr4Keys);
  check(may_read(TEST_AREA) && may_write(TEST_AREA), "CR4.PKE=0: nor have any");
}

unsigned guest_main(void) {
  trap_handle(kPageFault, note_and_resume);
  write_cr0(read_cr0() | kCr0WriteProtect);
  volatile uint64_t* root = (volatile uint64_t*)read_cr3();
  root[1] = (uintptr_t)pointers | kAll;
  pointers[0] = (uintptr_t)directory | kAll;
  directory[0] = (uintptr_t)pages | kAll;
  for (unsigned i = 0; i < 2; i++) map(i, kAll);
  check_execution();
  check_access();
  check_keys();
  return finish("rights64");
}
