// SPDX-License-Identifier: Apache-2.0
//
// PASS and FAIL lines of the small guests.
#ifndef GUESTS_COMMON_CHECK_H_
#define GUESTS_COMMON_CHECK_H_

#include <stdbool.h>

/// Prints "PASS what" or "FAIL what" and returns `good`.
bool check(bool good, const char* what);

/// The same for one of several: "PASS name: what".
bool check_of(bool good, const char* name, const char* what);

/// Prints "SKIP what: why".
void skip(const char* what, const char* why);

/// How many checks failed.
unsigned check_failures(void);

#endif  // GUESTS_COMMON_CHECK_H_
