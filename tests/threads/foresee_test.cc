// SPDX-License-Identifier: Apache-2.0
//
// Several vCPUs look ahead of their accesses, without the VM's lock, while the host moves and takes
// the frames of data and of tables, and the backend throws its own tables away: what they look at
// is revoked all the time, and what they remember is stale. Nobody may touch what another has
// freed, nor translate by it.

#include <array>
#include <atomic>
#include <cctype>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gnomon/cache/hierarchy.h"
#include "gnomon/x86/entry_bits.h"
#include "gtest/gtest.h"
#include "tests/scenario/random.h"
#include "tests/support/scale.h"
#include "tests/threads/shared_vm.h"

namespace gnomon::threads {
namespace {

using scenario::Random;

constexpr unsigned kVcpus = 3;
constexpr uint64_t kMapped = SharedVm::kPages + SharedVm::kVolatilePages;

unsigned rounds() { return by_scale(150, 1'500, 20'000); }

/// A guest processor that knows what it will access. Returns what went wrong, or nothing.
std::string look_ahead(SharedVm& vm, size_t id) {
  Vcpu<Backend>& vcpu = vm.vcpu(id);
  Random random(id + 1);
  Foresight foresight;
  std::string wrong;
  vcpu.enter_guest();
  for (unsigned round = 0; round < rounds() && wrong.empty(); ++round) {
    std::array<Gva, Foresight::kMost> pages;
    // Some have no table of the last level.
    for (Gva& va : pages)
      va = SharedVm::page(random.below(kMapped) + (random.percent(5) ? 1024 : 0));
    vm.backend().foresee(vcpu.state(), foresight, pages);
    for (const Gva va : pages) {
      const MemoryResult r = vcpu.load(va, 8, kUserRead);
      const Translation& t = r.translation;
      const bool taken = va.frame() >= SharedVm::kPages && t.cause == HostCause::kBallooned;
      if (r.done() ? SharedVm::is_legal(va.frame(), r.value)
                   : t.outcome == Outcome::kGuestFault || taken) {
        continue;
      }
      wrong =
          absl::StrCat("vCPU ", id, ", page ", va.frame(), " reads ", r.value, ": ", to_string(t));
      break;
    }
    const uint64_t page = random.below(SharedVm::kPages);
    const uint64_t frame = SharedVm::kFirstData + page + SharedVm::kPages * random.below(4);
    const Gpa entry = Gpa::from_frame(SharedVm::kLeafTables[random.below(2)])
                          .with_offset(PageSize::k4K, page * 8);
    constexpr uint64_t kLeaf = pte::kPresent | pte::kWritable | pte::kUser;
    vm.backend().write_physical(vcpu.state(), entry, Gpa::from_frame(frame).value() | kLeaf, 8);
    vcpu.invlpg(SharedVm::page(page));
    if (random.percent(10))
      vcpu.write_cr3(Gpa::from_frame(SharedVm::kRoots[random.below(2)]).value());
    if (random.percent(5)) {
      vcpu.leave_guest();
      std::this_thread::yield();
      vcpu.enter_guest();
    }
  }
  vcpu.leave_guest();
  return wrong;
}

class ForeseeInThreads : public testing::TestWithParam<std::string> {};

TEST_P(ForeseeInThreads, LooksAtNothingThatOthersHaveFreed) {
  absl::StatusOr<std::unique_ptr<SharedVm>> made = SharedVm::create(GetParam(), kVcpus);
  ASSERT_TRUE(made.ok()) << made.status();
  SharedVm& vm = **made;
  // With data caches more is looked at: the entries, for the pages that they name.
  CacheHierarchy caches(find_cache_preset("skylake").value().config);
  vm.vcpu(0).state().memory = &caches;

  std::atomic<unsigned> running{kVcpus};
  std::array<std::string, kVcpus> wrong;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kVcpus; ++i) {
    threads.emplace_back([&, i] {
      wrong[i] = look_ahead(vm, i);
      running.fetch_sub(1);
    });
  }
  Random random(7);
  uint64_t changes = 0;
  for (; running.load() != 0; ++changes) {
    const uint64_t gone = SharedVm::kFirstVolatile + random.below(SharedVm::kVolatilePages);
    switch (random.below(8)) {
      case 0: vm.balloon(gone); break;
      case 1: vm.deflate(gone); break;
      case 2: vm.backend().drop_caches(); break;
      case 3: vm.remap(SharedVm::kLeafTables[random.below(2)]); break;
      default: vm.remap(1 + random.below(SharedVm::kFirstVolatile - 1)); break;
    }
    std::this_thread::yield();
  }
  for (std::thread& t : threads) t.join();
  vm.vcpu(0).state().memory = nullptr;
  for (const std::string& text : wrong) EXPECT_EQ(text, "") << GetParam();
  EXPECT_GT(changes, 0u);
  for (const AuditFinding& f : vm.backend().audit()) ADD_FAILURE() << f.invariant << ": " << f.text;
}

INSTANTIATE_TEST_SUITE_P(Backends, ForeseeInThreads,
                         testing::Values("native", "shadow", "shadow:unsync=off", "nested", "npt"),
                         [](const auto& param) {
                           std::string name = param.param;
                           for (char& c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace gnomon::threads
