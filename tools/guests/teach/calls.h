// SPDX-License-Identifier: Apache-2.0
//
// System calls: what kernel and programs agree on. Each gives a negative number when it fails.
#ifndef GUESTS_TEACH_CALLS_H_
#define GUESTS_TEACH_CALLS_H_

enum {
  kCallExit = 1,     // (code): does not return
  kCallWrite,        // (text, size): to the console; gives the size
  kCallFork,         // (): process number to the parent, 0 to the child
  kCallWait,         // (int *code): process number of a child that ended
  kCallExec,         // (name, argument): becomes the program of that name
  kCallProcess,      // (): own process number
  kCallYield,        // (): lets the next process run
  kCallGrow,         // (bytes): enlarges the heap; gives its old end
  kCallMap,          // (bytes): zeroed memory at an address that the kernel chooses
  kCallUnmap,        // (address): takes a mapping away, whole
  kCallTime,         // (): timer ticks since the start
  kCallCommandLine,  // (buffer, size): the kernel's command line
};

enum { kNameBytes = 16, kCommandLineBytes = 256 };

#endif  // GUESTS_TEACH_CALLS_H_
