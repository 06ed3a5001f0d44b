// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_GUEST_MACHINE_H_
#define TESTS_GUEST_MACHINE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "gnomon/guest/kernel.h"
#include "gnomon/vcpu.h"

namespace gnomon::guest_test {

/// Where tests map things.
inline constexpr uint64_t kAt = 0x7000'0000;

struct Machine;

/// A processor of the guest over a real vCPU, which also keeps a list of what the kernel did.
class TestCpu final : public GuestCpu {
 public:
  TestCpu(Machine& machine, unsigned id);

  unsigned id() const override { return id_; }
  bool load_entry(Gpa at, uint64_t& entry) override;
  bool store_entry(Gpa at, uint64_t entry) override;
  bool load_cr3(uint64_t value) override;
  bool load_controls(uint64_t cr0, uint64_t cr4, uint64_t efer) override;
  void invlpg(Gva va) override;
  bool invpcid(InvpcidType type, uint16_t pcid, Gva va) override;
  Translation access(Gva va, Access access) override;
  void copy_page(Gpa from, Gpa to) override;
  void clear_page(Gpa page) override;

  Vcpu<Backend>& vcpu() { return *vcpu_; }
  uint64_t root() const { return vcpu_->controls().cr3 & 0x000f'ffff'ffff'f000; }

  std::vector<uint64_t> cr3_loads;
  std::vector<uint64_t> invlpgs;
  std::vector<uint64_t> kernel_pages;

 private:
  uint64_t word(Gpa at);
  unsigned id_;
  Machine& machine_;
  std::unique_ptr<Vcpu<Backend>> vcpu_;
};

/// A machine with a guest's kernel. Contents of pages are their first words.
struct Machine {
  Machine(absl::string_view backend, GuestOptions options, unsigned cpus = 1,
          absl::string_view tlb = "tiny");

  /// Runs the process there and returns the root of its tables.
  uint64_t run(unsigned cpu, uint32_t process);
  absl::Status event(unsigned cpu, EventKind kind, uint64_t address = 0, uint64_t length = 0,
                     uint64_t value = 0, uint64_t extra = 0, uint32_t flags = 0, uint64_t file = 0);
  absl::Status map(unsigned cpu, uint64_t address, uint64_t length, MapFlags flags,
                   uint64_t file = 0, uint64_t offset = 0) {
    return event(cpu, EventKind::kMap, address, length, offset, 0, flags, file);
  }
  /// An access of the process with the faults it takes. A store leaves `value`, a load returns it.
  absl::Status touch(unsigned cpu, uint64_t va, AccessOp op, uint64_t* value = nullptr);
  uint64_t read(unsigned cpu, uint64_t va);
  absl::Status write(unsigned cpu, uint64_t va, uint64_t value) {
    return touch(cpu, va, AccessOp::kWrite, &value);
  }
  /// The leaf entry for an address, without anyone noticing; 0: none. `level` is where it is.
  uint64_t entry(uint64_t root, uint64_t va, unsigned* level = nullptr);
  uint64_t stat(GuestStat s) const { return kernel->stats()[s]; }
  uint64_t peek(Gpa at);

  std::unique_ptr<HostMemory> host;
  std::unique_ptr<P2m> p2m;
  std::unique_ptr<Backend> mmu;
  std::unique_ptr<VcpuState> side;
  std::string tlb;
  std::vector<std::unique_ptr<TestCpu>> cpus;
  absl::flat_hash_set<uint64_t> tables;  // frames that held table entries
  std::unique_ptr<GuestKernel> kernel;
  absl::Status booted;

  ~Machine();
};

inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kHuge = 2 << 20;
inline constexpr MapFlags kRw = kMapRead | kMapWrite;

/// Options for small tests.
inline GuestOptions small_guest() {
  GuestOptions o;
  o.memory_bytes = 64 << 20;
  o.kernel_entries = false;
  return o;
}

}  // namespace gnomon::guest_test

#endif  // TESTS_GUEST_MACHINE_H_
