// SPDX-License-Identifier: Apache-2.0
//
// The kernel half: all of physical memory from DIRECT_MAP on in global pages of 2 MiB without
// execution, the local APIC's registers, and the first GiB once more where the kernel is linked. It
// never changes, so that every process can have a copy of its root entries.
#include "arch.h"
#include "common/string.h"

enum { kLargePage = 2 << 20 };

extern char kernel_end[];  // kernel.ld

Entry* kernel_root;
Entry no_execute;

static uintptr_t next_frame;

// entry.S has mapped the first GiB, which the tables fit into.
static Entry* new_table(void) {
  Entry* table = to_virtual(next_frame);
  next_frame += kPageSize;
  memset(table, 0, kPageSize);
  return table;
}

static Entry* below(Entry* entry) {
  if (*entry == 0) *entry = to_physical(new_table()) | kPresent | kWritable;
  return to_virtual(*entry & FRAME_MASK);
}

static void map_large(uintptr_t address, uintptr_t physical, Entry flags) {
  Entry* pointers = below(&kernel_root[address >> 39 & 511]);
  Entry* directory = below(&pointers[address >> 30 & 511]);
  directory[address >> 21 & 511] = physical | flags | kPresent | kWritable | kLarge | kGlobal;
}

static void enable_no_execute(void) {
  if (cpuid(0x80000001, 0).edx & 1u << 20) {
    write_msr(MSR_EFER, read_msr(MSR_EFER) | kEferNoExecute);
    no_execute = NO_EXECUTE;
  }
}

uintptr_t kernel_space_init(uintptr_t memory_end) {
  enable_no_execute();
  next_frame = to_physical(kernel_end);
  kernel_root = new_table();
  for (uintptr_t base = 0; base < memory_end; base += kLargePage) {
    map_large(DIRECT_MAP + base, base, no_execute);
  }
  map_large(DIRECT_MAP + APIC_ADDRESS, APIC_ADDRESS, kCacheDisable | no_execute);
  // Code and variables share large pages here, so both rights are given; the 32-bit kernel is
  // stricter.
  for (uintptr_t base = 0; base < to_physical(kernel_end); base += kLargePage) {
    map_large(KERNEL_LINKED + base, base, 0);
  }
  kernel_space_load();
  write_cr0(read_cr0() | kCr0WriteProtect);
  write_cr4(read_cr4() | kCr4GlobalPages);
  return next_frame;
}

void kernel_space_load(void) { write_cr3(to_physical(kernel_root)); }
