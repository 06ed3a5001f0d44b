// SPDX-License-Identifier: Apache-2.0
//
// Multiplies two matrices of integers: one is read along its rows, the other along its columns,
// which touches a new page for every element or two.
#include "user/system.h"

enum { kMaxSize = 4096 };

int main(unsigned long size) {
  size_t elements = size * size;
  uint32_t* a = size > kMaxSize ? NULL : map(3 * elements * sizeof *a);
  if (a == NULL) {
    print("matrix: no memory for size %lu\n", size);
    return 1;
  }
  uint32_t *b = a + elements, *product = b + elements;
  uint32_t state = 88675123;
  for (size_t i = 0; i < 2 * elements; i++) a[i] = next_random(&state) & 0xffff;

  for (size_t row = 0; row < size; row++) {
    for (size_t column = 0; column < size; column++) {
      uint32_t sum = 0;
      for (size_t i = 0; i < size; i++) sum += a[row * size + i] * b[i * size + column];
      product[row * size + column] = sum;
    }
  }

  uint32_t sum = 0;
  for (size_t i = 0; i < elements; i++) sum = mix(sum, product[i]);
  print("matrix: %lu x %lu, checksum %08x\n", size, size, sum);
  return unmap(a) == 0 ? 0 : 1;
}
