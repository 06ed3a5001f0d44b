// SPDX-License-Identifier: Apache-2.0
#include "common/options.h"

#include "common/string.h"

static bool starts_with(const char* text, const char* start, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (text[i] != start[i]) return false;
  }
  return true;
}

const char* option_text(const char* line, const char* name, size_t* length) {
  size_t name_length = string_length(name);
  while (*line) {
    while (*line == ' ') line++;
    const char* word = line;
    while (*line && *line != ' ') line++;
    if ((size_t)(line - word) > name_length && word[name_length] == '=' &&
        starts_with(word, name, name_length)) {
      word += name_length + 1;
      *length = (size_t)(line - word);
      return word;
    }
  }
  return NULL;
}

unsigned long option_number(const char* line, const char* name, unsigned long otherwise) {
  size_t length;
  const char* text = option_text(line, name, &length);
  if (text == NULL || length == 0) return otherwise;
  unsigned long value = 0;
  for (size_t i = 0; i < length; i++) {
    if (text[i] < '0' || text[i] > '9') return otherwise;
    value = 10 * value + (unsigned long)(text[i] - '0');
    if (value > 1000000000) return 1000000000;
  }
  return value;
}

bool option_lists(const char* line, const char* name, const char* word) {
  size_t length;
  const char* text = option_text(line, name, &length);
  if (text == NULL) return true;
  size_t word_length = string_length(word);
  for (size_t start = 0; start < length;) {
    size_t end = start;
    while (end < length && text[end] != ',') end++;
    if (end - start == word_length && starts_with(text + start, word, word_length)) return true;
    start = end + 1;
  }
  return false;
}
