// SPDX-License-Identifier: Apache-2.0
//
// To ring 3 and back: the stack switch through the task state, and what ring 3 may not do.
#include "small/guest.h"
#include "user_mode.h"

enum {
  kStackBytes = 1024,
  kProtection = 13,
  kAlignment = 17,
  kPrivateVector = 0x60,
  kFlagInIdt = 2
};

static uint8_t user_stack[kStackBytes] __attribute__((aligned(16)));

// Code in ring 3 cannot print: ports are forbidden. It provokes, and the handler notes here.
static Seen first;
static void note_first(TrapFrame* frame) {
  note_and_resume(frame);
  if (first.count == 0) first = seen;
}

#define IN_RING3(name, code, value) \
  static void name(void) {          \
    PROVOKE(code, value);           \
    leave_ring3(0);                 \
  }
IN_RING3(do_cli, "cli", 0)
IN_RING3(do_sti, "sti", 0)
IN_RING3(do_hlt, "hlt", 0)
IN_RING3(do_in, "inb $0x80, %%al", 0)
IN_RING3(do_out, "outb %%al, $0x80", 0)
IN_RING3(do_lgdt, "lgdt (%%eax)", (uintptr_t)&loaded_gdt)
IN_RING3(do_lidt, "lidt (%%eax)", (uintptr_t)&loaded_idt)
IN_RING3(do_ltr, "ltr %%ax", kTaskState)
IN_RING3(do_lldt, "lldt %%ax", 0)
IN_RING3(do_read_cr0, "movl %%cr0, %%eax", 0)
IN_RING3(do_write_cr3, "movl %%eax, %%cr3", 0)
IN_RING3(do_clts, "clts", 0)
IN_RING3(do_lmsw, "lmsw %%ax", 1)
IN_RING3(do_invlpg, "invlpg (%%eax)", 0)
IN_RING3(do_wbinvd, "wbinvd", 0)
IN_RING3(do_rdmsr, "rdmsr", 0)
IN_RING3(do_wrmsr, "wrmsr", 0)
IN_RING3(do_kernel_data, "movl %%eax, %%es", kKernelData)
IN_RING3(do_kernel_stack, "movl %%eax, %%ss", kKernelData)
IN_RING3(do_kernel_code, "ljmp $0x08, $0", 0)
IN_RING3(do_private_int, "int $0x60", 0)

typedef struct Case {
  void (*code)(void);
  const char* what;
  uintptr_t error;
} Case;
static const Case forbidden[] = {
    {do_cli, "cli", 0},
    {do_sti, "sti", 0},
    {do_hlt, "hlt", 0},
    {do_in, "in", 0},
    {do_out, "out", 0},
    {do_lgdt, "lgdt", 0},
    {do_lidt, "lidt", 0},
    {do_ltr, "ltr", 0},
    {do_lldt, "lldt", 0},
    {do_read_cr0, "mov from CR0", 0},
    {do_write_cr3, "mov to CR3", 0},
    {do_clts, "clts", 0},
    {do_lmsw, "lmsw", 0},
    {do_invlpg, "invlpg", 0},
    {do_wbinvd, "wbinvd", 0},
    {do_rdmsr, "rdmsr", 0},
    {do_wrmsr, "wrmsr", 0},
    {do_kernel_data, "loading the kernel's data segment", kKernelData},
    {do_kernel_stack, "loading the kernel's stack segment", kKernelData},
    {do_kernel_code, "a jump to the kernel's code segment", kKernelCode},
    {do_private_int, "int n through a gate of ring 0", kPrivateVector * 8 + kFlagInIdt},
};

static void* stack_end(void) { return user_stack + kStackBytes; }

static void check_forbidden(void) {
  for (unsigned i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
    const Case* one = &forbidden[i];
    first = (Seen){0};
    call_user(one->code, stack_end());
    bool good = first.count == 1 && first.vector == kProtection && first.error == one->error &&
                first.ip == provoked_at && (first.cs & 3) == 3;
    if (!good) {
      print("ring3: vector %lu, error %lx, %u times\n", (unsigned long)first.vector,
            (unsigned long)first.error, first.count);
    }
    check_of(good, one->what, "general protection in ring 3");
  }
}

static void get_code_selector(void) {
  uintptr_t cs;
  __asm__ volatile("mov %%cs, %0" : "=r"(cs));
  leave_ring3(cs);
}
static void get_flags(void) { leave_ring3(read_flags()); }
static void clear_interrupts(void) {
  write_flags(read_flags() & ~(uintptr_t)kFlagsInterrupt);
  leave_ring3(read_flags());
}
static void get_data_selector(void) {
  // The runtime loaded the user's DS; FS still has the kernel's, which IRET must have taken away.
  uintptr_t fs;
  __asm__ volatile("mov %%fs, %0" : "=r"(fs));
  leave_ring3(fs);
}
static void just_leave(void) { leave_ring3(0x1234); }
static void misaligned(void) {
  write_flags(read_flags() | kFlagsAlignment);
  PROVOKE("movl 1(%%eax), %%eax", (uintptr_t)user_stack);
  write_flags(read_flags() & ~(uintptr_t)kFlagsAlignment);
  leave_ring3(0);
}

static void check_way_back(void) {
  check(call_user(just_leave, stack_end()) == 0x1234, "iret to ring 3 and int 0x80 back");
  check(seen.vector == kLeaveVector && seen.error == 0, "int 0x80 has no error code");
  check(seen.cs == kUserCode, "the saved CS is the user's");
  check(seen.sp > (uintptr_t)user_stack && seen.sp <= (uintptr_t)stack_end(),
        "the saved stack is the user's");
  check((seen.flags & kFlagsInterrupt) != 0, "interrupts were on in ring 3");
  check((read_flags() & kFlagsInterrupt) == 0, "the gate turned them off");
  check((call_user(get_code_selector, stack_end()) & 3) == 3, "CS shows level 3 there");
  check((call_user(get_flags, stack_end()) & kFlagsInterrupt) != 0, "pushf shows IF there");
  check((call_user(clear_interrupts, stack_end()) & kFlagsInterrupt) != 0,
        "popf in ring 3 leaves IF alone, silently");
  check((call_user(get_data_selector, stack_end()) & 0xffff) == 0,
        "iret to ring 3 clears segment registers that hold a kernel segment");
}

static void check_alignment(void) {
  write_cr0(read_cr0() | kCr0AlignmentMask);
  first = (Seen){0};
  call_user(misaligned, stack_end());
  write_cr0(read_cr0() & ~(uintptr_t)kCr0AlignmentMask);
  check(
      first.count == 1 && first.vector == kAlignment && first.error == 0 && first.ip == provoked_at,
      "17: a misaligned access in ring 3 with AM and AC is a fault");
}

unsigned guest_main(void) {
  pic_init();  // everything masked: ring 3 runs with interrupts on
  user_mode_init();
  trap_handle(kProtection, note_first);
  trap_handle(kAlignment, note_first);
  check_way_back();
  check_forbidden();
  check_alignment();
  return finish("ring3");
}
