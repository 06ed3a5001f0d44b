// SPDX-License-Identifier: Apache-2.0
#include "common/string.h"

// String instructions: short, and one instruction for a whole page.
void *memset(void *to, int value, size_t size) {
  void *result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
  return result;
}

void *memcpy(void *to, const void *from, size_t size) {
  void *result = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
  return result;
}

size_t string_length(const char *text) {
  size_t length = 0;
  while (text[length]) length++;
  return length;
}

bool string_equal(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

const char *string_find(const char *text, const char *part) {
  size_t length = string_length(part);
  for (; *text; text++) {
    size_t same = 0;
    while (same < length && text[same] == part[same]) same++;
    if (same == length) return text;
  }
  return NULL;
}
