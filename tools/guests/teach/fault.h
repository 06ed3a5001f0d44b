// SPDX-License-Identifier: Apache-2.0
#ifndef GUESTS_TEACH_FAULT_H_
#define GUESTS_TEACH_FAULT_H_

#include "teach/space.h"

typedef enum FaultResult { kResolved, kForbidden, kOutOfMemory } FaultResult;

/// Answers a page fault in the space in use: tells a page that is still to come from one to be
/// copied and from a mistake of the program. `error` is the processor's error code.
FaultResult fault_resolve(AddressSpace* space, uintptr_t address, uintptr_t error);

#endif  // GUESTS_TEACH_FAULT_H_
