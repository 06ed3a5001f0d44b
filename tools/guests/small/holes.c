// SPDX-License-Identifier: Apache-2.0
//
// Instructions that tell or change privileged state without a trap outside ring 0. A VMM that runs
// this guest's ring 0 elsewhere must still let it see ring 0: what it loaded, and what it turned
// on.
#include "small/guest.h"

static DescriptorTable stored;

static void check_privilege(void) {
  uintptr_t cs, ss, pushed;
  __asm__ volatile("mov %%cs, %0" : "=r"(cs));
  __asm__ volatile("mov %%ss, %0" : "=r"(ss));
  __asm__ volatile("push %%cs; pop %0" : "=r"(pushed));
  print("holes: cs %04lx, ss %04lx\n", (unsigned long)cs, (unsigned long)ss);
  check((cs & 3) == 0, "mov from CS shows privilege level 0");
  check((pushed & 0xffff) == kKernelCode, "push CS shows the selector that was loaded");
  check((ss & 0xffff) == kKernelData, "mov from SS shows the selector that was loaded");
}

static void check_tables(void) {
  __asm__ volatile("sgdt %0" : "=m"(stored));
  check(stored.base == loaded_gdt.base && stored.limit == loaded_gdt.limit,
        "sgdt gives what lgdt loaded");
  __asm__ volatile("sidt %0" : "=m"(stored));
  check(stored.base == loaded_idt.base && stored.limit == loaded_idt.limit,
        "sidt gives what lidt loaded");

  uintptr_t task, local, machine_status;
  __asm__ volatile("lldt %w0" : : "r"(0));
  __asm__ volatile("str %0" : "=r"(task));
  __asm__ volatile("sldt %0" : "=r"(local));
  __asm__ volatile("smsw %0" : "=r"(machine_status));
  check((task & 0xffff) == kTaskState, "str gives what ltr loaded");
  check((local & 0xffff) == 0, "sldt gives what lldt loaded");
  check((machine_status & 0xffff) == (read_cr0() & 0xffff), "smsw gives the low half of CR0");

  uintptr_t cr0 = read_cr0();
  write_cr0(cr0 | kCr0TaskSwitched);
  __asm__ volatile("smsw %0" : "=r"(machine_status));
  check((machine_status & kCr0TaskSwitched) != 0, "smsw shows TS after mov to CR0 set it");
  __asm__ volatile("clts");
  __asm__ volatile("smsw %0" : "=r"(machine_status));
  check((machine_status & kCr0TaskSwitched) == 0, "smsw shows TS clear after clts");
}

// IRET to the same level: CS, EIP and flags come from the stack, and IF with them.
static void same_level_iret(uintptr_t flags) {
  __asm__ volatile(
      "push %0\n\t"
      "push %%cs\n\t"
      "push $1f\n\t"
      "iret\n"
      "1:"
      :
      : "r"(flags)
      : "memory", "cc");
}

static void check_flags(void) {
  __asm__ volatile("sti");
  check((read_flags() & kFlagsInterrupt) != 0, "pushf shows IF after sti");
  same_level_iret(read_flags() & ~(uintptr_t)kFlagsInterrupt);
  check((read_flags() & kFlagsInterrupt) == 0, "iret to the same level clears IF");
  same_level_iret(read_flags() | kFlagsInterrupt);
  check((read_flags() & kFlagsInterrupt) != 0, "iret to the same level sets IF");
  __asm__ volatile("cli");
  check((read_flags() & kFlagsInterrupt) == 0, "pushf shows IF=0 after cli");
}

typedef struct Answer {
  uint32_t value;
  bool valid;  // the zero flag
} Answer;

#define ASK(instruction)                                      \
  static Answer instruction(uint32_t selector) {              \
    Answer answer = {0, false};                               \
    __asm__ volatile(#instruction " %2, %0; setz %1"          \
                     : "+r"(answer.value), "+q"(answer.valid) \
                     : "r"(selector)                          \
                     : "cc");                                 \
    return answer;                                            \
  }
ASK(lar)
ASK(lsl)
#undef ASK

#define ASK(instruction)                                                                  \
  static bool instruction(uint16_t selector) {                                            \
    bool allowed;                                                                         \
    __asm__ volatile(#instruction " %1; setz %0" : "=q"(allowed) : "r"(selector) : "cc"); \
    return allowed;                                                                       \
  }
ASK(verr)
ASK(verw)
#undef ASK

static void check_segments(void) {
  Answer code = lar(kKernelCode), user = lar(kUserData & ~3), none = lar(0);
  // Loading a segment sets the accessed flag, bit 0 of its type.
  check(code.valid && (code.value & 0xff00) == 0x9b00,
        "lar shows an accessed code segment of ring 0");
  check(user.valid && (user.value & 0x6000) == 0x6000,
        "lar shows level 3 of the user's data segment");
  check(!none.valid, "lar refuses the null selector");
  Answer flat = lsl(kKernelData), task = lsl(kTaskState);
  check(flat.valid && flat.value == 0xffffffff, "lsl gives 4 GiB - 1 for a flat segment");
  check(task.valid && task.value == 103, "lsl gives the size of the task state");
  check(!lsl(0x1000).valid, "lsl refuses a selector outside the table");
  check(verr(kKernelCode) && !verw(kKernelCode), "verr allows, verw refuses the code segment");
  check(verw(kKernelData) && verr(kKernelData), "verr and verw allow the kernel's data segment");
}

static void check_loads(void) {
  uintptr_t selector;
  __asm__ volatile("mov %0, %%fs" : : "r"(kKernelData));
  __asm__ volatile("mov %%fs, %0" : "=r"(selector));
  check((selector & 0xffff) == kKernelData, "a segment of ring 0 can be loaded and is read back");
  uintptr_t cr4 = read_cr4();
  write_cr3(0x5000);  // paging is off: just a register
  check(read_cr3() == 0x5000, "CR3 reads back what was written");
  check(read_cr4() == cr4, "CR4 stays what it was");
}

unsigned guest_main(void) {
  pic_init();  // everything masked, so that interrupts can be on without one
  check_privilege();
  check_tables();
  check_flags();
  check_segments();
  check_loads();
  return finish("holes");
}
