// SPDX-License-Identifier: Apache-2.0
//
// Several vCPUs, each on a thread of its own with a TLB in front, use, change and invalidate the
// same tables while the host moves, takes and logs the frames below them. Whoever reads the wrong
// frame, or one that was taken away, reads a number that gives it away; at each rendezvous the
// auditor must be content.

#include <atomic>
#include <barrier>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gnomon/x86/entry_bits.h"
#include "gtest/gtest.h"
#include "tests/naive/naive_mmu.h"
#include "tests/scenario/random.h"
#include "tests/support/scale.h"
#include "tests/threads/shared_vm.h"

namespace gnomon::threads {
namespace {

using scenario::Random;

constexpr Access kUserWrite{AccessOp::kWrite, Privilege::kUser};
constexpr unsigned kRounds = 6;

unsigned steps_per_round() { return by_scale(1'000, 8'000, 100'000); }

/// The first thing that went wrong, from whatever thread.
class Verdict {
 public:
  void fail(const std::string& text) {
    const VmGuard guard(lock_);
    if (text_.empty()) text_ = text;
  }
  std::string text() {
    const VmGuard guard(lock_);
    return text_;
  }
  Verdict() { lock_.set_threaded(true); }

 private:
  VmLock lock_;
  std::string text_;
};

/// What one guest processor does.
class Guest {
 public:
  Guest(SharedVm& vm, size_t id, Verdict& verdict)
      : vm_(vm), vcpu_(vm.vcpu(id)), id_(id), verdict_(verdict), random_(id + 1) {}

  void round(unsigned steps) {
    vcpu_.enter_guest();
    for (unsigned i = 0; i < steps; ++i) step();
    vcpu_.leave_guest();
  }

 private:
  void step() {
    const uint64_t what = random_.below(100);
    if (what < 60) return load(random_.below(SharedVm::kPages + SharedVm::kVolatilePages));
    if (what < 75) return use_private_page();
    if (what < 80) return store(random_.below(SharedVm::kPrivatePage));
    if (what < 92) return change_leaf();
    if (what < 94) return change_directory();
    if (what < 97) {
      vcpu_.write_cr3(Gpa::from_frame(SharedVm::kRoots[random_.below(2)]).value());
      return;
    }
    if (what < 99) return vcpu_.invlpg(SharedVm::page(random_.below(SharedVm::kPages)));
    vcpu_.leave_guest();
    std::this_thread::yield();
    vcpu_.enter_guest();
  }

  void load(uint64_t page) {
    const MemoryResult r = vcpu_.load(SharedVm::page(page), 8, kUserRead);
    if (!expected(page, r.translation) || !r.done()) return;
    if (!SharedVm::is_legal(page, r.value)) {
      verdict_.fail(absl::StrCat("vCPU ", id_, " reads ", r.value, " in page ", page, ": ",
                                 to_string(r.translation)));
    }
  }

  void store(uint64_t page) {
    const Gva at(SharedVm::page(page).value() + 8 + 8 * id_);
    expected(page, vcpu_.store(at, 8, random_.next(), kUserWrite).translation);
  }

  // Only this vCPU stores here, and the guest never maps it elsewhere: what was stored is there,
  // however often the host has moved it.
  void use_private_page() {
    const uint64_t page = SharedVm::kPrivatePage + id_;
    const Gva at(SharedVm::page(page).value() + 64);
    const MemoryResult r = vcpu_.load(at, 8, kUserRead);
    if (!r.done()) return verdict_.fail("private page: " + to_string(r.translation));
    if (r.value != last_) {
      return verdict_.fail(absl::StrCat("vCPU ", id_, " stored ", last_, " and reads ", r.value));
    }
    const MemoryResult s = vcpu_.store(at, 8, last_ + 1, kUserWrite);
    if (!s.done()) return verdict_.fail("private page: " + to_string(s.translation));
    ++last_;
  }

  // Another of the page's frames, without the right to write, or nothing; then INVLPG, here only.
  void change_leaf() {
    const uint64_t page = random_.below(SharedVm::kPrivatePage);
    uint64_t entry =
        Gpa::from_frame(SharedVm::kFirstData + page + SharedVm::kPages * random_.below(4)).value() |
        pte::kPresent | pte::kUser;
    if (random_.percent(80)) entry |= pte::kWritable;
    if (random_.percent(10)) entry = 0;
    write_table(SharedVm::kLeafTables[random_.below(2)], page, entry);
    vcpu_.invlpg(SharedVm::page(page));
  }

  void change_directory() {
    const uint64_t entry = Gpa::from_frame(SharedVm::kLeafTables[random_.below(2)]).value() |
                           pte::kPresent | pte::kWritable | pte::kUser;
    write_table(SharedVm::kDirectories[random_.below(2)], 0, entry);
    vcpu_.invlpg(SharedVm::page(0));
  }

  void write_table(uint64_t frame, uint64_t word, uint64_t entry) {
    const Gpa at(Gpa::from_frame(frame).value() + word * 8);
    const StoreResult r = vm_.backend().write_physical(vcpu_.state(), at, entry, 8);
    if (r != StoreResult::kDone) verdict_.fail(absl::StrCat("table write: ", static_cast<int>(r)));
  }

  // May an access to the page end like this? Any guest fault may be: others change the tables.
  bool expected(uint64_t page, const Translation& t) {
    if (t.ok() || t.outcome == Outcome::kGuestFault) return true;
    if (page >= SharedVm::kPages && t.cause == HostCause::kBallooned) return true;
    verdict_.fail(absl::StrCat("vCPU ", id_, ", page ", page, ": ", to_string(t)));
    return false;
  }

  SharedVm& vm_;
  Vcpu<Backend>& vcpu_;
  const size_t id_;
  Verdict& verdict_;
  Random random_;
  uint64_t last_ = 0;
};

/// What the host does meanwhile.
void change_host(SharedVm& vm, Random& random) {
  const uint64_t any = 1 + random.below(SharedVm::kFirstVolatile - 1);
  const uint64_t gone = SharedVm::kFirstVolatile + random.below(SharedVm::kVolatilePages);
  switch (random.below(10)) {
    case 0: return vm.balloon(gone);
    case 1: return vm.deflate(gone);
    case 2: {
      const VmGuard guard(vm.p2m().lock());
      return vm.p2m().start_dirty_log(Gpa(0), SharedVm::kFrames);
    }
    case 3:
    case 4: {
      const VmGuard guard(vm.p2m().lock());
      (void)vm.p2m().take_dirty(Gpa(0), SharedVm::kFrames);
      return;
    }
    case 5: {
      const VmGuard guard(vm.p2m().lock());
      return vm.p2m().stop_dirty_log(Gpa(0), SharedVm::kFrames);
    }
    default: return vm.remap(any);
  }
}

class Threads : public testing::TestWithParam<std::string> {};

TEST_P(Threads, ShareOneGuest) {
  for (const unsigned vcpus : {2u, 4u}) {
    absl::StatusOr<std::unique_ptr<SharedVm>> made = SharedVm::create(GetParam(), vcpus);
    if (!made.ok()) GTEST_SKIP() << GetParam() << ": " << made.status().message();
    SharedVm& vm = **made;
    Verdict verdict;
    std::barrier rendezvous(vcpus + 1);
    std::atomic<unsigned> running{0};
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < vcpus; ++i) {
      threads.emplace_back([&, i] {
        Guest guest(vm, i, verdict);
        for (unsigned round = 0; round < kRounds; ++round) {
          rendezvous.arrive_and_wait();
          guest.round(steps_per_round());
          running.fetch_sub(1);
          rendezvous.arrive_and_wait();
        }
      });
    }
    Random random(vcpus);
    uint64_t host_changes = 0;
    std::vector<std::string> findings;
    for (unsigned round = 0; round < kRounds; ++round) {
      running.store(vcpus);
      rendezvous.arrive_and_wait();
      while (running.load() != 0) {
        change_host(vm, random);
        ++host_changes;
        std::this_thread::yield();
      }
      rendezvous.arrive_and_wait();
      // All vCPUs wait for the next round, outside the guest.
      for (const AuditFinding& f : vm.backend().audit()) {
        findings.push_back(
            absl::StrCat("round ", round, ", invariant ", f.invariant, ": ", f.text));
      }
    }
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(verdict.text(), "") << GetParam() << ", " << vcpus << " vCPUs";
    EXPECT_TRUE(findings.empty()) << GetParam() << ": " << findings.front();
    EXPECT_GT(host_changes, 0u);

    // Quiet again: after a flush each answer is exact.
    const NaiveMmu naive(vm.p2m());
    for (size_t i = 0; i < vm.vcpus(); ++i) {
      Vcpu<Backend>& vcpu = vm.vcpu(i);
      vcpu.invpcid(InvpcidType::kAllWithGlobals, 0, Gva());
      for (uint64_t page = 0; page < SharedVm::kPages + SharedVm::kVolatilePages; ++page) {
        const Gva va = SharedVm::page(page);
        const NaiveResult model =
            naive.translate(vcpu.controls(), vcpu.state().cpu, va, kUserRead, /*commit=*/false);
        EXPECT_EQ(difference(model, vcpu.access(va, kUserRead), vm.p2m()), "") << page;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Threads,
                         testing::Values("native", "shadow", "shadow:unsync=off", "vtlb", "nested",
                                         "npt", "agile"),
                         [](const auto& param) {
                           std::string name = param.param;
                           for (char& c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace gnomon::threads
