// SPDX-License-Identifier: Apache-2.0
//
// Reads an address where nothing is, 0 if not told otherwise: the kernel must end this program.
#include "user/system.h"

int main(unsigned long argument) {
  print("fault: reading address %lx\n", argument);
  volatile const uint32_t* nowhere = (volatile const uint32_t*)argument;
  uint32_t value = *nowhere;
  print("fault: read %u and is still alive\n", value);
  return 0;
}
