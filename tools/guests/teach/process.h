// SPDX-License-Identifier: Apache-2.0
//
// Processes and who runs next.
#ifndef GUESTS_TEACH_PROCESS_H_
#define GUESTS_TEACH_PROCESS_H_

#include <stdbool.h>

#include "frame.h"
#include "teach/calls.h"
#include "teach/space.h"

typedef enum ProcessState { kUnused, kRunnable, kWaiting, kEnded } ProcessState;

typedef struct Process {
  ProcessState state;
  int number;
  int exit_code;
  struct Process* parent;
  AddressSpace space;
  uintptr_t kernel_stack;  // its lowest address; one page
  void* context;           // saved stack pointer while another process runs
  char name[kNameBytes];
} Process;

enum { kMaxProcesses = 64 };

extern Process* current;

/// Makes the first process from the image `name` and runs it. The machine ends when it ends.
_Noreturn void processes_start(const char* name);

/// A copy of the current process, which `frame` entered the kernel from. Gives the child's number,
/// or -1 if there is no room.
int process_fork(const TrapFrame* frame);

/// Ends the current process.
_Noreturn void process_exit(int code);

/// Waits for a child to end, frees it, and gives its number; -1 if there is no child.
int process_wait(int* code);

/// Lets the next process in turn run, if there is another. Returns when this one's turn comes.
void schedule(void);

#endif  // GUESTS_TEACH_PROCESS_H_
