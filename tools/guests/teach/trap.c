// SPDX-License-Identifier: Apache-2.0
//
// Every way into the kernel but the first ends here.
#include "arch.h"
#include "common/console.h"
#include "common/cpu.h"
#include "common/machine.h"
#include "teach/counters.h"
#include "teach/fault.h"
#include "teach/main.h"
#include "teach/panic.h"
#include "teach/process.h"
#include "teach/syscall.h"

enum { kPageFault = 14, kLastException = 31, kKilled = 128 };

volatile unsigned ticks;

_Noreturn static void kill(const TrapFrame* frame, const char* why) {
  print("kernel: process %d (%s) killed at %lx: %s\n", current->number, current->name,
        (unsigned long)frame->ip, why);
  counters.killed++;
  process_exit(kKilled + (int)frame->vector);
}

static void page_fault(const TrapFrame* frame) {
  uintptr_t address = read_cr2();
  counters.faults++;
  if (current == NULL) panic("page fault before the first process");
  switch (fault_resolve(&current->space, address, frame->error)) {
    case kResolved: return;
    case kOutOfMemory: kill(frame, "out of memory"); break;
    case kForbidden: break;
  }
  if (!frame_from_user(frame)) {
    print("kernel: address %lx, error %lx, at %lx\n", (unsigned long)address,
          (unsigned long)frame->error, (unsigned long)frame->ip);
    panic("page fault in the kernel");
  }
  const char* action = frame->error & kFaultFetch   ? "execution"
                       : frame->error & kFaultWrite ? "write"
                                                    : "read";
  print("kernel: forbidden %s of address %lx\n", action, (unsigned long)address);
  kill(frame, "segmentation fault");
}

static void exception(const TrapFrame* frame) {
  print("kernel: trap %lu, error %lx, at %lx\n", (unsigned long)frame->vector,
        (unsigned long)frame->error, (unsigned long)frame->ip);
  if (!frame_from_user(frame)) panic("trap in the kernel");
  kill(frame, "exception");
}

void trap(TrapFrame* frame) {
  switch (frame->vector) {
    case kPageFault: page_fault(frame); break;
    case SYSTEM_CALL_VECTOR: system_call(frame); break;
    case kIrqTimer:
      ticks++;
      timer_done();  // before the switch: the next process must be interrupted, too
      // The kernel runs with interrupts off, so this is always user code.
      schedule();
      break;
    default:
      // What is left above the exceptions are spurious interrupts, which want no answer.
      if (frame->vector <= kLastException) exception(frame);
      break;
  }
}
