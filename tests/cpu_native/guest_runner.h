// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CPU_NATIVE_GUEST_RUNNER_H_
#define TESTS_CPU_NATIVE_GUEST_RUNNER_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tests/native_cpu/flat_machine.h"
#include "tests/native_cpu/state.h"

namespace gnomon::vmm::native {

/// Runs snippets in the interpreter, as a user (CPL 3) in long mode, at the addresses of state.h.
class GuestRunner {
 public:
  explicit GuestRunner(absl::string_view backend = "native");

  void load(Mode mode, absl::Span<const uint8_t> code, uint64_t end);
  bool code_intact(absl::Span<const uint8_t> code, uint64_t end) const;
  void write_memory(const Image& image);
  void write_bytes(uint64_t address, absl::Span<const uint8_t> bytes);
  const uint8_t* low3() const { return data_; }  ///< the pages from kData to kConstant
  const uint8_t* stack() const { return stack_; }
  void read_memory(Image& image) const;
  Stop run(Mode mode, State& state);

 private:
  void map_user(uint64_t address, uint64_t bytes, uint64_t rights);
  void enter(Mode mode);

  FlatMachine machine_;
  uint8_t* code_at_ = nullptr;
  uint8_t* data_ = nullptr;
  uint8_t* stack_ = nullptr;
  uint64_t end_ = 0;
  Mode mode_ = Mode::k64;
};

}  // namespace gnomon::vmm::native

#endif  // TESTS_CPU_NATIVE_GUEST_RUNNER_H_
