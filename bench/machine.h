// SPDX-License-Identifier: Apache-2.0
#ifndef BENCH_MACHINE_H_
#define BENCH_MACHINE_H_

#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "gnomon/backend.h"
#include "gnomon/memory/bytes.h"
#include "gnomon/x86/guest_walk.h"

namespace gnomon::bench {

inline constexpr uint64_t kUser = pte::kPresent | pte::kWritable | pte::kUser;
/// Of a page that was read and written before: an access has no flag left to set.
inline constexpr uint64_t kUsed = kUser | pte::kAccessed | pte::kDirty;
inline constexpr Access kRead{AccessOp::kRead, Privilege::kUser};
inline constexpr Access kWrite{AccessOp::kWrite, Privilege::kUser};

inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kPagesPerTable = 512;
/// Guest-physical layout: the guest's tables, and data. The indices of both differ by level, as on
/// a machine that has been up for a while, so that the entries of a walk do not all fall into one
/// cache set.
inline constexpr uint64_t kTables = 0x1'4321'0000;
inline constexpr uint64_t kTableBytes = 256_MiB;
inline constexpr uint64_t kData = 0x8'8040'0000;
/// Where benchmarks map their pages, below 2^32 for the narrow modes.
inline constexpr uint64_t kVa = 0x5433'2240'0000;
inline constexpr uint64_t kVa32 = 0x5440'0000;

/// Nobody measures a machine that is not what it should be.
inline void require(bool ok) {
  if (!ok) std::abort();
}

/// SplitMix64.
class Random {
 public:
  uint64_t below(uint64_t bound) {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (z ^ (z >> 31)) % bound;
  }

 private:
  uint64_t state_ = 1;
};

/// A guest with one vCPU under the backend class `Mmu`, named so that its calls are direct. Frames
/// have their host frames from the start, so that no measurement contains the allocation.
template <class Mmu>
class Machine {
 public:
  explicit Machine(absl::string_view spec, uint64_t data_pages = 16384,
                   PagingMode mode = PagingMode::kLevel4)
      : mode_(mode),
        host_(HostMemory::create(kTableBytes + data_pages * kPage + 512_MiB).value()),
        p2m_(*host_) {
    const bool narrow = mode == PagingMode::kLegacy32 || mode == PagingMode::kPae;
    tables_ = narrow ? 0x1321'0000 : kTables;
    data_ = narrow ? 0x4040'0000 : kData;
    require(p2m_.add_slot(Gpa(tables_), narrow ? 16_MiB : kTableBytes).ok());
    require(p2m_.add_slot(Gpa(data_), data_pages * kPage).ok());
    for (uint64_t i = 0; i < data_pages; ++i) p2m_.back(data(i));
    backend_ = create_backend(spec, p2m_).value();
    mmu_ = dynamic_cast<Mmu*>(backend_.get());
    require(mmu_ != nullptr);

    const bool long_mode = mode == PagingMode::kLevel4 || mode == PagingMode::kLevel5;
    levels_ = mode == PagingMode::kLevel5   ? 5
              : mode == PagingMode::kLevel4 ? 4
              : mode == PagingMode::kPae    ? 3
                                            : 2;
    Controls& c = cpu_.controls;
    c.cr0 = cr0::kPE | cr0::kWP | cr0::kPG;
    c.cr4 = (mode == PagingMode::kLegacy32 ? cr4::kPSE : cr4::kPAE) |
            (mode == PagingMode::kLevel5 ? cr4::kLA57 : 0);
    c.efer = long_mode ? efer::kLME | efer::kLMA | efer::kNXE : 0;
    root_ = new_table();
    c.cr3 = root_.value();
    cpu_.update_rules();
    mmu_->attach(cpu_);
  }
  ~Machine() { mmu_->detach(cpu_); }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  Mmu& mmu() { return *mmu_; }
  VcpuState& cpu() { return cpu_; }
  P2m& p2m() { return p2m_; }
  Gpa root() const { return root_; }
  Gpa data(uint64_t page) const { return Gpa(data_ + page * kPage); }
  Gva va(uint64_t page) const { return Gva((levels_ < 4 ? kVa32 : kVa) + page * kPage); }

  Gpa new_table() {
    const Gpa at(tables_ + tables_made_++ * kPage);
    p2m_.back(at);
    return at;
  }
  /// An entry written as before the machine started, or while nothing tracks the table.
  void poke(Gpa at, uint64_t value) {
    store_bytes(p2m_.ram_at(at), value, entry_bytes());
  }
  unsigned entry_bytes() const { return mode_ == PagingMode::kLegacy32 ? 4 : 8; }
  /// Where the entry of `va` at `level` is; tables missing above it are made.
  Gpa entry_at(Gpa space, Gva va, unsigned level = 1) {
    const unsigned bits = entry_bytes() == 4 ? 10 : 9;
    Gpa table = space;
    for (unsigned l = levels_;; --l) {
      const uint64_t index = va.value() >> (12 + bits * (l - 1)) & ((uint64_t{1} << bits) - 1);
      const Gpa at(table.value() + index * entry_bytes());
      if (l == level) return at;
      uint64_t e = load_bytes(p2m_.ram_at(at), entry_bytes());
      if ((e & pte::kPresent) == 0) {
        const bool pdpte = levels_ == 3 && l == 3;
        poke(at, e = new_table().value() | (pdpte ? pte::kPresent : kUser | pte::kAccessed));
      }
      table = Gpa(e & pte::kFrameMask);
    }
  }
  /// Maps `pages` pages from va(first) on to the data pages of the same numbers.
  void map(Gpa space, uint64_t first, uint64_t pages, uint64_t flags = kUsed) {
    for (uint64_t i = first; i < first + pages; ++i) {
      poke(entry_at(space, va(i)), data(i).value() | flags);
    }
    if (levels_ == 3) require(load_pdptes(p2m_, cpu_.controls, cpu_.rules));
  }
  void map(uint64_t pages, uint64_t flags = kUsed) { map(root_, 0, pages, flags); }

  Translation access(Gva at, Access how = kRead) { return mmu_->miss(cpu_, at, how); }
  void touch(uint64_t page, Access how = kRead) { require(access(va(page), how).ok()); }
  void touch_all(uint64_t first, uint64_t pages, Access how = kRead) {
    for (uint64_t i = first; i < first + pages; ++i) touch(i, how);
  }
  void load_cr3(Gpa space) {
    cpu_.controls.cr3 = space.value();
    mmu_->cr3_loaded(cpu_, true);
  }
  /// References of the next access: says whether it is the walk that one means to measure.
  uint64_t references(uint64_t page, Access how = kRead) {
    const uint64_t before = cpu_.counters.walk_references();
    touch(page, how);
    return cpu_.counters.walk_references() - before;
  }
  void report_bytes(benchmark::State& state, uint64_t pages) {
    state.counters["bytes_per_page"] =
        static_cast<double>(mmu_->table_bytes()) / static_cast<double>(pages);
  }

 private:
  const PagingMode mode_;
  std::unique_ptr<HostMemory> host_;
  P2m p2m_;
  std::unique_ptr<Backend> backend_;
  Mmu* mmu_ = nullptr;
  VcpuState cpu_;
  unsigned levels_ = 0;
  uint64_t tables_ = 0, data_ = 0, tables_made_ = 0;
  Gpa root_;
};

/// Processor time of this thread.
inline double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}
/// What reading that clock twice shows when nothing happens in between.
inline double clock_overhead() {
  static const double least = [] {
    double shortest = 1;
    for (int i = 0; i < 1000; ++i) {
      const double start = cpu_seconds();
      shortest = std::min(shortest, cpu_seconds() - start);
    }
    return shortest;
  }();
  return least;
}
/// Processor seconds that `f()` takes, for benchmarks that prepare each batch: PauseTiming costs
/// more than most of what is measured here.
template <class F>
double seconds(F&& f) {
  const double overhead = clock_overhead();
  const double start = cpu_seconds();
  f();
  return std::max(cpu_seconds() - start - overhead, 0.0);
}

/// Hot accesses: `pages` pages in turn, all of them in place.
template <class Mmu>
void run_hot(benchmark::State& state, Machine<Mmu>& m, uint64_t pages, Access how = kRead) {
  m.touch_all(0, pages, how);
  uint64_t page = 0;
  const uint64_t references = m.references(0, how);
  for (auto _ : state) {
    benchmark::DoNotOptimize(m.access(m.va(page), how));
    page = page + 1 == pages ? 0 : page + 1;
  }
  state.counters["references"] = static_cast<double>(references);
}

}  // namespace gnomon::bench

#endif  // BENCH_MACHINE_H_
