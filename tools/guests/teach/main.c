// SPDX-License-Identifier: Apache-2.0
#include "teach/main.h"

#include "arch.h"
#include "common/console.h"
#include "common/cpu.h"
#include "common/machine.h"
#include "common/multiboot.h"
#include "common/options.h"
#include "descriptors.h"
#include "teach/counters.h"
#include "teach/frames.h"
#include "teach/panic.h"
#include "teach/process.h"

enum { kDefaultHz = 100, kMinHz = 20, kMaxHz = 10000 };

char command_line[kCommandLineBytes];
Counters counters;

_Noreturn void panic(const char* why) {
  __asm__ volatile("cli");
  print("kernel: panic: %s\n", why);
  machine_exit(2);
}

_Noreturn void machine_finished(int code) {
  print("kernel: page faults %u (zero %u, image %u, copied %u, last owner %u, killed %u)\n",
        counters.faults, counters.zero_pages, counters.image_pages, counters.copies,
        counters.last_owners, counters.killed);
  print("kernel: forks %u, context switches %u, system calls %u\n", counters.forks,
        counters.switches, counters.calls);
  machine_exit((unsigned)code);
}

// Loaders put the kernel's name first; options have a "=", so that does not disturb.
static void keep_command_line(const char* text) {
  unsigned length = 0;
  for (; text[length] && length < kCommandLineBytes - 1; length++)
    command_line[length] = text[length];
  command_line[length] = 0;
}

static unsigned frequency(void) {
  unsigned long hz = option_number(command_line, "hz", kDefaultHz);
  return hz < kMinHz ? kMinHz : hz > kMaxHz ? kMaxHz : (unsigned)hz;
}

_Noreturn void kernel_main(uint32_t magic, uint32_t info_address) {
  console_init();
  if (magic != MULTIBOOT_LOADED) panic("not started by a Multiboot loader");
  const MultibootInfo* info = to_virtual(info_address);
  if (!(info->flags & kMultibootMemory)) panic("the loader does not tell the memory size");
  // All of this before the memory where the loader left it is used for something else.
  if (info->flags & kMultibootCommandLine) keep_command_line(to_virtual(info->command_line));
  uint64_t memory = UINT64_C(0x100000) + (uint64_t)info->upper_kib * 1024;
  uintptr_t memory_end =
      memory > kMaxMemory ? kMaxMemory : (uintptr_t)memory & ~(uintptr_t)(kPageSize - 1);

  descriptors_init();
  uintptr_t first_free = kernel_space_init(memory_end);
  frames_init(first_free, memory_end);
  arch_init();
  print("kernel: %s, %u free frames\n", ARCH_NAME, frames_free());
  timer_start(frequency());
  processes_start("init");
}
