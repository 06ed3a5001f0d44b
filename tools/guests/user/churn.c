// SPDX-License-Identifier: Apache-2.0
//
// Maps, touches and unmaps pages again and again: hard work for whoever mirrors the page tables.
#include "user/system.h"

enum { kPage = 4096, kSmall = 8, kLarge = 64 };

// Writes to every page and reads it back; a page that was used before must come as zeros.
static int touch(uint32_t* words, size_t pages, uint32_t value, uint32_t* sum) {
  size_t step = kPage / sizeof *words;
  for (size_t page = 0; page < pages; page++) {
    if (words[page * step] != 0 || words[page * step + step - 1] != 0) return 0;
    words[page * step] = value + (uint32_t)page;
  }
  for (size_t page = 0; page < pages; page++) *sum = mix(*sum, words[page * step]);
  return 1;
}

int main(unsigned long rounds) {
  uint32_t sum = 0;
  unsigned long before = time();
  for (unsigned long round = 0; round < rounds; round++) {
    uint32_t *small = map(kSmall * kPage), *large = map(kLarge * kPage);
    if (small == NULL || large == NULL) {
      print("churn: no memory in round %lu\n", round);
      return 1;
    }
    int good =
        touch(small, kSmall, (uint32_t)round, &sum) && touch(large, kLarge, ~(uint32_t)round, &sum);
    // In turns: what is mapped next finds another hole.
    if (round & 1) good = good && unmap(small) == 0;
    good = good && unmap(large) == 0;
    if (!(round & 1)) good = good && unmap(small) == 0;
    if (!good || unmap(large) == 0) {
      print("churn: wrong contents or a mapping that stays, in round %lu\n", round);
      return 1;
    }
  }
  print("churn: %lu rounds of %u pages, checksum %08x\n", rounds, kSmall + kLarge, sum);
  return time() >= before ? 0 : 1;
}
