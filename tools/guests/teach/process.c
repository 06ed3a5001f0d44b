// SPDX-License-Identifier: Apache-2.0
#include "teach/process.h"

#include "common/cpu.h"
#include "common/string.h"
#include "teach/counters.h"
#include "teach/exec.h"
#include "teach/frames.h"
#include "teach/main.h"
#include "teach/panic.h"

static Process processes[kMaxProcesses];
static int last_number;
Process* current;

static uintptr_t stack_end(const Process* process) { return process->kernel_stack + kPageSize; }

static TrapFrame* first_frame(const Process* process) {
  return (TrapFrame*)(stack_end(process) - sizeof(TrapFrame));
}

// A process without an address space. What it starts with is a trap frame at the end of its kernel
// stack, and below that what switch_stacks pops, so that its first turn ends in trap_return.
static Process* process_new(void) {
  for (Process* process = processes; process < processes + kMaxProcesses; process++) {
    if (process->state != kUnused) continue;
    uintptr_t stack = frame_new_zeroed();
    if (stack == 0) return NULL;
    process->kernel_stack = (uintptr_t)to_virtual(stack);
    process->context = context_new(first_frame(process));
    process->number = ++last_number;
    process->parent = current;
    return process;
  }
  return NULL;
}

static unsigned tag_of(const Process* process) { return (unsigned)(process - processes) + 1; }

// The kernel stack goes last, when nobody stands on it.
static void process_free(Process* process) {
  frame_release(to_physical((void*)process->kernel_stack));
  process->state = kUnused;
}

int process_fork(const TrapFrame* frame) {
  Process* child = process_new();
  if (child == NULL) return -1;
  if (!space_fork(&child->space, &current->space, tag_of(child))) {
    process_free(child);
    return -1;
  }
  memcpy(child->name, current->name, kNameBytes);
  *first_frame(child) = *frame;
  frame_set_result(first_frame(child), 0);
  child->state = kRunnable;
  counters.forks++;
  return child->number;
}

// Round robin: the first runnable process after the current one, which comes last.
static Process* next_in_turn(void) {
  for (int step = 1; step <= kMaxProcesses; step++) {
    Process* process = &processes[(current - processes + step) % kMaxProcesses];
    if (process->state == kRunnable) return process;
  }
  panic("no process can run");
}

static void switch_to(Process* next, void** save_context) {
  current = next;
  entry_stack_set(stack_end(next));
  space_load(&next->space);
  switch_stacks(save_context, next->context);
}

void schedule(void) {
  Process* previous = current;
  Process* next = next_in_turn();
  if (next == previous) return;
  counters.switches++;
  switch_to(next, &previous->context);
}

_Noreturn void process_exit(int code) {
  if (current == processes) machine_finished(code);
  // The address space goes now, which is why the kernel's own must be in use from here.
  kernel_space_load();
  space_destroy(&current->space);
  current->exit_code = code;
  current->state = kEnded;
  for (Process* process = processes; process < processes + kMaxProcesses; process++) {
    if (process->state != kUnused && process->parent == current) process->parent = processes;
  }
  // The first process inherits children that ended already, so it is woken, too.
  if (current->parent->state == kWaiting) current->parent->state = kRunnable;
  if (processes->state == kWaiting) processes->state = kRunnable;
  schedule();
  panic("a process runs after its end");
}

int process_wait(int* code) {
  for (;;) {
    bool has_child = false;
    for (Process* process = processes; process < processes + kMaxProcesses; process++) {
      if (process->state == kUnused || process->parent != current) continue;
      has_child = true;
      if (process->state != kEnded) continue;
      *code = process->exit_code;
      process_free(process);
      return process->number;
    }
    if (!has_child) return -1;
    current->state = kWaiting;
    schedule();
  }
}

_Noreturn void processes_start(const char* name) {
  Process* first = process_new();
  if (first == NULL || !exec_into(first, tag_of(first), name, 0, first_frame(first))) {
    panic("the first program cannot start");
  }
  first->state = kRunnable;
  void* boot_context;
  switch_to(first, &boot_context);
  panic("the boot stack is in use again");
}
