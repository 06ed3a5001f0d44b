// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SCENARIO_MACHINE_H_
#define TESTS_SCENARIO_MACHINE_H_

#include <array>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "gnomon/backend.h"
#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/p2m.h"
#include "tests/scenario/program.h"

namespace gnomon::scenario {

/// What guest memory must hold: a copy that only the model writes. Frames never written are zero.
class Mirror {
 public:
  using Frame = std::array<uint8_t, kFrame>;
  static constexpr uint64_t kFrames = 0x800;  // 8 MiB: all slots lie below

  void store(Gpa at, uint64_t value, unsigned size) {
    Frame& f = writable(at.frame());
    const uint64_t offset = at.offset_in(PageSize::k4K);
    for (unsigned i = 0; i < size; ++i) f[offset + i] = static_cast<uint8_t>(value >> (8 * i));
  }
  uint64_t load(Gpa at, unsigned size) const {
    const Frame* f = frame(at.frame());
    uint64_t value = 0;
    const uint64_t offset = at.offset_in(PageSize::k4K);
    for (unsigned i = 0; f != nullptr && i < size; ++i) value |= uint64_t{(*f)[offset + i]} << (8 * i);
    return value;
  }
  /// The contents are lost.
  void clear(uint64_t frame) {
    if (frame < kFrames) frames_[frame].reset();
  }
  /// Null: all zero.
  const Frame* frame(uint64_t frame) const {
    return frame < kFrames ? frames_[frame].get() : nullptr;
  }

 private:
  Frame& writable(uint64_t frame) {
    if (frames_[frame] == nullptr) frames_[frame] = std::make_unique<Frame>();
    return *frames_[frame];
  }
  std::vector<std::unique_ptr<Frame>> frames_ = std::vector<std::unique_ptr<Frame>>(kFrames);
};

/// One machine with one backend: the subject of an experiment.
class Machine {
 public:
  /// Errors: those of create_backend.
  static absl::StatusOr<std::unique_ptr<Machine>> create(const Setup& setup, absl::string_view spec);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  P2m& p2m() { return p2m_; }
  const P2m& p2m() const { return p2m_; }
  HostMemory& host() { return *host_; }
  Backend& backend() { return *backend_; }
  VcpuState& cpu(unsigned i) { return *cpus_[i % cpus_.size()]; }
  unsigned cpus() const { return static_cast<unsigned>(cpus_.size()); }
  const Mirror& initial() const { return initial_; }

  // What the guest does to its control registers; false when the processor would refuse (#GP), and
  // then nothing changed.
  bool load_cr3(VcpuState& cpu, uint64_t value, bool no_flush);
  bool set_bit(VcpuState& cpu, ControlBit bit, bool on);
  bool set_mode(VcpuState& cpu, PagingMode mode, uint64_t cr3);
  void set_pkru(VcpuState& cpu, uint32_t value);

  bool plug();
  bool unplug();

 private:
  Machine(const Setup& setup, std::unique_ptr<HostMemory> host);
  absl::Status add_slots(const Setup& setup);
  void fill_rom();
  bool change(VcpuState& cpu, const Controls& to, bool reload_pdptes);

  std::unique_ptr<HostMemory> host_;
  P2m p2m_;
  Mirror initial_;
  std::vector<std::unique_ptr<VcpuState>> cpus_;
  std::unique_ptr<Backend> backend_;
  SlotOptions plug_options_;
};

}  // namespace gnomon::scenario

#endif  // TESTS_SCENARIO_MACHINE_H_
