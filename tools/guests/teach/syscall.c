// SPDX-License-Identifier: Apache-2.0
#include "teach/syscall.h"

#include "arch.h"
#include "common/console.h"
#include "common/string.h"
#include "teach/calls.h"
#include "teach/counters.h"
#include "teach/exec.h"
#include "teach/main.h"
#include "teach/process.h"

enum { kMaxWrite = 4096 };

// Every address that a program passes is checked against its areas first. Then the kernel just uses
// it: a page that has not come yet comes by a page fault in the kernel, like one of the program.

static intptr_t call_write(uintptr_t text, uintptr_t size) {
  if (size > kMaxWrite || !space_allows(&current->space, text, size, false)) return -1;
  console_write((const char*)text, size);
  return (intptr_t)size;
}

static intptr_t call_wait(uintptr_t code_address) {
  if (!space_allows(&current->space, code_address, sizeof(int), true)) return -1;
  int code = 0;
  int number = process_wait(&code);
  if (number > 0) *(int*)code_address = code;
  return number;
}

static intptr_t call_exec(uintptr_t name_address, uintptr_t argument, TrapFrame* frame) {
  // A copy, because the name goes with the old address space.
  char name[kNameBytes];
  if (!space_allows(&current->space, name_address, kNameBytes, false)) return -1;
  memcpy(name, (const char*)name_address, kNameBytes);
  name[kNameBytes - 1] = 0;
  return exec(name, argument, frame) ? 0 : -1;
}

static intptr_t call_command_line(uintptr_t buffer, uintptr_t size) {
  size_t length = string_length(command_line) + 1;
  if (size < length || !space_allows(&current->space, buffer, length, true)) return -1;
  memcpy((char*)buffer, command_line, length);
  return (intptr_t)length;
}

static intptr_t address_or_failure(uintptr_t address) {
  return address != 0 ? (intptr_t)address : -1;
}

static intptr_t dispatch(TrapFrame* frame) {
  uintptr_t first = frame_argument(frame, 0), second = frame_argument(frame, 1);
  switch (frame_call(frame)) {
    case kCallExit: process_exit((int)first);
    case kCallWrite: return call_write(first, second);
    case kCallFork: return process_fork(frame);
    case kCallWait: return call_wait(first);
    case kCallExec: return call_exec(first, second, frame);
    case kCallProcess: return current->number;
    case kCallYield: schedule(); return 0;
    case kCallGrow: return address_or_failure(space_grow(&current->space, first));
    case kCallMap: return address_or_failure(space_map(&current->space, first));
    case kCallUnmap: return space_unmap(&current->space, first) ? 0 : -1;
    case kCallTime: return (intptr_t)ticks;
    case kCallCommandLine: return call_command_line(first, second);
    default: return -1;
  }
}

void system_call(TrapFrame* frame) {
  counters.calls++;
  bool is_exec = frame_call(frame) == kCallExec;
  intptr_t result = dispatch(frame);
  // A new program starts with registers of its own.
  if (!is_exec || result != 0) frame_set_result(frame, result);
}
