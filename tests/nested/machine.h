// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_NESTED_MACHINE_H_
#define TESTS_NESTED_MACHINE_H_

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gnomon/backend.h"
#include "gnomon/x86/guest_walk.h"
#include "mmu/nested/nested.h"
#include "tests/scenario/random.h"

namespace gnomon::nested_test {

using scenario::Random;

/// Where tests map pages.
inline constexpr uint64_t kVa = 0x40'0000;
inline constexpr uint64_t kUserPage = pte::kPresent | pte::kWritable | pte::kUser;
inline constexpr Access kRead{AccessOp::kRead, Privilege::kUser};
inline constexpr Access kWrite{AccessOp::kWrite, Privilege::kUser};
inline constexpr Access kFetch{AccessOp::kFetch, Privilege::kUser};

/// A guest with one vCPU whose tables a test writes entry by entry. Tables are taken from guest-physical
/// 1 MiB upwards.
class Machine {
 public:
  explicit Machine(PagingMode mode = PagingMode::kLevel4, const SlotOptions& ram = {},
                   uint64_t ram_bytes = 64 << 20, CpuModel model = {},
                   uint64_t host_bytes = 192 << 20)
      : host(HostMemory::create(host_bytes).value()), p2m(*host), cpu(0, model), ram_(ram) {
    if (!p2m.add_slot(Gpa(0), ram_bytes, ram).ok()) std::abort();
    const bool long_mode = mode == PagingMode::kLevel4 || mode == PagingMode::kLevel5;
    cpu.controls.cr0 = cr0::kPE | cr0::kWP | (mode == PagingMode::kOff ? 0 : cr0::kPG);
    cpu.controls.cr4 = mode == PagingMode::kLegacy32 ? cr4::kPSE : cr4::kPAE;
    if (mode == PagingMode::kLevel5) cpu.controls.cr4 |= cr4::kLA57;
    cpu.controls.efer = long_mode ? efer::kLME | efer::kLMA | efer::kNXE : 0;
    cpu.controls.cr3 = new_table().value();
    cpu.update_rules();
    levels_ = mode == PagingMode::kLevel5 ? 5 : mode == PagingMode::kLevel4 ? 4
              : mode == PagingMode::kPae ? 3 : 2;
    legacy_ = mode == PagingMode::kLegacy32;
  }

  Gpa new_table() {
    const Gpa at(next_table_);
    next_table_ += bytes_of(PageSize::k4K);
    return at;
  }

  void poke(Gpa at, uint64_t value, unsigned size = 8) {
    p2m.back(at);
    std::memcpy(p2m.ram_at(at), &value, size);
  }
  uint64_t peek(Gpa at, unsigned size = 8) {
    uint64_t value = 0;
    p2m.back(at);
    std::memcpy(&value, p2m.ram_at(at), size);
    return value;
  }

  /// The entry of `va` at `level`, with the tables above it made.
  Gpa entry_of(Gva va, unsigned level) {
    Gpa table(cpu.controls.cr3);
    const unsigned size = legacy_ ? 4 : 8;
    for (unsigned l = levels_;; --l) {
      const unsigned bits = legacy_ ? 10 : 9;
      const uint64_t i = (va.value() >> (12 + bits * (l - 1))) & ((1u << bits) - 1);
      const Gpa at(table.value() + i * size);
      if (l == level) return at;
      uint64_t e = peek(at, size);
      if ((e & pte::kPresent) == 0) {
        e = new_table().value() | (levels_ == 3 && l == 3 ? pte::kPresent : kUserPage);
        poke(at, e, size);
      }
      table = Gpa(e & pte::kFrameMask);
    }
  }
  void map(Gva va, Gpa gpa, PageSize size = PageSize::k4K, uint64_t flags = kUserPage) {
    const unsigned level = size == PageSize::k4K ? 1 : size == PageSize::k1G ? 3 : 2;
    poke(entry_of(va, level), gpa.value() | flags | (level > 1 ? pte::kLarge : 0), legacy_ ? 4 : 8);
    if (levels_ == 3 && !cpu.cpu.pdptes_in_memory) load_pdptes(p2m, cpu.controls, cpu.rules);
  }

  std::unique_ptr<HostMemory> host;
  P2m p2m;
  VcpuState cpu;

 private:
  SlotOptions ram_;
  uint64_t next_table_ = 1 << 20;
  unsigned levels_;
  bool legacy_;
};

/// A machine's nested MMU with its vCPU attached.
struct Nested {
  explicit Nested(Machine& m, absl::string_view options = "", bool npt = false)
      : machine(m), mmu((npt ? create_npt(m.p2m, options) : create_nested(m.p2m, options)).value()) {
    mmu->attach(m.cpu);
  }
  ~Nested() { mmu->detach(machine.cpu); }

  Translation access(uint64_t va, Access a = kRead) {
    return mmu->miss(machine.cpu, Gva(va), a);
  }
  /// References of the next access.
  uint64_t references(uint64_t va, Access a = kRead) {
    const uint64_t before = machine.cpu.counters.walk_references();
    access(va, a);
    return machine.cpu.counters.walk_references() - before;
  }
  std::string findings() const {
    std::string text;
    for (const AuditFinding& f : mmu->audit()) text += std::to_string(f.invariant) + ": " + f.text + "\n";
    return text;
  }
  uint64_t count(Counter c) const { return machine.cpu.counters[c]; }

  Machine& machine;
  std::unique_ptr<Backend> mmu;
};

}  // namespace gnomon::nested_test

#endif  // TESTS_NESTED_MACHINE_H_
