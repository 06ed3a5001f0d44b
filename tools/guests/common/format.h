// SPDX-License-Identifier: Apache-2.0
#ifndef GUESTS_COMMON_FORMAT_H_
#define GUESTS_COMMON_FORMAT_H_

#include <stdarg.h>
#include <stddef.h>

/// Writes `text` with its conversions to `out`, always terminated, cut at `size` bytes. Returns the
/// length without the terminator. Conversions: %s %c %d %u %x, and %ld %lu %lx for words as wide as
/// an address; %08x pads with zeros.
size_t format(char* out, size_t size, const char* text, va_list arguments);

#endif  // GUESTS_COMMON_FORMAT_H_
