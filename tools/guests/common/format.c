// SPDX-License-Identifier: Apache-2.0
#include "common/format.h"

#include <stdbool.h>

typedef struct Output {
  char *at, *end;
} Output;

static void put(Output* out, char c) {
  if (out->at < out->end) *out->at++ = c;
}

static void put_number(Output* out, unsigned long value, unsigned base, unsigned width) {
  char digits[3 * sizeof value];
  unsigned count = 0;
  do {
    digits[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  while (width-- > count) put(out, '0');
  while (count) put(out, digits[--count]);
}

size_t format(char* start, size_t size, const char* text, va_list arguments) {
  Output out = {start, start + size - 1};
  for (; *text; text++) {
    if (*text != '%') {
      put(&out, *text);
      continue;
    }
    text++;
    unsigned width = 0;
    while (*text >= '0' && *text <= '9') width = 10 * width + (unsigned)(*text++ - '0');
    bool wide = *text == 'l';
    if (wide) text++;
    switch (*text) {
      case 's':
        for (const char* s = va_arg(arguments, const char*); *s; s++) put(&out, *s);
        break;
      case 'c': put(&out, (char)va_arg(arguments, int)); break;
      case 'd': {
        long value = wide ? va_arg(arguments, long) : va_arg(arguments, int);
        if (value < 0) put(&out, '-');
        put_number(&out, value < 0 ? 0 - (unsigned long)value : (unsigned long)value, 10, width);
        break;
      }
      case 'u':
      case 'x': {
        unsigned long value = wide ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned);
        put_number(&out, value, *text == 'x' ? 16 : 10, width);
        break;
      }
      default: put(&out, *text); break;
    }
  }
  *out.at = 0;
  return (size_t)(out.at - start);
}
