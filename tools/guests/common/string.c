// SPDX-License-Identifier: Apache-2.0
#include "common/string.h"

#include <stdint.h>

#ifdef __x86_64__
#define REPEAT_STORE "rep stosq"
#define REPEAT_MOVE "rep movsq"
#else
#define REPEAT_STORE "rep stosl"
#define REPEAT_MOVE "rep movsl"
#endif
enum { kWord = sizeof(uintptr_t) };

// String instructions, a word at a time: most of what is filled and copied here are pages.
void* memset(void* to, int value, size_t size) {
  void* result = to;
  uintptr_t word = (unsigned char)value * (~(uintptr_t)0 / 0xff);
  size_t words = size / kWord, rest = size % kWord;
  __asm__ volatile(REPEAT_STORE : "+D"(to), "+c"(words) : "a"(word) : "memory");
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(rest) : "a"(word) : "memory");
  return result;
}

void* memcpy(void* to, const void* from, size_t size) {
  void* result = to;
  size_t words = size / kWord, rest = size % kWord;
  __asm__ volatile(REPEAT_MOVE : "+D"(to), "+S"(from), "+c"(words) : : "memory");
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(rest) : : "memory");
  return result;
}

size_t string_length(const char* text) {
  size_t length = 0;
  while (text[length]) length++;
  return length;
}

bool string_equal(const char* a, const char* b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

const char* string_find(const char* text, const char* part) {
  size_t length = string_length(part);
  for (; *text; text++) {
    size_t same = 0;
    while (same < length && text[same] == part[same]) same++;
    if (same == length) return text;
  }
  return NULL;
}
