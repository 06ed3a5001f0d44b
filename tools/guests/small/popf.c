// SPDX-License-Identifier: Apache-2.0
//
// The best known hole of x86 for trap-and-emulate: POPF outside ring 0 does not trap; it just
// leaves the interrupt flag as it is. A kernel that is moved to ring 3 turns interrupts off by
// PUSHF, CLI, POPF sequences and does not get what it asked for. This guest sees the difference.
#include "small/guest.h"

static bool interrupts_on(void) { return (read_flags() & kFlagsInterrupt) != 0; }

static void with_flag(uintptr_t flag) {
  write_flags((read_flags() & ~(uintptr_t)kFlagsInterrupt) | flag);
}

unsigned guest_main(void) {
  pic_init();  // nothing may interrupt: all masked

  print("popf: pushf shows IF=%d at the start\n", interrupts_on());
  check(!interrupts_on(), "pushf shows IF=0 after the start with interrupts off");

  __asm__ volatile("sti");
  check(interrupts_on(), "pushf shows IF=1 after sti");
  __asm__ volatile("cli");
  check(!interrupts_on(), "pushf shows IF=0 after cli");

  with_flag(kFlagsInterrupt);
  bool set = interrupts_on();
  check(set, "popf with IF=1 sets IF");
  if (!set) print("popf: IF stays clear after popf with IF=1: this machine is not what it says\n");

  __asm__ volatile("sti");
  with_flag(0);
  bool cleared = !interrupts_on();
  check(cleared, "popf with IF=0 clears IF");
  if (!cleared)
    print("popf: IF stays set after popf with IF=0: this machine is not what it says\n");

  // What kernels do: save the flags, turn interrupts off, work, restore what was before.
  __asm__ volatile("sti");
  uintptr_t before = read_flags();
  __asm__ volatile("cli");
  bool off = !interrupts_on();
  write_flags(before);
  bool on_again = interrupts_on();
  __asm__ volatile("cli");
  check(off && on_again, "save, cli, restore leaves interrupts as they were");

  // The privilege level that flags may change with belongs to the same question.
  uintptr_t saved = read_flags();
  write_flags(saved | 0x3000);
  check((read_flags() & 0x3000) == 0x3000, "popf sets IOPL in ring 0");
  write_flags(saved);
  return finish("popf");
}
