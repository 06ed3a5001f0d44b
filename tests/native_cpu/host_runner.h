// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_NATIVE_CPU_HOST_RUNNER_H_
#define TESTS_NATIVE_CPU_HOST_RUNNER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/types/span.h"
#include "tests/native_cpu/state.h"

namespace gnomon::vmm::native {

/// Runs snippets on the host's processor, in this process, at the addresses of state.h. Signals of
/// faults, and SIGALRM (a snippet that does not end), are its own while it exists. At most one at a
/// time; x86-64 Linux only.
class HostRunner {
 public:
  /// Null, and why, if this host cannot.
  static std::unique_ptr<HostRunner> create(std::string& why);
  ~HostRunner();
  HostRunner(const HostRunner&) = delete;
  HostRunner& operator=(const HostRunner&) = delete;

  /// Can 32-bit code run in segments that the kernel offers? If not, `why`.
  bool runs_32(std::string& why);
  /// Puts a snippet so that it ends at `end`.
  void load(Mode mode, absl::Span<const uint8_t> code, uint64_t end);
  /// Has the last run left the code as it was?
  bool code_intact(absl::Span<const uint8_t> code, uint64_t end) const;
  void write_memory(const Image& image);
  void write_bytes(uint64_t address, absl::Span<const uint8_t> bytes);
  void read_bytes(uint64_t address, absl::Span<uint8_t> bytes) const;
  bool memory_equals(const uint8_t* low3, const uint8_t* stack) const;
  void read_memory(Image& image) const;
  /// From state.rip until the end or a fault.
  Stop run(Mode mode, State& state);

 private:
  HostRunner() = default;
};

}  // namespace gnomon::vmm::native

#endif  // TESTS_NATIVE_CPU_HOST_RUNNER_H_
