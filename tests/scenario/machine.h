// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SCENARIO_MACHINE_H_
#define TESTS_SCENARIO_MACHINE_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "gnomon/backend.h"
#include "gnomon/memory/bytes.h"
#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/p2m.h"
#include "tests/scenario/program.h"

namespace gnomon::scenario {

/// What guest memory must hold: a machine with the same slots whose memory only the model writes.
class Mirror {
 public:
  static absl::StatusOr<std::unique_ptr<Mirror>> create(const Setup& setup);

  const P2m& p2m() const { return p2m_; }
  P2m& p2m() { return p2m_; }
  void store(Gpa at, uint64_t value, unsigned size) {
    p2m_.back(at);
    if (uint8_t* bytes = p2m_.ram_at(at)) store_bytes(bytes, value, size);
  }
  /// Frames never written are zero.
  uint64_t load(Gpa at, unsigned size) const {
    const uint8_t* bytes = p2m_.ram_at(at);
    return bytes == nullptr ? 0 : load_bytes(bytes, size);
  }

 private:
  explicit Mirror(std::unique_ptr<HostMemory> host) : host_(std::move(host)), p2m_(*host_) {}

  std::unique_ptr<HostMemory> host_;
  P2m p2m_;
};

/// One machine with one backend: the subject of an experiment.
class Machine {
 public:
  /// Errors: those of create_backend.
  static absl::StatusOr<std::unique_ptr<Machine>> create(const Setup& setup,
                                                         absl::string_view spec);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  P2m& p2m() { return p2m_; }
  const P2m& p2m() const { return p2m_; }
  HostMemory& host() { return *host_; }
  Backend& backend() { return *backend_; }
  VcpuState& cpu(unsigned i) { return *cpus_[i % cpus_.size()]; }
  unsigned cpus() const { return static_cast<unsigned>(cpus_.size()); }

  // What the guest does to its control registers; false when the processor would refuse (#GP), and
  // then nothing changed.
  bool load_cr3(VcpuState& cpu, uint64_t value, bool no_flush);
  bool set_bit(VcpuState& cpu, ControlBit bit, bool on);
  bool set_mode(VcpuState& cpu, PagingMode mode, uint64_t cr3);
  void set_pkru(VcpuState& cpu, uint32_t value);

  bool plug() { return plug_into(p2m_); }
  bool unplug() { return unplug_from(p2m_); }
  bool plug_into(P2m& p2m);
  bool unplug_from(P2m& p2m);

 private:
  Machine(const Setup& setup, std::unique_ptr<HostMemory> host);
  bool supports(PagingMode mode) const;
  bool change(VcpuState& cpu, const Controls& to, bool reload_pdptes);

  std::unique_ptr<HostMemory> host_;
  P2m p2m_;
  std::vector<std::unique_ptr<VcpuState>> cpus_;
  std::unique_ptr<Backend> backend_;
  SlotOptions plug_options_;
};

}  // namespace gnomon::scenario

#endif  // TESTS_SCENARIO_MACHINE_H_
