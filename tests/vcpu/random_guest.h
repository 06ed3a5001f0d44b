// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_VCPU_RANDOM_GUEST_H_
#define TESTS_VCPU_RANDOM_GUEST_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gnomon/backend.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/vcpu.h"
#include "tests/naive/naive_mmu.h"
#include "tests/scenario/random.h"
#include "tests/vcpu/discipline.h"

namespace gnomon::vcpu_test {

using scenario::Random;

// Guest-physical: tables and data in 4K host pages, then 8M in 2M ones, read-only memory, a device.
inline constexpr uint64_t kPage = 0x1000;
inline constexpr uint64_t kTablesPerLevel = 4, kFirstTable = 4, kLastTable = 23;
inline constexpr uint64_t kFirstData = 64, kDataFrames = 40;
inline constexpr uint64_t kBig = 4_MiB, kBigBytes = 8_MiB;
inline constexpr uint64_t kRom = 16_MiB, kDevice = 17_MiB, kHole = 18_MiB;
inline constexpr uint64_t kFrames = (kRom >> 12) + 16;
inline constexpr unsigned kPages = 18;

inline bool is_table(uint64_t gpa) { return gpa >> 12 >= kFirstTable && gpa >> 12 <= kLastTable; }

/// What happened, over several guests.
struct Counts {
  uint64_t accesses = 0, translated = 0, faults = 0, host_stops = 0, hits = 0, flags = 0;
  uint64_t table_writes = 0, trapped = 0, flushes = 0, host_changes = 0, dirty = 0, refused = 0;
};

/// A guest with a few vCPUs that changes its tables, its registers and its mind at random, but
/// invalidates what the manual tells it to before it relies on it. Every answer is compared with
/// the naive model.
class RandomGuest {
 public:
  RandomGuest(absl::string_view spec, absl::string_view preset, const PagingShape& shape, uint64_t seed,
        Counts& counts);

  /// Empty, or what went wrong.
  std::string run(unsigned steps);
  /// To be called once, at the end.
  void add_hits();

 private:
  Vcpu<Backend>& cpu(size_t i) { return *cpus_[i]; }
  const Controls& controls(size_t i) { return cpu(i).controls(); }
  bool paging(size_t i) { return (controls(i).cr0 & cr0::kPG) != 0; }
  bool pcide(size_t i) { return (controls(i).cr4 & cr4::kPCIDE) != 0; }
  uint16_t pcid(size_t i) { return pcid_of(controls(i)); }
  static uint64_t table(unsigned level, uint64_t which) {
    return (kFirstTable + (level - 1) * kTablesPerLevel + which) * kPage;
  }
  void note(std::string text) {
    actions_.push_back(absl::StrCat(step_, " ", text));
    if (actions_.size() > 20) actions_.pop_front();
  }
  void fail(std::string text) {
    if (problem_.empty()) problem_ = std::move(text);
  }

  // Few indices at each level, so that pages share tables, and large pages hold several of them.
  void choose_pages();

  uint64_t big_page() { return kBig + random_.below(kBigBytes / 2_MiB) * 2_MiB; }
  // A random entry of a table of this level.
  uint64_t entry(unsigned level);
  // A good entry for a place in a table.
  uint64_t entry_at(uint64_t gpa) {
    return entry(1 + static_cast<unsigned>(((gpa >> 12) - kFirstTable) / kTablesPerLevel));
  }

  // Everything a processor could have cached so far counts, before memory or registers change.
  void before_change();
  void changed() { observed_ = false; }

  void mirror_store(uint64_t gpa, uint64_t value, unsigned size);
  uint64_t mirror_load(uint64_t gpa, unsigned size) {
    const uint8_t* at = mirror_.ram_at(Gpa(gpa));
    return at == nullptr ? 0 : load_bytes(at, size);
  }
  // The guest updates a table through its own mapping.
  void store(size_t i, uint64_t gpa, uint64_t value, unsigned size);

  // Invalidates until page `n` is translated by what is in memory.
  void make_fresh(size_t i, size_t n);
  // Invalidates in one of twelve ways, each of which covers page `n`, or not.
  void flush(size_t i, size_t n, uint64_t way);
  void load_cr3(size_t i, uint64_t value);
  void switch_space(size_t i);
  void change_controls(size_t i);

  // One load, store or fetch in full.
  void access(size_t i);
  // The data of a load or store.
  void transfer(const MemoryResult& r, const NaiveResult& want, const NaiveResult& second,
                uint64_t va, unsigned size, uint64_t value, Access how);
  // The accessed and dirty flags that an access sets; `r` has set them in the mirror.
  void set_flags(const NaiveResult& r);
  void check_flags(size_t i, const NaiveResult& r) {
    for (unsigned k = 0; k < r.update_count; ++k)
      check_word(i, r.updates[k].at.value() & ~uint64_t{7});
  }
  void check_word(size_t i, uint64_t gpa);
  // Does the guest read its tables as it must? Of some words, or of `all`.
  void compare_tables(bool all);
  void audit();

  void change_host();
  template <class F>
  static void for_range(Gpa first, uint64_t count, F&& f) {
    for (uint64_t n = first.frame(); n < std::min(kFrames, first.frame() + count); ++n) f(n);
  }
  void take_dirty(Gpa first, uint64_t count);

  // One random thing that one vCPU or the host does.
  void step();

  const bool direct_, lazy_;
  const PagingShape& shape_;
  Random random_;
  Counts& n_;
  CpuModel model_{.maxphyaddr = 40};
  std::unique_ptr<HostMemory> host_ = HostMemory::create(48_MiB).value();
  P2m p2m_{*host_};
  std::unique_ptr<HostMemory> mirror_host_ = HostMemory::create(32_MiB).value();
  P2m mirror_{*mirror_host_};
  NaiveMmu naive_{mirror_};
  std::unique_ptr<Backend> backend_;
  std::vector<uint64_t> pages_;
  std::vector<std::unique_ptr<Vcpu<Backend>>> cpus_;
  std::deque<Discipline> knows_;
  std::vector<bool> written_ = std::vector<bool>(kFrames), logged_ = std::vector<bool>(kFrames);
  bool observed_ = false;
  unsigned calm_ = 0;  // percent of steps that are accesses whatever the dice say
  size_t hot_ = 0;
  unsigned step_ = 0;
  std::string problem_;
  std::deque<std::string> actions_;
};

}  // namespace gnomon::vcpu_test

#endif  // TESTS_VCPU_RANDOM_GUEST_H_
