// SPDX-License-Identifier: Apache-2.0
//
// PASS and FAIL lines of the small guests.
#ifndef GUESTS_COMMON_CHECK_H_
#define GUESTS_COMMON_CHECK_H_

#include <stdbool.h>

/// Prints "PASS what" or "FAIL what" and returns `good`.
bool check(bool good, const char *what);

/// Prints "SKIP what: why".
void skip(const char *what, const char *why);

/// How many checks failed.
unsigned check_failures(void);

#endif  // GUESTS_COMMON_CHECK_H_
