// SPDX-License-Identifier: Apache-2.0
//
// The kernel half: all of physical memory from DIRECT_MAP on, in pages of 4 KiB, global, the
// kernel's code and constants read-only. It never changes, so that every process can have a copy of
// its directory entries.
#include "arch.h"
#include "common/cpu.h"
#include "common/string.h"

enum { kTableReach = 1024 * kPageSize };

extern char kernel_start[], kernel_constants_end[], kernel_end[];  // kernel.ld

Entry* kernel_root;

static uintptr_t next_frame;

// entry.S has mapped the first 16 MiB, which the tables fit into.
static Entry* new_table(void) {
  Entry* table = to_virtual(next_frame);
  next_frame += kPageSize;
  memset(table, 0, kPageSize);
  return table;
}

static Entry kernel_entry(uintptr_t frame) {
  const char* address = to_virtual(frame);
  bool constant = address >= kernel_start && address < kernel_constants_end;
  return frame | kPresent | kGlobal | (constant ? 0 : kWritable);
}

uintptr_t kernel_space_init(uintptr_t memory_end) {
  next_frame = to_physical(kernel_end);
  kernel_root = new_table();
  for (uintptr_t base = 0; base < memory_end; base += kTableReach) {
    Entry* table = new_table();
    kernel_root[(DIRECT_MAP + base) / kTableReach] = to_physical(table) | kPresent | kWritable;
    for (unsigned i = 0; i < 1024 && base + i * kPageSize < memory_end; i++) {
      table[i] = kernel_entry(base + i * kPageSize);
    }
  }
  kernel_space_load();
  // Write protection for the kernel, too: its writes to copy-on-write pages must fault.
  write_cr0(read_cr0() | kCr0WriteProtect);
  write_cr4(read_cr4() | kCr4GlobalPages);
  return next_frame;
}

void kernel_space_load(void) { write_cr3(to_physical(kernel_root)); }
