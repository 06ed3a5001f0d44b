// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <thread>

#include "mmu/vcpu_set.h"
#include "tests/direct/fixture.h"
#include "tests/support/scale.h"

// vCPUs walk the tables in place without a lock while one of them rebuilds the tree and the host moves its
// frames. Every translation must be to the frame that held the page's mark all along.

namespace gnomon::direct_test {
namespace {

constexpr unsigned kPages = 8;
constexpr uint64_t kFirstPage = 32;

// What an executor does around each access.
class Runner {
 public:
  Runner(DirectMmu& mmu, HostMemory& host, VcpuState& cpu) : mmu_(mmu), host_(host), cpu_(cpu) {}
  // The mark of page i, or 0 if it is not mapped now.
  uint64_t load(unsigned i) {
    cpu_.gate.in_guest = true;
    cpu_.gate.flush_request = false;
    const Translation t = mmu_.miss(cpu_, Gva(i * 4096), kUserRead);
    uint64_t value = 0;
    if (t.ok()) value = std::atomic_ref<uint64_t>(*host_.at<uint64_t>(t.hpa)).load();
    cpu_.gate.in_guest = false;
    return value;
  }

 private:
  DirectMmu& mmu_;
  HostMemory& host_;
  VcpuState& cpu_;
};

TEST_F(DirectTest, ThreadsWalkWhileTablesComeAndGo) {
  p2m_->lock().set_threaded(true);
  build_tree();
  for (unsigned i = 0; i < kPages; ++i) {
    write(kFirstPage + i, 0, 0x1000 + i);
    write(4, i, entry(kFirstPage + i, kP | kW | kU));
  }
  turn_paging_on(1);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> loads{0}, wrong{0};
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<VcpuState>> cpus;
  for (uint32_t n = 1; n <= 2; ++n) {
    cpus.push_back(std::make_unique<VcpuState>(n));
    cpus.back()->controls = level4_controls();
    cpus.back()->controls.cr3 = 1 << 12;
    cpus.back()->update_rules();
    mmu_->attach(*cpus.back());
  }
  for (const std::unique_ptr<VcpuState>& cpu : cpus) {
    threads.emplace_back([&, c = cpu.get()] {
      Runner runner(*mmu_, *host_, *c);
      for (unsigned i = 0; !stop; i = (i + 1) % kPages) {
        const uint64_t value = runner.load(i);
        if (value != 0 && value != 0x1000 + i) ++wrong;
        if (value != 0) ++loads;
      }
    });
  }
  const unsigned rounds = by_scale(200, 2000, 2000);
  for (unsigned round = 0; round < rounds || loads < 100; ++round) {
    EXPECT_EQ(write(1 + round % 3, 0, 0), StoreResult::kDone);  // the tree, or part of it, is demoted
    EXPECT_EQ(write(1 + round % 3, 0, entry(2 + round % 3, kP | kW | kU)), StoreResult::kDone);
    VmGuard guard(p2m_->lock());
    EXPECT_TRUE(p2m_->remap(Gpa::from_frame(kFirstPage + round % kPages)).ok());
    EXPECT_TRUE(p2m_->remap(Gpa::from_frame(1 + round % 4)).ok());
  }
  stop = true;
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0u);
  for (const std::unique_ptr<VcpuState>& cpu : cpus) mmu_->detach(*cpu);
  p2m_->lock().set_threaded(false);
}

}  // namespace
}  // namespace gnomon::direct_test
