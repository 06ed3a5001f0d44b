// SPDX-License-Identifier: Apache-2.0
//
// Options of a kernel command line: "run=sort,churn n=20000".
#ifndef GUESTS_COMMON_OPTIONS_H_
#define GUESTS_COMMON_OPTIONS_H_

#include <stdbool.h>
#include <stddef.h>

/// The text after "NAME=" where a word starts with it, up to the next space; or null.
const char* option_text(const char* line, const char* name, size_t* length);

/// The decimal number after "NAME=", or `otherwise` if there is none. Stops at 10^9.
unsigned long option_number(const char* line, const char* name, unsigned long otherwise);

/// Whether the list after "NAME=" (words between commas) has `word`; true if there is no list.
bool option_lists(const char* line, const char* name, const char* word);

#endif  // GUESTS_COMMON_OPTIONS_H_
