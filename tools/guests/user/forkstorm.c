// SPDX-License-Identifier: Apache-2.0
//
// Forks many children that live a short time and write to pages they share with the parent. Each
// must see its own writes and none of the others'.
#include "user/system.h"

enum { kPage = 4096, kPages = 12, kWords = kPage / sizeof(uint32_t), kAtOnce = 8 };

static uint32_t shared[kPages * kWords];
static uint32_t constants[kWords] = {1, 2, 3};  // pages of the image are shared in the same way

// What child `number` does; its exit code is a sum that the parent can predict.
static int child(unsigned number) {
  uint32_t sum = 0;
  for (unsigned page = number % 3; page < kPages; page += 3) {
    shared[page * kWords] += number;
    yield();  // let a brother write to the same page
  }
  constants[0] += number;
  for (unsigned page = 0; page < kPages; page++) sum += shared[page * kWords];
  return (int)((sum + constants[0]) & 0x7f);
}

static int predicted(unsigned number) {
  uint32_t sum = 0;
  for (unsigned page = 0; page < kPages; page++) {
    sum += 1000 * page + (page % 3 == number % 3 ? number : 0);
  }
  return (int)((sum + 1 + number) & 0x7f);
}

int main(unsigned long forks) {
  for (unsigned page = 0; page < kPages; page++) shared[page * kWords] = 1000 * page;
  unsigned long started = 0;
  unsigned sum = 0, wanted = 0;
  while (started < forks) {
    unsigned batch = 0;
    for (; batch < kAtOnce && started < forks; batch++, started++) {
      int number = fork();
      if (number == 0) leave(child((unsigned)started));
      if (number < 0) {
        print("forkstorm: no process for child %lu\n", started);
        return 1;
      }
      wanted += (unsigned)predicted((unsigned)started);
    }
    for (; batch > 0; batch--) {
      int code = 0;
      if (wait(&code) < 0) return 1;
      sum += (unsigned)code;
    }
  }
  int untouched = constants[0] == 1;
  for (unsigned page = 0; page < kPages; page++) untouched &= shared[page * kWords] == 1000 * page;
  print("forkstorm: %lu children, sum %u, expected %u%s\n", forks, sum, wanted,
        untouched ? "" : "; the parent's pages changed");
  return sum == wanted && untouched ? 0 : 1;
}
