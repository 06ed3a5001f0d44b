// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GUEST_KERNEL_MAP_H_
#define TRACES_GUEST_KERNEL_MAP_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "gnomon/guest/cpu.h"
#include "traces/guest/frames.h"
#include "traces/guest/page_table.h"

namespace gnomon::guest {

/// The kernel's half of every address space, all of it in global supervisor pages, laid out as
/// in a 64-bit Linux:
///
///   ffff888000000000  memory as a whole, at fixed distance; read-only here, since all that the
///   kernel
///                     stores there are table entries and page contents, which have calls of their
///                     own. A 2M block appears when the first table of a process lies in it.
///   ffffffff81000000  text (2 pages), then data (1), then stacks and data of each processor (1)
class KernelMap {
 public:
  static constexpr uint64_t kDirect = 0xffff'8880'0000'0000;
  static constexpr uint64_t kText = 0xffff'ffff'8100'0000;
  static constexpr unsigned kTextPages = 2;
  static constexpr uint64_t kData = kText + kTextPages * kBlockBytes;
  static constexpr uint64_t kPerCpu = kData + kBlockBytes;
  static constexpr uint64_t kPerCpuBytes = 32
                                           << 10;  ///< of one processor: its stack, then its data
  static constexpr uint64_t kStackBytes = 16 << 10;

  /// With `large` in 2M pages, else the same in 4K pages: more tables, and more TLB entries.
  KernelMap(Frames& frames, PageTables& tables, bool large)
      : frames_(frames), tables_(tables), large_(large) {}

  static Gva direct(Gpa gpa) { return Gva(kDirect + gpa.value()); }

  /// Writes the kernel's entries into the kernel's own root. False: no memory.
  bool build(GuestCpu& cpu, Gpa root);
  /// Copies them into the root of a process.
  void copy_to(GuestCpu& cpu, Gpa root);
  /// Maps the block around a table. False: no memory.
  bool cover(GuestCpu& cpu, Gpa table);

 private:
  std::optional<Gpa> add_table(GuestCpu& cpu, Gpa at);
  bool map_block(GuestCpu& cpu, Gpa at, uint64_t block, uint64_t leaf);

  Frames& frames_;
  PageTables& tables_;
  bool large_;
  std::vector<std::pair<unsigned, uint64_t>> root_entries_;
  std::vector<Gpa> giant_tables_;  // level 3, one for each 512G of memory
  std::vector<Gpa> block_tables_;  // level 2, one for each 1G; address 0: not made yet
  std::vector<bool> covered_;      // by block
};

}  // namespace gnomon::guest

#endif  // TRACES_GUEST_KERNEL_MAP_H_
