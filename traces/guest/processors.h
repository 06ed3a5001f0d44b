// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GUEST_PROCESSORS_H_
#define TRACES_GUEST_PROCESSORS_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "gnomon/guest/kernel.h"
#include "traces/guest/page_table.h"
#include "traces/guest/vma.h"

namespace gnomon::guest {

/// The address space of a process.
struct Mm {
  Mm(ProcessKey of, Gpa table, uint64_t number, uint64_t& mappings, const ObjectUse& use)
      : key(of), root(table), context(number), vmas(mappings, use) {}

  const ProcessKey key;
  const Gpa root;
  const uint64_t context;   ///< never used for another one
  uint64_t generation = 1;  ///< counts its flushes
  VmaMap vmas;
  std::optional<uint64_t> heap_start, heap_end;
};

/// What has to be flushed after entries were taken away or lost rights: from the first to the last
/// page concerned, in steps of the smallest.
struct FlushRange {
  uint64_t start = ~uint64_t{0};
  uint64_t end = 0;
  uint64_t step = kBlockBytes;

  void add(uint64_t va, uint64_t bytes) {
    start = std::min(start, va);
    end = std::max(end, va + bytes);
    step = std::min(step, bytes);
  }
  bool empty() const { return start >= end; }
};

/// One processor as the kernel sees it.
struct Processor {
  /// As Linux: six PCIDs a processor, given to address spaces in turn.
  static constexpr unsigned kPcids = 6;
  struct PcidUse {
    uint64_t context = 0;
    uint64_t generation = 0;
  };

  GuestCpu* cpu = nullptr;
  Mm* loaded = nullptr;  ///< null: the kernel's own root
  std::optional<ProcessKey> process;
  std::array<PcidUse, kPcids> pcids{};
  unsigned pcid = 0;  ///< index of the one in use
  unsigned next_pcid = 0;
};

/// Which address space is loaded where, and what is invalidated where.
class Processors {
 public:
  /// More pages than that: the whole address space is flushed (Linux:
  /// tlb_single_page_flush_ceiling).
  static constexpr uint64_t kSinglePages = 33;

  Processors(absl::Span<GuestCpu* const> cpus, PageTables& tables, GuestStats& stats, bool pcid);

  size_t size() const { return all_.size(); }
  Processor& operator[](unsigned id) { return all_[id]; }

  void use_kernel_root(Gpa root) { kernel_root_ = root; }
  /// Switches to an address space, or to the kernel's own (null).
  void load(Processor& p, Mm* mm);
  /// On `self` and, by interrupt, on all others where it is loaded. Where only a PCID may hold old
  /// translations, it is flushed when it is loaded there next.
  void flush(Processor& self, Mm& mm, const FlushRange& range);
  void flush_all(Processor& self, Mm& mm);
  /// No processor has it loaded afterwards.
  void unload(Processor& self, Mm& mm);

 private:
  void load_cr3(Processor& p, uint64_t value);
  uint64_t cr3_of(const Processor& p, const Mm& mm) const;

  std::vector<Processor> all_;
  PageTables& tables_;
  GuestStats& stats_;
  const bool pcid_;
  Gpa kernel_root_;
};

}  // namespace gnomon::guest

#endif  // TRACES_GUEST_PROCESSORS_H_
