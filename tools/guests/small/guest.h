// SPDX-License-Identifier: Apache-2.0
//
// What every small guest includes: its main function and the runtime it may use.
#ifndef GUESTS_SMALL_GUEST_H_
#define GUESTS_SMALL_GUEST_H_

#include "common/check.h"
#include "common/console.h"
#include "common/cpu.h"
#include "common/machine.h"
#include "common/traps.h"
#include "descriptors.h"

/// The guest; what it returns goes to the debug-exit port: 0 when all checks pass, else 1.
unsigned guest_main(void);

/// Prints the last line of guest `name` and returns what guest_main has to return.
static inline unsigned finish(const char* name) {
  unsigned failures = check_failures();
  print("%s: %s\n", name, failures == 0 ? "PASS" : "FAIL");
  return failures != 0;
}

#endif  // GUESTS_SMALL_GUEST_H_
