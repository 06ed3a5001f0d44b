// SPDX-License-Identifier: Apache-2.0
//
// The few functions of the C library that the compiler itself calls, and two more.
#ifndef GUESTS_COMMON_STRING_H_
#define GUESTS_COMMON_STRING_H_

#include <stdbool.h>
#include <stddef.h>

void* memset(void* to, int value, size_t size);
void* memcpy(void* to, const void* from, size_t size);
size_t string_length(const char* text);
bool string_equal(const char* a, const char* b);

/// The first place of `part` in `text`, or null.
const char* string_find(const char* text, const char* part);

#endif  // GUESTS_COMMON_STRING_H_
