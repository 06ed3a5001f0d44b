// SPDX-License-Identifier: Apache-2.0
//
// Reads address 0, where nothing is: the kernel must end this program.
#include "user/system.h"

int main(unsigned long argument) {
  print("fault: touching address 0\n");
  volatile const uint32_t* nowhere = (volatile const uint32_t*)argument;
  uint32_t value = *nowhere;
  print("fault: read %u and is still alive\n", value);
  return 0;
}
