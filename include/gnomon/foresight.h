// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_FORESIGHT_H_
#define GNOMON_FORESIGHT_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "gnomon/base/address.h"

// A driver that knows which accesses come next (a trace) can have what their walks will read brought into
// our own processor's caches, many at a time. A walk of a large guest otherwise waits for memory twice or more:
// for the last entry of its tables, and then for what that entry names.

namespace gnomon {

/// Where last-level tables are, as far as somebody has looked. Hints and no more: a table may have been freed since,
/// and what lies there then is of no use, but it is host memory all the same.
class LastTables {
 public:
  /// The host frame of the table that maps 2M number `region` of the space whose root table is at `root`; Hpa() if
  /// there is none. `find()` looks where none is known.
  template <class Find>
  Hpa of(uint64_t root, uint64_t region, Find&& find) {
    const uint64_t key = (root ^ region * 0x9e37'79b9'7f4a'7c15) | 1;
    Slot& slot = slots_[(region ^ root >> 12) % kSlots];
    if (slot.key != key) [[unlikely]] {
      slot.table = find();
      slot.key = slot.table == Hpa() ? 0 : key;
    }
    return slot.table;
  }

 private:
  static constexpr size_t kSlots = 1024;
  struct Slot {
    uint64_t key = 0;
    Hpa table;
  };
  std::array<Slot, kSlots> slots_{};
};

/// What Backend::foresee remembers from call to call. Each vCPU has its own.
struct Foresight {
  static constexpr size_t kMost = 64;  ///< addresses a call
  LastTables walked;  ///< of the tables that the processor walks for a guest-virtual address
  LastTables host;    ///< of nested tables, by guest-physical address
};

}  // namespace gnomon

#endif  // GNOMON_FORESIGHT_H_
