// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_DIRECT_FIXTURE_H_
#define TESTS_DIRECT_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "mmu/direct/direct.h"

namespace gnomon::direct_test {

inline constexpr uint64_t kP = pte::kPresent;
inline constexpr uint64_t kW = pte::kWritable;
inline constexpr uint64_t kU = pte::kUser;
inline constexpr uint64_t kA = pte::kAccessed;
inline constexpr uint64_t kD = pte::kDirty;
inline constexpr uint64_t kPS = pte::kLarge;

inline constexpr Access kUserRead{AccessOp::kRead, Privilege::kUser};
inline constexpr Access kUserWrite{AccessOp::kWrite, Privilege::kUser};
inline constexpr Access kKernelRead{AccessOp::kRead, Privilege::kSupervisor};
inline constexpr Access kKernelWrite{AccessOp::kWrite, Privilege::kSupervisor};

/// Guest-physical layout: 256 frames of 4K host pages, a 4M slot of 2M host pages, read-only memory, a
/// device, and holes between them.
inline constexpr uint64_t kSmallFrames = 256;
inline constexpr uint64_t kLargeBase = 4_MiB;
inline constexpr uint64_t kLargeBytes = 4_MiB;
inline constexpr uint64_t kRomFrame = 0x1000;
inline constexpr uint64_t kMmioFrame = 0x2000;
inline constexpr uint64_t kHoleFrame = 0x3000;

inline Controls level4_controls() {
  Controls c;
  c.cr0 = cr0::kPE | cr0::kPG | cr0::kWP;
  c.cr4 = cr4::kPAE;
  c.efer = efer::kLME | efer::kLMA | efer::kNXE;
  return c;
}

/// One vCPU under direct paging, and the guest's verbs.
class DirectTest : public ::testing::Test {
 protected:
  DirectTest() { boot({}); }

  void boot(const DirectOptions& options) {
    if (mmu_) mmu_->detach(cpu_);
    mmu_.reset();
    p2m_.reset();
    host_ = std::move(HostMemory::create(64_MiB).value());
    p2m_ = std::make_unique<P2m>(*host_);
    // Frames that the VMM took shift host addresses against guest addresses.
    ASSERT_TRUE(host_->allocate(FrameOwner::kVmm));
    ASSERT_TRUE(p2m_->add_slot(Gpa(0), kSmallFrames << 12).ok());
    SlotOptions large;
    large.backing = PageSize::k2M;
    ASSERT_TRUE(p2m_->add_slot(Gpa(kLargeBase), kLargeBytes, large).ok());
    SlotOptions rom;
    rom.rom = true;
    ASSERT_TRUE(p2m_->add_slot(Gpa::from_frame(kRomFrame), 4 << 12, rom).ok());
    ASSERT_TRUE(p2m_->add_mmio(Gpa::from_frame(kMmioFrame), 4 << 12).ok());
    mmu_ = std::make_unique<DirectMmu>(*p2m_, options);
    cpu_.controls = Controls{};
    cpu_.update_rules();
    mmu_->attach(cpu_);
  }
  void TearDown() override {
    expect_sound();
    mmu_->detach(cpu_);
  }

  static uint64_t entry(uint64_t frame, uint64_t flags) { return frame << 12 | flags; }
  StoreResult write(uint64_t frame, unsigned slot, uint64_t value) {
    return mmu_->write_physical(cpu_, Gpa(frame << 12 | slot * 8u), value, 8);
  }
  uint64_t read(uint64_t frame, unsigned slot) {
    uint64_t value = ~uint64_t{0};
    EXPECT_TRUE(mmu_->read_physical(cpu_, Gpa(frame << 12 | slot * 8u), 8, value));
    return value;
  }
  /// What the hardware sees.
  uint64_t in_place(uint64_t frame, unsigned slot) const {
    uint64_t value;
    std::memcpy(&value, p2m_->ram_at(Gpa(frame << 12 | slot * 8u)), 8);
    return value;
  }
  std::string bytes(uint64_t frame) const {
    return std::string(reinterpret_cast<const char*>(p2m_->ram_at(Gpa::from_frame(frame))), 4096);
  }
  void load_cr3(uint64_t frame) {
    cpu_.controls.cr3 = frame << 12;
    mmu_->cr3_loaded(cpu_, true);
  }
  void turn_paging_on(uint64_t root_frame) {
    const PagingRules before = cpu_.rules;
    cpu_.controls = level4_controls();
    cpu_.controls.cr3 = root_frame << 12;
    cpu_.update_rules();
    mmu_->controls_changed(cpu_, before);
  }
  void set_controls(const Controls& c) {
    const PagingRules before = cpu_.rules;
    cpu_.controls = c;
    cpu_.update_rules();
    mmu_->controls_changed(cpu_, before);
  }
  Translation touch(uint64_t va, Access access = kUserRead) { return mmu_->miss(cpu_, Gva(va), access); }

  /// Frames 1, 2, 3, 4 become root, L3, L2, L1; page 0 maps frame 16 for reading and writing, page 1 the
  /// L1 table itself for reading.
  void build_tree() {
    write(1, 0, entry(2, kP | kW | kU));
    write(2, 0, entry(3, kP | kW | kU));
    write(3, 0, entry(4, kP | kW | kU));
    write(4, 0, entry(16, kP | kW | kU));
    write(4, 1, entry(4, kP | kU));
  }
  void boot_tree() {
    build_tree();
    turn_paging_on(1);
  }

  direct::FrameType type(uint64_t frame) const { return mmu_->type_of(Gpa::from_frame(frame)); }
  uint64_t count(Counter c) const { return cpu_.counters[c]; }
  /// All guest RAM of the first slot and all types, to compare before and after.
  std::string state() const {
    std::string all;
    for (uint64_t f = 0; f < kSmallFrames; ++f) {
      all.push_back(static_cast<char>(type(f)));
      all += p2m_->lookup(Gpa::from_frame(f)).is_ram() ? bytes(f) : std::string(4096, 0);
    }
    return all;
  }
  void expect_sound() const {
    for (const AuditFinding& f : mmu_->audit()) ADD_FAILURE() << f.invariant << ": " << f.text;
  }

  std::unique_ptr<HostMemory> host_;
  std::unique_ptr<P2m> p2m_;
  VcpuState cpu_;
  std::unique_ptr<DirectMmu> mmu_;
};

}  // namespace gnomon::direct_test

#endif  // TESTS_DIRECT_FIXTURE_H_
