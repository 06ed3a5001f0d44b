// SPDX-License-Identifier: Apache-2.0
#include "teach/tables.h"

#include <stddef.h>

#include "common/string.h"
#include "teach/frames.h"

enum { kEntries = 1 << kIndexBits, kTop = kLevels - 1 };

// What a table entry that leads to another table allows: everything; level 0 decides.
enum { kTableRights = kPresent | kWritable | kUser };

static unsigned index_at(uintptr_t address, int level) {
  return (unsigned)(address >> (12 + level * kIndexBits)) & (kEntries - 1);
}

static uintptr_t entry_frame(Entry entry) { return (uintptr_t)(entry & FRAME_MASK); }

static Entry* table_of(Entry entry) { return to_virtual(entry_frame(entry)); }

Entry* tables_new(void) {
  uintptr_t frame = frame_new();
  if (frame == 0) return NULL;
  Entry* root = to_virtual(frame);
  memset(root, 0, kUserEntries * sizeof(Entry));
  memcpy(root + kUserEntries, kernel_root + kUserEntries,
         (kEntries - kUserEntries) * sizeof(Entry));
  return root;
}

static Entry* table_below(Entry* entry, bool create) {
  if (*entry & kPresent) return table_of(*entry);
  uintptr_t frame = create ? frame_new_zeroed() : 0;
  if (frame == 0) return NULL;
  *entry = (Entry)frame | kTableRights;
  return to_virtual(frame);
}

Entry* tables_find(Entry* root, uintptr_t address, bool create) {
  Entry* table = root;
  for (int level = kTop; level > 0; level--) {
    table = table_below(&table[index_at(address, level)], create);
    if (table == NULL) return NULL;
  }
  return &table[index_at(address, 0)];
}

static bool share(Entry* to, Entry* from, int level, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    if (!(from[i] & kPresent)) continue;
    if (level > 0) {
      Entry* below = table_below(&to[i], true);
      if (below == NULL || !share(below, table_of(from[i]), level - 1, kEntries)) return false;
      continue;
    }
    if (from[i] & kWritable) from[i] = (from[i] & ~(Entry)kWritable) | kCopyOnWrite;
    to[i] = from[i] & ~(Entry)(kAccessed | kDirty);
    frame_share(entry_frame(from[i]));
  }
  return true;
}

bool tables_share(Entry* to, Entry* from) { return share(to, from, kTop, kUserEntries); }

static bool is_empty(const Entry* table) {
  for (unsigned i = 0; i < kEntries; i++) {
    if (table[i] & kPresent) return false;
  }
  return true;
}

// Of `start` and `end` only the bits that index this level and those below count; an `end` of 0
// means the end of the table, as does its last index.
static void unmap(Entry* table, int level, uintptr_t start, uintptr_t end) {
  unsigned first = index_at(start, level), last = index_at(end - 1, level);
  for (unsigned i = first; i <= last; i++) {
    if (!(table[i] & kPresent)) continue;
    if (level > 0) {
      Entry* below = table_of(table[i]);
      unmap(below, level - 1, i == first ? start : 0, i == last ? end : 0);
      if (!is_empty(below)) continue;
    }
    uintptr_t frame = entry_frame(table[i]);
    table[i] = 0;
    frame_release(frame);
  }
}

void tables_unmap(Entry* root, uintptr_t start, uintptr_t end) { unmap(root, kTop, start, end); }

void tables_free(Entry* root) {
  unmap(root, kTop, 0, USER_END);
  frame_release(to_physical(root));
}
