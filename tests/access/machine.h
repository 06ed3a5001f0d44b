// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_ACCESS_MACHINE_H_
#define TESTS_ACCESS_MACHINE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gnomon/backend.h"
#include "tests/access/space.h"

namespace gnomon::access_test {

/// Guest-physical memory of every machine in the access test. The page table lies at the start of the
/// region that the large page maps, so that setting PS alone turns the same entry from one into the
/// other, and a writable large mapping always covers a live page table.
inline constexpr uint64_t kRamBytes = 16_MiB;
inline constexpr uint64_t kRoot = 0x1000;         // then one page per level downwards
inline constexpr uint64_t kRegion = 0x40'0000;    // page table, and base of the large page
inline constexpr uint64_t kSmallPage = 0x80'5000; // what the page table maps

/// Where the entries of one address are, in a set of tables that `Machine` builds.
struct Path {
  Gva va;
  std::array<Gpa, 6> entry{};  ///< by level; those below `top` are in use
  unsigned top = 0;
};

/// A page of `mode` that no other test address shares a directory pointer with.
Gva test_address(PagingMode mode);

/// One vCPU and one backend; or none, and then only memory, for the model.
class Machine {
 public:
  /// NotFound if the build has no such backend; errors of create_backend pass through.
  static absl::StatusOr<std::unique_ptr<Machine>> create(absl::string_view backend,
                                                         const CpuModel& model);
  static std::unique_ptr<Machine> memory_only();
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// Builds all-permissive tables down to the directory entry of `va` and loads CR3. Levels are those of
  /// `mode`; `first_table` is the page of the root (4K-aligned), the others follow it.
  Path map_path(PagingMode mode, Gva va, uint64_t root = kRoot);
  void set_controls(PagingMode mode, const ControlSet& c);
  void set_step(bool ac, uint32_t pkru);

  uint64_t entry(Gpa at) const;
  /// Stores an entry as the guest's kernel does. The caller invalidates.
  void store(Gpa at, uint64_t value);
  /// As above with INVLPG; does nothing if the entry has this value already.
  void update(Gpa at, uint64_t value, Gva va);

  Translation access(Gva va, Access how) { return backend_->miss(*cpu_, va, how); }

  P2m& p2m() { return *p2m_; }
  VcpuState& cpu() { return *cpu_; }
  Backend& backend() { return *backend_; }
  const Controls& controls() const { return cpu_->controls; }
  void load_cr3(uint64_t value);

 private:
  explicit Machine(const CpuModel& model);

  std::unique_ptr<HostMemory> host_;
  std::unique_ptr<P2m> p2m_;
  std::unique_ptr<VcpuState> cpu_;
  std::unique_ptr<Backend> backend_;
  unsigned entry_bytes_ = 8;
};

}  // namespace gnomon::access_test

#endif  // TESTS_ACCESS_MACHINE_H_
