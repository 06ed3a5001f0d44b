// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_NATIVE_CPU_FLAT_MACHINE_H_
#define TESTS_NATIVE_CPU_FLAT_MACHINE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/backend.h"
#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/vcpu.h"
#include "vmm/cpu/interp.h"

namespace gnomon::vmm {

/// What code a test runs.
enum class CodeKind { kReal16, kFlat32, kLong64 };
inline constexpr CodeKind kCodeKinds[] = {CodeKind::kReal16, CodeKind::kFlat32, CodeKind::kLong64};

/// A processor with some RAM and a device that ignores what it is told, to run instructions on:
/// 16-bit code in real mode, 32-bit code in flat segments without paging, or 64-bit code with all
/// of RAM mapped at its own address (2 MiB pages, tables in the last megabyte).
class FlatMachine : public DevicePort {
 public:
  static constexpr uint64_t kRamBytes = 8u << 20;
  static constexpr uint64_t kCode = 0x10000;   ///< where `load` puts code (real mode: CS = 0x1000)
  static constexpr uint64_t kStack = 0x9000;   ///< initial stack pointer
  static constexpr uint64_t kData = 0x200000;  ///< a place for data (not in real mode)
  static constexpr uint64_t kDevice = kRamBytes;  ///< a page; mapped without paging only

  explicit FlatMachine(CodeKind kind, absl::string_view backend = "native");

  Cpu& cpu() { return *cpu_; }
  Interp& interp() { return *interp_; }
  CodeCache& code() { return code_; }
  Backend& backend() { return *backend_; }
  uint8_t* ram(uint64_t address);  ///< of a guest-physical address; pages are contiguous

  /// Puts code at kCode and RIP there.
  void load(absl::Span<const uint8_t> code);
  /// From now on each store to the device asks for the VMM's attention.
  void let_device_want_attention() { device_wants_attention_ = true; }
  /// Runs at most so many instructions; why it stopped.
  ExitReason run(uint64_t instructions);

 private:
  uint64_t device_read(Gpa, unsigned) override { return ~uint64_t{0}; }
  void device_write(Gpa, unsigned, uint64_t) override {
    if (device_wants_attention_) cpu_->attention = true;
  }

  std::unique_ptr<HostMemory> host_;
  std::unique_ptr<P2m> p2m_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Vcpu<Backend>> mmu_;
  CodeCache code_;
  std::unique_ptr<Cpu> cpu_;
  std::unique_ptr<Interp> interp_;
  bool device_wants_attention_ = false;
};

}  // namespace gnomon::vmm

#endif  // TESTS_NATIVE_CPU_FLAT_MACHINE_H_
