// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_GUEST_PROGRAM_H_
#define TESTS_GUEST_PROGRAM_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <ostream>
#include <set>
#include <utility>

#include "gnomon/x86/entry_bits.h"
#include "tests/guest/model.h"
#include "tests/scenario/random.h"

// Random programs of several processes on two processors. After every step the guest's tables are
// compared with the model: contents, rights, which pages share a frame, and that no frame is lost.

namespace gnomon::guest_test {

struct Setup {
  const char* backend;
  HugePages thp;
  FramePlacement placement;
  bool pcid;
  bool kernel_entries;
  bool clear_on_exit;
  uint64_t kilobytes = 96 << 10;
};

inline void PrintTo(const Setup& s, std::ostream* os) {
  *os << s.backend << " thp=" << static_cast<int>(s.thp)
      << " placement=" << static_cast<int>(s.placement) << " pcid=" << s.pcid
      << " kernel_entries=" << s.kernel_entries << " KB=" << s.kilobytes;
}

/// One program, and the model beside it.
class RandomProgram {
 public:
  RandomProgram(const Setup& setup, uint64_t seed)
      : random_(seed),
        tight_(setup.kilobytes < (32 << 10)),
        machine_(setup.backend, options(setup, seed), 2, setup.pcid ? "skylake" : "tiny") {
    const absl::Status s = machine_.booted;
    EXPECT_TRUE(s.ok()) << s;
    roots_[0] = machine_.run(0, 0);
    model_.unmap(0, 0, 1);
    base_ = machine_.kernel->frames_in_use() - 1;
    running_[0] = 0;
    roots_[0] = machine_.run(1, 0);
    running_[1] = 0;
    // What is read before it is written is the page of zeros.
    EXPECT_TRUE(machine_.map(0, Model::kBase, kPage, kMapRead).ok());
    machine_.read(0, Model::kBase);
    zero_frame_ = (machine_.entry(roots_[0], Model::kBase) & pte::kFrameMask) >> 12;
    EXPECT_TRUE(machine_.event(0, EventKind::kUnmap, Model::kBase, kPage).ok());
  }

  void step() {
    const unsigned cpu = static_cast<unsigned>(random_.below(2));
    const uint64_t what = random_.below(100);
    if (what < 45) return touch(cpu);
    if (what < 57) return map(cpu);
    if (what < 64) return unmap(cpu);
    if (what < 72) return protect(cpu);
    if (what < 76) return advise(cpu);
    if (what < 81) return remap(cpu);
    if (what < 87) return fork(cpu);
    if (what < 94) return switch_process(cpu);
    if (what < 95) return kernel_read(cpu);
    if (what < 96) return kernel_write(cpu);
    if (what < 97) return machine_.kernel->interrupt(cpu);
    end(cpu, random_.percent(30));
  }

  void check();
  void finish() {
    while (!model_.spaces.empty()) {
      const uint32_t process = model_.spaces.begin()->first;
      machine_.run(0, process);
      ASSERT_TRUE(machine_.event(0, EventKind::kExit, 0, 0, 0, 0, 1).ok());
      model_.end(process);
    }
    EXPECT_EQ(machine_.kernel->frames_in_use(), base_ + model_.cached()) << "frames are lost";
    EXPECT_EQ(machine_.stat(GuestStat::kProcesses), 0u);
  }
  Machine& machine() { return machine_; }
  uint64_t refused() const { return refused_; }

 private:
  static GuestOptions options(const Setup& setup, uint64_t seed) {
    GuestOptions o;
    o.memory_bytes = setup.kilobytes << 10;
    o.thp = setup.thp;
    o.placement = setup.placement;
    o.pcid = setup.pcid;
    o.kernel_entries = setup.kernel_entries;
    o.clear_on_exit = setup.clear_on_exit;
    o.seed = seed;
    return o;
  }

  struct Pages {
    uint64_t first, count;
  };
  Pages some_pages() {
    // Around a few places, so that ranges meet; sometimes whole 2M stretches.
    const uint64_t kind = random_.below(4);
    if (kind == 0) {
      const uint64_t first = random_.below(3) * 512;
      return {first, (1 + random_.below(3 - first / 512)) * 512};
    }
    uint64_t first =
        kind == 1 ? random_.below(Model::kPages) : random_.below(3) * 512 + random_.below(24);
    if (kind == 3 && first >= 12) first -= 12;
    return {first, std::min(1 + random_.below(kind == 1 ? 600 : 20), Model::kPages - first)};
  }
  MapFlags some_rights() {
    static constexpr MapFlags kRightsList[] = {
        kRw, kRw, kRw, kMapRead, kMapRead | kMapExec, kRw | kMapExec, 0, kMapWrite};
    return kRightsList[random_.below(8)];
  }
  bool fine(const absl::Status& s) {
    if (absl::IsResourceExhausted(s)) {
      EXPECT_TRUE(tight_) << s;
      ++refused_;
      return false;
    }
    EXPECT_TRUE(s.ok()) << s;
    return s.ok();
  }

  void touch(unsigned cpu) {
    for (uint64_t n = 1 + random_.below(6); n != 0; --n) {
      const uint64_t page = random_.percent(70) ? random_.below(3) * 512 + random_.below(24)
                                                : random_.below(Model::kPages);
      const uint32_t process = running_[cpu];
      if (!model_.spaces[process][page]) continue;
      const AccessOp op = static_cast<AccessOp>(random_.below(20) / 9);
      uint64_t value = random_.next();
      const absl::Status s = machine_.touch(cpu, Model::address(page), op, &value);
      if (!model_.permits(process, page, op)) {
        EXPECT_TRUE(absl::IsPermissionDenied(s)) << s;
        continue;
      }
      if (!fine(s)) continue;
      if (op == AccessOp::kWrite) {
        model_.write(process, page, value);
      } else {
        EXPECT_EQ(value, model_.value(process, page))
            << "page " << page << " of process " << process;
        model_.touched(process, page);
      }
    }
  }
  void map(unsigned cpu) {
    const Pages p = some_pages();
    MapFlags flags = some_rights();
    if (random_.percent(30)) flags |= kMapShared;
    if (random_.percent(p.first % 512 == 0 && p.count >= 512 ? 70 : 20)) flags |= kMapHuge;
    const bool small = p.count <= 64;
    if (random_.percent(10) && small && !tight_) flags |= kMapPopulate;
    const uint64_t file = random_.percent(40) && !tight_ ? 1 + random_.below(2) : 0;
    const uint64_t offset = random_.below(12);
    const absl::Status s =
        machine_.map(cpu, Model::address(p.first), p.count * kPage - random_.below(kPage), flags,
                     file, file != 0 ? offset * kPage : 0);
    if (!fine(s)) return;
    const uint32_t process = running_[cpu];
    model_.map(process, p.first, p.count, flags, file, offset);
    if ((flags & kMapPopulate) == 0 || (flags & (kRw | kMapExec)) == 0) return;
    for (uint64_t i = 0; i < p.count; ++i) {
      model_.touched(process, p.first + i);
      const bool own = (flags & kMapWrite) != 0 && (flags & kMapShared) == 0 && file != 0;
      if (own) model_.write(process, p.first + i, model_.value(process, p.first + i));
    }
  }
  void unmap(unsigned cpu) {
    const Pages p = some_pages();
    if (fine(machine_.event(cpu, EventKind::kUnmap, Model::address(p.first), p.count * kPage))) {
      model_.unmap(running_[cpu], p.first, p.count);
    }
  }
  void protect(unsigned cpu) {
    const Pages p = some_pages();
    const MapFlags rights = some_rights();
    if (fine(machine_.event(cpu, EventKind::kProtect, Model::address(p.first), p.count * kPage, 0,
                            0, rights))) {
      model_.protect(running_[cpu], p.first, p.count, rights);
    }
  }
  void advise(unsigned cpu) {
    const Pages p = some_pages();
    const uint64_t advice = 1 + random_.below(3);
    if (fine(machine_.event(cpu, EventKind::kAdvise, Model::address(p.first), p.count * kPage,
                            advice)) &&
        advice == 1) {
      model_.drop(running_[cpu], p.first, p.count);
    }
  }
  void remap(unsigned cpu) {
    const Pages p = some_pages();
    const uint32_t process = running_[cpu];
    if (!model_.spaces[process][p.first]) return;
    uint64_t to = random_.percent(30) ? p.first : some_pages().first;
    if (random_.percent(30)) to = (p.first + 512) % Model::kPages;
    uint64_t count = random_.percent(50) ? p.count : 1 + random_.below(40);
    count = std::min(count, Model::kPages - to);
    const absl::Status s = machine_.event(cpu, EventKind::kRemap, Model::address(p.first),
                                          p.count * kPage, Model::address(to), count * kPage);
    if (absl::IsInvalidArgument(s)) return;  // not one mapping, or an overlap: nothing has changed
    if (fine(s)) model_.move(process, p.first, p.count, to, count);
  }
  void fork(unsigned cpu) {
    if (model_.spaces.size() >= 5) return;
    const uint32_t child = next_process_++;
    if (!fine(machine_.event(cpu, EventKind::kFork, 0, 0, child))) return;
    model_.fork(running_[cpu], child);
    roots_[child] = machine_.run(1 - cpu, child);
    running_[1 - cpu] = child;
  }
  void switch_process(unsigned cpu) {
    auto it = model_.spaces.begin();
    std::advance(it, random_.below(model_.spaces.size()));
    EXPECT_EQ(machine_.run(cpu, it->first), roots_[it->first]);
    running_[cpu] = it->first;
  }
  void kernel_read(unsigned cpu) {
    const Pages p = some_pages();
    const uint32_t process = running_[cpu];
    for (uint64_t i = 0; i < p.count; ++i) {
      if (!model_.permits(process, p.first + i, AccessOp::kRead)) return;
    }
    const uint64_t bytes = (p.count - 1) * kPage + 1;
    if (!fine(machine_.event(cpu, EventKind::kKernelRead, Model::address(p.first), bytes))) return;
    for (uint64_t i = 0; i < p.count; ++i) model_.touched(process, p.first + i);
  }
  void kernel_write(unsigned cpu) {
    const Pages p = some_pages();
    const uint32_t process = running_[cpu];
    for (uint64_t page = p.first; page < p.first + p.count; ++page) {
      if (!model_.permits(process, page, AccessOp::kWrite)) continue;
      if (fine(machine_.event(cpu, EventKind::kKernelWrite, Model::address(page) + 9, 1))) {
        model_.write(process, page, model_.value(process, page));
      }
    }
  }
  void end(unsigned cpu, bool exec) {
    if (model_.spaces.size() < 2) return;
    const uint32_t process = running_[cpu];
    if (exec) {
      if (!fine(machine_.event(cpu, EventKind::kExec))) return;
      model_.end(process);
      model_.unmap(process, 0, 1);
      roots_[process] = machine_.cpus[cpu]->root();
    } else {
      EXPECT_TRUE(machine_.event(cpu, EventKind::kExit, 0, 0, 0, 0, 1).ok());
      model_.end(process);
    }
    for (const unsigned c : {0u, 1u}) {
      if (running_[c] == process && !model_.spaces.contains(process)) {
        running_[c] = model_.spaces.begin()->first;
      }
      machine_.run(c, running_[c]);
    }
  }

  scenario::Random random_;
  bool tight_;
  Machine machine_;
  Model model_;
  std::map<uint32_t, uint64_t> roots_;
  uint32_t running_[2] = {0, 0};
  uint32_t next_process_ = 1;
  uint64_t base_ = 0;
  uint64_t refused_ = 0;
  uint64_t zero_frame_ = 0;
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> frames_;
  std::set<uint64_t> own_frames_;
  std::map<uint64_t, uint64_t> token_frame_;
  std::map<Model::ObjectPage, uint64_t> object_frame_;

  void check_leaf(uint32_t process, uint64_t va, uint64_t entry);
  uint64_t check_table(uint32_t process, uint64_t table, unsigned level, uint64_t va);
  void check_tlb(unsigned cpu);
};

}  // namespace gnomon::guest_test

#endif  // TESTS_GUEST_PROGRAM_H_
