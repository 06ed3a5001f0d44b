// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_VCPU_MACHINE_H_
#define TESTS_VCPU_MACHINE_H_

#include <memory>
#include <string>

#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/vcpu.h"
#include "gnomon/x86/entry_bits.h"
#include "mmu/native/native.h"

namespace gnomon::vcpu_test {

inline constexpr uint64_t kCr0 = cr0::kPE | cr0::kPG | cr0::kWP;
inline constexpr uint64_t kCr4 = cr4::kPAE | cr4::kPGE;
inline constexpr uint64_t kEfer = efer::kLME | efer::kNXE;
inline constexpr uint64_t kRw = pte::kPresent | pte::kWritable | pte::kUser;

inline constexpr Access kRead{AccessOp::kRead, Privilege::kUser};
inline constexpr Access kWrite{AccessOp::kWrite, Privilege::kUser};

/// 16 MiB of guest RAM under the native backend, with a guest that builds its tables in it.
struct Machine {
  explicit Machine(bool threaded = false) {
    p2m.lock().set_threaded(threaded);
    (void)p2m.add_slot(Gpa(0), 16_MiB);
  }

  /// A fresh zeroed guest frame.
  uint64_t frame() { return next_frame_ += 0x1000; }
  uint8_t* bytes(uint64_t gpa) {
    p2m.back(Gpa(gpa));
    return p2m.ram_at(Gpa(gpa));
  }
  void put(uint64_t gpa, uint64_t value, unsigned size = 8) { store_bytes(bytes(gpa), value, size); }
  uint64_t get(uint64_t gpa, unsigned size = 8) { return load_bytes(bytes(gpa), size); }

  /// The address of the entry for `va` at `level` in 4-level (or, with `top`, other 64-bit) tables
  /// at `root`; tables above it are made as needed.
  uint64_t entry(uint64_t root, uint64_t va, unsigned level = 1, unsigned top = 4) {
    uint64_t table = root;
    for (unsigned l = top;; --l) {
      const uint64_t at = table + 8 * (va >> (12 + 9 * (l - 1)) & 511);
      if (l == level) return at;
      if (get(at) == 0) put(at, frame() | kRw);
      table = get(at) & pte::kFrameMask;
    }
  }
  void map(uint64_t root, uint64_t va, uint64_t value, unsigned level = 1) {
    put(entry(root, va, level), value);
  }

  std::unique_ptr<HostMemory> host = HostMemory::create(64_MiB).value();
  P2m p2m{*host};
  NativeMmu mmu{p2m};

 private:
  uint64_t next_frame_ = 0x10'0000;
};

inline VcpuParts parts(absl::string_view preset, const CpuModel& model = {}) {
  return VcpuParts::from(find_tlb_preset(preset).value(), 0, model).value();
}

}  // namespace gnomon::vcpu_test

#endif  // TESTS_VCPU_MACHINE_H_
