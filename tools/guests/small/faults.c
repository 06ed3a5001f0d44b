// SPDX-License-Identifier: Apache-2.0
//
// Each exception that 32-bit code can raise in ring 0 without much help: vector, error code, and
// whether the saved address is that of the instruction (fault) or of the next one (trap).
#include "identity.h"
#include "small/guest.h"

enum {
  kDivide,
  kDebug,
  kNmi,
  kBreakpoint,
  kOverflow,
  kBound,
  kInvalidOpcode,
  kNoDevice,
  kDoubleFault,
  kCoprocessorOverrun,
  kInvalidTask,
  kNotPresent,
  kStack,
  kProtection,
  kPage,
  kReserved,
  kFloat,
};
enum { kAnyVector = 0x55, kOutsideTable = 0x1000, kGateNotPresent = 0x0e };
enum { kCr0NumericError = 1 << 5, kFlagInIdt = 2 };

int32_t bounds[2] = {-5, 5};

// boundl %eax, bounds: assemblers do not agree on how to write it.
#define BOUND ".byte 0x62, 0x05\n\t.long bounds"

static void stop_stepping(TrapFrame* frame) {
  note_and_resume(frame);
  frame->flags &= ~(uintptr_t)kFlagsTrap;
}

static void check_arithmetic(void) {
  PROVOKE("divl %%eax", 0);
  check(saw_fault(kDivide, 0), "0: division by zero is a fault");
  PROVOKE("into", 0);
  check(seen.count == 0, "4: into does nothing without overflow");
  PROVOKE("int $4", 0);
  check(saw_trap(kOverflow), "4: int 4 is a trap");
  PROVOKE("addb $127, %%al\n\tinto", 127);
  check(saw_trap(kOverflow), "4: into after an overflow is a trap");
  PROVOKE(BOUND, 5);
  check(seen.count == 0, "5: bound accepts the bounds themselves");
  PROVOKE(BOUND, 6);
  check(saw_fault(kBound, 0), "5: bound outside is a fault");
}

static void check_debug(void) {
  trap_handle(kDebug, stop_stepping);
  PROVOKE("pushf\n\torl $0x100, (%%esp)\n\tpopf\n\tnop", 0);
  check(saw_trap(kDebug), "1: a single step is a trap behind the instruction after popf");
  PROVOKE("int3", 0);
  check(saw_trap(kBreakpoint), "3: int3 is a trap");
  PROVOKE("int $0x55", 0);
  check(saw_trap(kAnyVector), "int n is a trap without error code");
}

static void check_opcodes(void) {
  PROVOKE("ud2", 0);
  check(saw_fault(kInvalidOpcode, 0), "6: ud2 is a fault");
  PROVOKE("lock; nop", 0);
  check(saw_fault(kInvalidOpcode, 0), "6: lock before an instruction that does not allow it");
  if (!(cpuid(1, 0).edx & 1)) {
    skip("7 and 16", "no floating-point unit");
    return;
  }
  write_cr0((read_cr0() & ~(uintptr_t)kCr0Emulation) | kCr0TaskSwitched);
  PROVOKE("fnop", 0);
  check(saw_fault(kNoDevice, 0), "7: floating point with CR0.TS is a fault");
  __asm__ volatile("clts");
  write_cr0(read_cr0() | kCr0Emulation);
  PROVOKE("fnop", 0);
  check(saw_fault(kNoDevice, 0), "7: floating point with CR0.EM is a fault");
  write_cr0((read_cr0() & ~(uintptr_t)kCr0Emulation) | kCr0NumericError);

  static const uint16_t divide_unmasked = 0x37b;
  static const uint32_t zero = 0;
  __asm__ volatile("fninit; fldcw %0; fld1; fdivs %1" : : "m"(divide_unmasked), "m"(zero));
  PROVOKE("fwait", 0);
  check(saw_fault(kFloat, 0), "16: fwait after a division by zero is a fault");
  __asm__ volatile("fninit");
}

static void check_segments(void) {
  segment_set(kSpareSegment, segment_flat(kAccessData & ~0x80));
  PROVOKE("movl %%eax, %%es", kSpareSegment);
  check(saw_fault(kNotPresent, kSpareSegment),
        "11: a segment not present, its selector as error code");
  PROVOKE("movl %%eax, %%ss", kSpareSegment);
  check(saw_fault(kStack, kSpareSegment),
        "12: a stack segment not present, its selector as error code");
  PROVOKE("movl %%eax, %%es", kOutsideTable);
  check(saw_fault(kProtection, kOutsideTable), "13: a selector outside the table as error code");
  PROVOKE("movl %%eax, %%ss", 0);
  check(saw_fault(kProtection, 0), "13: null into SS");
  PROVOKE("movl %%eax, %%ss", kUserData);
  check(saw_fault(kProtection, kUserData & ~3), "13: a user's segment into SS of ring 0");
  PROVOKE("ljmp $0x10, $0", 0);
  check(saw_fault(kProtection, kKernelData), "13: jump to a data segment");

  __asm__ volatile("movl %0, %%fs" : : "r"(0));
  PROVOKE("movl %%fs:0, %%eax", 0);
  check(saw_fault(kProtection, 0), "13: access through a null segment");

  segment_set(kSpareSegment, segment_bytes(0, 0xfff, kAccessData));
  __asm__ volatile("movl %0, %%fs" : : "r"(kSpareSegment));
  PROVOKE("movl %%fs:0xffd, %%eax", 0);
  check(saw_fault(kProtection, 0), "13: an access that crosses the limit");
  PROVOKE("movl %%fs:0xffc, %%eax", 0);
  check(seen.count == 0, "an access up to the limit");

  // The stack lies below 2 MiB, where this segment ends.
  segment_set(kSpareSegment, segment_pages(0x1ff, kAccessData));
  __asm__ volatile("movl %0, %%ss" : : "r"(kSpareSegment));
  PROVOKE("movl %%ss:0x300000, %%eax", 0);
  __asm__ volatile("movl %0, %%ss" : : "r"(kKernelData));
  check(saw_fault(kStack, 0), "12: an access outside the stack segment");
}

static void check_gates(void) {
  DescriptorTable shorter = {0x50 * 8 - 1, loaded_idt.base};
  __asm__ volatile("lidt %0" : : "m"(shorter));
  PROVOKE("int $0x55", 0);
  __asm__ volatile("lidt %0" : : "m"(loaded_idt));
  check(saw_fault(kProtection, 0x55 * 8 + kFlagInIdt), "13: int n outside the interrupt table");

  gate_set_type(kAnyVector, kGateNotPresent);
  PROVOKE("int $0x55", 0);
  gate_set_type(kAnyVector, kGateInterrupt);
  check(saw_fault(kNotPresent, kAnyVector * 8 + kFlagInIdt), "11: int n with a gate not present");

  // Delivering 13 raises 11: two contributory exceptions make a double fault.
  gate_set_type(kProtection, kGateNotPresent);
  PROVOKE("movl %%eax, %%es", kOutsideTable);
  gate_set_type(kProtection, kGateInterrupt);
  check(seen.count == 1 && seen.vector == kDoubleFault && seen.error == 0,
        "8: a fault while one is delivered");
}

static void check_pages(void) {
  identity_paging_on();
  PROVOKE("movl 0x10000123, %%eax", 0);
  check(saw_fault(kPage, 0) && seen.address == 0x10000123,
        "14: read of a page not present, address in CR2");
  PROVOKE("movl %%eax, 0x10000fff", 0);
  check(saw_fault(kPage, kFaultWrite) && seen.address == 0x10000fff,
        "14: write of a page not present");
  PROVOKE("jmp *%%eax", TEST_AREA);
  // The saved address is that of the instruction that is not there.
  check(
      seen.count == 1 && seen.vector == kPage && seen.ip == TEST_AREA && seen.address == TEST_AREA,
      "14: a fetch from a page not present");
}

unsigned guest_main(void) {
  for (unsigned vector = 0; vector <= kFloat; vector++) trap_handle(vector, note_and_resume);
  trap_handle(kAnyVector, note_and_resume);
  check_arithmetic();
  check_debug();
  check_opcodes();
  check_segments();
  check_gates();
  check_pages();
  return finish("faults");
}
