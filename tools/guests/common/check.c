// SPDX-License-Identifier: Apache-2.0
#include "common/check.h"

#include "common/console.h"

static unsigned failures;

bool check(bool good, const char* what) {
  print("%s %s\n", good ? "PASS" : "FAIL", what);
  if (!good) failures++;
  return good;
}

bool check_of(bool good, const char* name, const char* what) {
  print("%s %s: %s\n", good ? "PASS" : "FAIL", name, what);
  if (!good) failures++;
  return good;
}

void skip(const char* what, const char* why) { print("SKIP %s: %s\n", what, why); }

unsigned check_failures(void) { return failures; }
