// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_THREADS_SHARED_VM_H_
#define TESTS_THREADS_SHARED_VM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gnomon/backend.h"
#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/vcpu.h"

namespace gnomon::threads {

inline constexpr Access kUserRead{AccessOp::kRead, Privilege::kUser};

/// A guest whose memory says what it is: the first word of each data frame holds its own guest
/// frame number, so that an access which lands in a wrong frame gives itself away.
///
///   root 1 ─► 2 ─► 3 ─┬─► leaf table 4        root 6 ─► 7 ─► 8 ─► the same leaf tables
///                     └─► or leaf table 5
///
/// Both leaf tables map page i (of 0..63) to one of the frames 64 + i, 128 + i, 192 + i, 256 + i,
/// and page 64 + j to the frame 320 + j, which the host takes away and gives back.
class SharedVm {
 public:
  static constexpr uint64_t kFrames = 512;
  static constexpr uint64_t kPages = 64;         ///< that move between frames
  static constexpr uint64_t kVolatilePages = 8;  ///< whose frame comes and goes
  static constexpr uint64_t kPrivatePage = 56;   ///< + number of the vCPU: only it stores there
  static constexpr uint64_t kFirstData = 64;
  static constexpr uint64_t kFirstVolatile = 320;
  static constexpr uint64_t kRoots[2] = {1, 6};
  static constexpr uint64_t kDirectories[2] = {3, 8};
  static constexpr uint64_t kLeafTables[2] = {4, 5};
  static constexpr uint64_t kPoison = 0xdead'dead'dead'dead;

  static absl::StatusOr<std::unique_ptr<SharedVm>> create(absl::string_view spec, unsigned vcpus);

  P2m& p2m() { return p2m_; }
  Backend& backend() { return *backend_; }
  Vcpu<Backend>& vcpu(size_t i) { return *vcpus_[i]; }
  size_t vcpus() const { return vcpus_.size(); }

  static Gva page(uint64_t i) { return Gva::from_frame(i); }
  /// May an access to page `i` have read `tag`?
  static bool is_legal(uint64_t i, uint64_t tag);
  /// The host moves a frame, and fills the place it leaves with poison.
  void remap(uint64_t frame);
  /// The host takes a frame away, again with poison, or gives an empty one back.
  void balloon(uint64_t frame);
  void deflate(uint64_t frame);

 private:
  explicit SharedVm(std::unique_ptr<HostMemory> host) : host_(std::move(host)), p2m_(*host_) {}
  void build_tables();
  void poison(P2mEntry left);

  std::unique_ptr<HostMemory> host_;
  P2m p2m_;
  std::unique_ptr<Backend> backend_;
  std::vector<std::unique_ptr<Vcpu<Backend>>> vcpus_;
};

}  // namespace gnomon::threads

#endif  // TESTS_THREADS_SHARED_VM_H_
