// SPDX-License-Identifier: Apache-2.0
//
// Calls of the virtual machine monitor, from ring 0 of 64-bit code: docs/hypercalls.md.
#ifndef GUESTS_COMMON_HYPERCALL_H_
#define GUESTS_COMMON_HYPERCALL_H_

#include <stdint.h>

enum {
  kCallFeatures,
  kCallMmuUpdate,
  kCallSetCr3,
  kCallInvalidate,
  kCallConsoleWrite,
  kCallExit,
  kCallCount,
};

enum {
  kErrorRefused = -1,
  kErrorTooMany = -7,
  kErrorBadPointer = -14,
  kErrorInvalid = -22,
  kErrorNoSuchCall = -38,
};

enum { kFeatureCalls = 1 << 0, kFeatureValidates = 1 << 1, kHypercallVersion = 1 };
enum { kInvalidateAddress = 0, kInvalidateAll = 1 };
enum { kMostUpdates = 512, kMostConsoleBytes = 4096 };

/// One page-table entry, by its physical address.
typedef struct Update {
  uint64_t at, value;
} Update;

/// The answer, 0 or an error. `result`, if not null, is what the call leaves in RDX.
static inline int64_t hypercall(uint64_t number, uint64_t first, uint64_t second,
                                uint64_t* result) {
  int64_t answer = (int64_t)number;
  uint64_t rdx = 0;
  __asm__ volatile("vmcall" : "+a"(answer), "+d"(rdx) : "D"(first), "S"(second) : "memory");
  if (result) *result = rdx;
  return answer;
}

#endif  // GUESTS_COMMON_HYPERCALL_H_
