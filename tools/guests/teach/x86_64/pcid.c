// SPDX-License-Identifier: Apache-2.0
//
// Process-context identifiers: with them, a load of CR3 does not have to forget what the TLB holds
// of other processes. Each process slot has a number of its own (AddressSpace.tag); 0 is the
// kernel's.
#include "arch.h"
#include "teach/space.h"

#define NO_FLUSH (UINT64_C(1) << 63)
enum { kSingleContext = 1 };  // INVPCID: everything of one PCID but global pages

static bool has_pcid, has_invpcid;

void pcid_init(void) {
  if (!(cpuid(1, 0).ecx & 1u << 17)) return;
  has_pcid = true;
  has_invpcid = cpuid(0, 0).eax >= 7 && (cpuid(7, 0).ebx & 1u << 10);
  write_cr4(read_cr4() | kCr4Pcid);  // CR3 holds PCID 0 now, as it must
}

static uint64_t cr3_of(const AddressSpace* space) {
  return to_physical(space->root) | (has_pcid ? space->tag : 0);
}

void space_load(AddressSpace* space) {
  uint64_t cr3 = cr3_of(space);
  if (has_pcid && !space->stale) {
    write_cr3(cr3 | NO_FLUSH);
    return;
  }
  // The first load after the number went to a new space flushes what the old one left.
  if (space->stale || read_cr3() != cr3) write_cr3(cr3);
  space->stale = false;
}

void tlb_flush_space(const AddressSpace* space) {
  if (!has_invpcid) {
    write_cr3(cr3_of(space));
    return;
  }
  struct {
    uint64_t pcid, address;
  } descriptor = {space->tag, 0};
  __asm__ volatile("invpcid %0, %1" : : "m"(descriptor), "r"((uint64_t)kSingleContext) : "memory");
}
