// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CPU_NATIVE_CODE_H_
#define TESTS_CPU_NATIVE_CODE_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "absl/types/span.h"
#include "gnomon/vmm/cpu_state.h"
#include "tests/native_cpu/flat_machine.h"
#include "tests/native_cpu/host_runner.h"

namespace gnomon::vmm {

/// What an instruction of the vector units and the x87 may read and write: FXSAVE's image (64-bit
/// form), general registers, flags, and bytes in memory. In the code under test RSI points to
/// `memory`; RAX, RCX, RDX and RDI are in `gpr`.
struct alignas(64) UnitState {
  std::array<uint8_t, 512> fx{};
  std::array<uint8_t, 576> memory{};
  std::array<uint64_t, 4> gpr{};  ///< RAX, RCX, RDX, RDI
  uint64_t flags = 0;

  template <class T>
  T get(size_t offset) const {
    T value;
    std::memcpy(&value, fx.data() + offset, sizeof value);
    return value;
  }
  template <class T>
  void put(size_t offset, T value) {
    std::memcpy(fx.data() + offset, &value, sizeof value);
  }
};

/// Runs single instructions on the host's processor.
class NativeCode {
 public:
  NativeCode() : host_(native::HostRunner::create(why_)) {}

  /// False: the host cannot (then `why`).
  bool usable() const { return host_ != nullptr; }
  const std::string& why() const { return why_; }
  void load(absl::Span<const uint8_t> instruction);
  void run(UnitState& state);

 private:
  std::string why_;
  std::unique_ptr<native::HostRunner> host_;
};

/// The same in a guest: `state` before, and after. What stopped it, if not the end of the
/// instruction.
class GuestCode {
 public:
  GuestCode() : machine_(CodeKind::kLong64) {}
  void load(absl::Span<const uint8_t> instruction);
  bool run(UnitState& state);  ///< false: it faulted
  FlatMachine& machine() { return machine_; }

 private:
  FlatMachine machine_;
};

/// FXSAVE's image from a processor's registers, and the other way.
void to_cpu(const UnitState& from, CpuState& to);
void from_cpu(const CpuState& from, UnitState& to);

/// Where they differ; empty: nowhere.
std::string difference(const UnitState& host, const UnitState& guest);

}  // namespace gnomon::vmm

#endif  // TESTS_CPU_NATIVE_CODE_H_
