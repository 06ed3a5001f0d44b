// SPDX-License-Identifier: Apache-2.0
//
// The console: a 16550 serial port at 0x3f8, polled.
#ifndef GUESTS_COMMON_CONSOLE_H_
#define GUESTS_COMMON_CONSOLE_H_

#include <stddef.h>

void console_init(void);
void console_write(const char* text, size_t size);

/// Formats as in common/format.h; at most 255 characters a call.
void print(const char* text, ...);

#endif  // GUESTS_COMMON_CONSOLE_H_
