// SPDX-License-Identifier: Apache-2.0
//
// A triple fault on purpose: an interrupt table without entries. Delivering the breakpoint fails,
// so does the general protection fault, so does the double fault; then the processor shuts down.
#include "small/guest.h"

unsigned guest_main(void) {
  print("triple: the next line is the machine's\n");
  DescriptorTable empty = {0, 0};
  __asm__ volatile("lidt %0; int3" : : "m"(empty));
  check(false, "nothing runs after a triple fault");
  return finish("triple");
}
