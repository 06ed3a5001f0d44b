// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CPU_COMPARISON_H_
#define TESTS_CPU_COMPARISON_H_

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "gnomon/vmm/cpu_state.h"
#include "tests/native_cpu/flat_machine.h"
#include "tests/native_cpu/host_runner.h"
#include "tests/scenario/random.h"

// Integer instructions on the processor that runs the test, and in the interpreter: the results
// must be the same.

namespace gnomon::vmm {

/// What an instruction works on. RDI points to the middle of `memory`.
struct Registers {
  std::array<uint64_t, 16> gpr{};
  uint64_t flags = 0;  ///< the arithmetic ones
};
/// Where that memory is, on the host and in the guest.
inline constexpr uint64_t kMemory = native::kData;
inline constexpr unsigned kMemoryBytes = 1024;

/// The interpreter (64-bit code) and the host side by side.
class Comparison {
 public:
  Comparison();

  FlatMachine& machine() { return machine_; }
  /// The instruction that follows calls of `check` execute. It touches memory if `memory`.
  void load(absl::Span<const uint8_t> instruction, bool memory);
  void load(std::initializer_list<uint8_t> i, bool memory) {
    load(absl::Span<const uint8_t>(i.begin(), i.size()), memory);
  }
  /// Executes it on both with `in` and memory filled from it; compares registers, memory, RIP and
  /// the flags `mask`. False: they differ (and the test has failed with a message).
  bool check(const Registers& in, uint64_t mask = flag::kArithmetic);
  /// The same on the interpreter alone: what comes out.
  Registers run(const Registers& in);

  /// Fails the test unless the instruction, with RDI in an unmapped page, raises #PF with the W bit
  /// as told and changes nothing.
  void expect_fault(absl::Span<const uint8_t> instruction, bool write);

  uint64_t cases() const { return cases_; }

 private:
  FlatMachine machine_;
  std::unique_ptr<native::HostRunner>
      host_;  ///< null: this host cannot, and the interpreter runs alone
  std::vector<uint8_t> instruction_;
  bool memory_ = false;
  uint64_t cases_ = 0;
};

/// Operand sizes in bytes.
inline constexpr unsigned kSizes[] = {1, 2, 4, 8};

/// `opcode` is that of the byte form; `last`, ModRM and all after it. With prefixes for 2, 4 or 8
/// bytes, and the opcode's low bit set for all but bytes (if `has_byte_form`).
std::vector<uint8_t> encode(unsigned size, std::initializer_list<uint8_t> opcode,
                            std::vector<uint8_t> last, bool has_byte_form = true);

/// Values where something may change, and random ones.
uint64_t interesting(scenario::Random& random);
Registers random_registers(scenario::Random& random);
/// `full`, or less when short runs are asked for.
unsigned scaled(unsigned full);

}  // namespace gnomon::vmm

#endif  // TESTS_CPU_COMPARISON_H_
