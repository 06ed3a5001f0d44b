// SPDX-License-Identifier: Apache-2.0
//
// Sorts pseudo-random numbers on the heap: a large working set that comes page by page.
#include "user/system.h"

static void swap(uint32_t* a, uint32_t* b) {
  uint32_t kept = *a;
  *a = *b;
  *b = kept;
}

static void sift_down(uint32_t* heap, size_t root, size_t count) {
  for (size_t child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && heap[child] < heap[child + 1]) child++;
    if (heap[root] >= heap[child]) return;
    swap(&heap[root], &heap[child]);
  }
}

// Heap sort: no recursion, no bad case, and it jumps through memory.
static void sort(uint32_t* numbers, size_t count) {
  for (size_t root = count / 2; root-- > 0;) sift_down(numbers, root, count);
  for (size_t end = count; end-- > 1;) {
    swap(&numbers[0], &numbers[end]);
    sift_down(numbers, 0, end);
  }
}

int main(unsigned long count) {
  uint32_t* numbers = grow(count * sizeof *numbers);
  if (numbers == NULL) {
    print("sort: no memory for %lu numbers\n", count);
    return 1;
  }
  uint32_t state = 2463534242u, total = 0;
  for (size_t i = 0; i < count; i++) total += numbers[i] = next_random(&state);

  sort(numbers, count);

  uint32_t sum = 0;
  int sorted = 1;
  for (size_t i = 0; i < count; i++) {
    if (i > 0 && numbers[i - 1] > numbers[i]) sorted = 0;
    total -= numbers[i];
    sum = mix(sum, numbers[i]);
  }
  print("sort: %lu numbers, checksum %08x%s\n", count, sum, sorted ? "" : ", not sorted");
  return sorted && total == 0 ? 0 : 1;
}
