// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SHADOW_FIXTURE_H_
#define TESTS_SHADOW_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gnomon/backend.h"
#include "gnomon/memory/bytes.h"
#include "gnomon/x86/guest_walk.h"
#include "mmu/shadow/shadow.h"
#include "tests/scenario/random.h"

// A guest whose kernel is the test: it writes tables entry by entry, loads CR3, flushes and touches
// pages. There is no TLB, so each touch is a walk of the shadow tables, and what is stale is stale
// in them.

namespace gnomon::shadow_test {

inline constexpr auto k2M = PageSize::k2M;

using ::testing::ElementsAre;
using ::testing::IsEmpty;

inline constexpr uint64_t kP = pte::kPresent;
inline constexpr uint64_t kW = pte::kWritable;
inline constexpr uint64_t kU = pte::kUser;
inline constexpr uint64_t kA = pte::kAccessed;
inline constexpr uint64_t kD = pte::kDirty;
inline constexpr uint64_t kPS = pte::kLarge;
inline constexpr uint64_t kG = pte::kGlobal;
inline constexpr uint64_t kXD = pte::kNoExecute;
inline constexpr uint64_t kUser = kP | kW | kU;
/// A page that has been read and written before: nothing is left to note at the next access.
inline constexpr uint64_t kUsed = kUser | kA | kD;

inline constexpr Access kRead{AccessOp::kRead, Privilege::kUser};
inline constexpr Access kWrite{AccessOp::kWrite, Privilege::kUser};
inline constexpr Access kFetch{AccessOp::kFetch, Privilege::kUser};
inline constexpr Access kKernelRead{AccessOp::kRead, Privilege::kSupervisor};
inline constexpr Access kKernelWrite{AccessOp::kWrite, Privilege::kSupervisor};
inline constexpr Access kKernelFetch{AccessOp::kFetch, Privilege::kSupervisor};

/// Guest-physical layout: data from 0, the guest's tables, and a device.
inline constexpr uint64_t kTables = 0x8000'0000;
inline constexpr uint64_t kTableBytes = 8_MiB;
inline constexpr uint64_t kDevice = 0xf000'0000;
inline constexpr uint64_t kDeviceBytes = 4_MiB;

using scenario::Random;

struct Layout {
  PagingMode mode = PagingMode::kLevel4;
  SlotOptions ram{};
  uint64_t ram_bytes = 32_MiB;
  uint64_t host_bytes = 96_MiB;
  unsigned cpus = 1;
  uint64_t cr4 = 0;  ///< bits besides those of the mode
  CpuModel model{};
};

class Machine {
 public:
  explicit Machine(absl::string_view spec, const Layout& layout = {})
      : layout_(layout), host(HostMemory::create(layout.host_bytes).value()), p2m(*host) {
    check(host->allocate(FrameOwner::kVmm).has_value());
    check(p2m.add_slot(Gpa(0), layout.ram_bytes, layout.ram).ok());
    check(p2m.add_slot(Gpa(kTables), kTableBytes).ok());
    check(p2m.add_mmio(Gpa(kDevice), kDeviceBytes).ok());
    mmu = create_backend(spec, p2m).value();
    const PagingMode mode = layout.mode;
    const bool long_mode = mode == PagingMode::kLevel4 || mode == PagingMode::kLevel5;
    const bool legacy = mode == PagingMode::kLegacy32;
    levels_ = mode == PagingMode::kLevel5 ? 5 : mode == PagingMode::kLevel4 ? 4 : legacy ? 2 : 3;
    entry_bytes_ = legacy ? 4 : 8;
    root_ = new_table();
    for (unsigned i = 0; i < layout.cpus; ++i) {
      cpus_.push_back(std::make_unique<VcpuState>(i, layout.model));
      Controls& c = cpus_[i]->controls;
      c.cr0 = cr0::kPE | cr0::kWP | (mode == PagingMode::kOff ? 0 : cr0::kPG);
      c.cr4 = (legacy ? cr4::kPSE : cr4::kPAE) | layout.cr4 |
              (mode == PagingMode::kLevel5 ? cr4::kLA57 : 0);
      c.efer = long_mode ? efer::kLME | efer::kLMA | efer::kNXE : 0;
      c.cr3 = root_.value();
      cpus_[i]->update_rules();
      mmu->attach(*cpus_[i]);
    }
  }
  ~Machine() {
    expect_sound("at the end");
    for (const auto& c : cpus_) mmu->detach(*c);
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // vCPUs. All verbs act on the current one.
  VcpuState& cpu() { return *cpus_[current_]; }
  void on(unsigned i) { current_ = i; }
  void set_controls(uint64_t cr0, uint64_t cr4, uint64_t efer) {
    const PagingRules before = cpu().rules;
    cpu().controls.cr0 = cr0;
    cpu().controls.cr4 = cr4;
    cpu().controls.efer = efer;
    cpu().update_rules();
    mmu->controls_changed(cpu(), before);
  }
  void set_wp(bool on) {
    const Controls& c = cpu().controls;
    set_controls(on ? c.cr0 | cr0::kWP : c.cr0 & ~cr0::kWP, c.cr4, c.efer);
  }
  void set_cr4(uint64_t bits, bool on) {
    const Controls& c = cpu().controls;
    set_controls(c.cr0, on ? c.cr4 | bits : c.cr4 & ~bits, c.efer);
  }
  /// MOV to CR3.
  void switch_to(Gpa root, uint16_t pcid = 0, bool flush = true) {
    cpu().controls.cr3 = root.value() | pcid;
    if (layout_.mode == PagingMode::kPae) check(load_pdptes(p2m, cpu().controls, cpu().rules));
    mmu->cr3_loaded(cpu(), flush);
  }
  void flush() { switch_to(root(), pcid_of(cpu().controls)); }
  void invlpg(uint64_t va) { mmu->invlpg(cpu(), Gva(va)); }
  void invpcid(InvpcidType type, uint16_t pcid, uint64_t va = 0) {
    mmu->invpcid(cpu(), type, pcid, Gva(va));
  }
  Gpa root() { return root_of(cpu().controls, cpu().rules.mode); }
  Gpa first_root() const { return root_; }

  // The guest's tables. A space is a root; entries are written by `store`, as the kernel does.
  Gpa new_table() {
    const Gpa at(kTables + tables_made_++ * 4096);
    check(tables_made_ <= kTableBytes / 4096);
    return at;
  }
  void store(Gpa at, uint64_t value, unsigned size) {
    EXPECT_EQ(mmu->write_physical(cpu(), at, value, size), StoreResult::kDone);
  }
  void store_pte(Gpa at, uint64_t value) { store(at, value, entry_bytes_); }
  uint64_t peek(Gpa at) const {
    const uint8_t* ram = p2m.ram_at(at);
    return ram == nullptr ? 0 : load_bytes(ram, entry_bytes_);
  }
  Gpa slot_in(Gpa table, uint64_t va, unsigned level) const {
    const unsigned bits = entry_bytes_ == 4 ? 10 : 9;
    const uint64_t index = va >> (12 + bits * (level - 1)) & ((1u << bits) - 1);
    return Gpa(table.value() + (levels_ == 3 && level == 3 ? index & 3 : index) * entry_bytes_);
  }
  /// Where the entry of `va` at `level` is; tables that are missing above it are made.
  Gpa entry_at(uint64_t va, unsigned level, Gpa space) {
    Gpa table = space;
    for (unsigned l = levels_; l > level; --l) {
      const Gpa at = slot_in(table, va, l);
      uint64_t e = peek(at);
      if ((e & kP) == 0)
        store_pte(at, e = new_table().value() | (levels_ == 3 && l == 3 ? kP : kUser));
      table = Gpa(e & pte::kFrameMask);
    }
    return slot_in(table, va, level);
  }
  Gpa entry_at(uint64_t va, unsigned level) { return entry_at(va, level, root_); }
  Gpa table_at(uint64_t va, unsigned level, Gpa space) {
    return entry_at(va, level, space).page_base();
  }
  Gpa table_at(uint64_t va, unsigned level) { return table_at(va, level, root_); }
  void map_in(Gpa space, uint64_t va, uint64_t gpa, uint64_t flags = kUser,
              PageSize size = PageSize::k4K) {
    const unsigned level = size == PageSize::k4K ? 1 : size == PageSize::k1G ? 3 : 2;
    store_pte(entry_at(va, level, space), gpa | flags | (level > 1 ? kPS : 0));
  }
  void map(uint64_t va, uint64_t gpa, uint64_t flags = kUser, PageSize size = PageSize::k4K) {
    map_in(root_, va, gpa, flags, size);
  }
  void unmap(uint64_t va) { store_pte(entry_at(va, 1), 0); }
  uint64_t pte(uint64_t va, unsigned level = 1) { return peek(entry_at(va, level)); }

  // Accesses.
  Translation touch(uint64_t va, Access access = kRead) {
    return mmu->miss(cpu(), Gva(va), access);
  }
  void expect_mapped(uint64_t va, uint64_t gpa, Access access = kRead) {
    const Translation t = touch(va, access);
    EXPECT_TRUE(t.ok()) << absl::StrCat(absl::Hex(va)) << ": " << to_string(t);
    EXPECT_EQ(t.gpa, Gpa(gpa)) << absl::StrCat(absl::Hex(va));
    const P2mEntry e = p2m.lookup(Gpa(gpa));
    EXPECT_TRUE(e.is_ram());
    EXPECT_EQ(t.hpa, e.frame().with_offset(PageSize::k4K, gpa)) << absl::StrCat(absl::Hex(va));
  }
  void expect_fault(uint64_t va, uint32_t error_code, Access access = kRead) {
    const Translation t = touch(va, access);
    EXPECT_EQ(t.outcome, Outcome::kGuestFault)
        << absl::StrCat(absl::Hex(va)) << ": " << to_string(t);
    EXPECT_EQ(t.error_code, error_code) << absl::StrCat(absl::Hex(va));
  }
  /// The access must end as the guest's tables and the p2m say now.
  void expect_agrees(uint64_t va, Access access = kRead) {
    const Translation want = touch(va, {access.op(), access.by(), /*probe=*/true});
    const Translation got = touch(va, access);
    const auto text = [&] { return absl::StrCat(absl::Hex(va), " ", to_string(access)); };
    ASSERT_EQ(got.outcome, want.outcome)
        << text() << ": " << to_string(got) << "; " << to_string(want);
    EXPECT_EQ(got.cause, want.cause) << text();
    EXPECT_EQ(got.error_code, want.error_code) << text();
    if (got.outcome == Outcome::kGuestFault) return;
    EXPECT_EQ(got.gpa, want.gpa) << text();
    if (!got.ok()) return;
    EXPECT_EQ(got.hpa, p2m.lookup(got.gpa).frame().with_offset(PageSize::k4K, va)) << text();
  }
  /// A store and a load of the guest through its own mapping.
  void guest_store(uint64_t va, uint64_t value, unsigned size = 8) {
    const Translation t = touch(va, kKernelWrite);
    ASSERT_TRUE(t.ok()) << to_string(t);
    if (t.trapped) return store(t.gpa, value, size);
    store_bytes(host->at<uint8_t>(t.hpa), value, size);
  }
  uint64_t guest_load(uint64_t va, unsigned size = 8) {
    const Translation t = touch(va, kKernelRead);
    EXPECT_TRUE(t.ok()) << to_string(t);
    uint64_t value = ~uint64_t{0};
    if (!t.ok()) return value;
    if (!t.trapped) return load_bytes(host->at<uint8_t>(t.hpa), size);
    EXPECT_TRUE(mmu->read_physical(cpu(), t.gpa, size, value));
    return value;
  }

  // Counters, of all vCPUs and of work outside them, since the last `mark`.
  void mark() { marked_ = total(); }
  uint64_t since(Counter c) const { return total()[c] - marked_[c]; }
  Counters total() const {
    Counters sum = mmu->counters();
    for (const auto& c : cpus_) sum += c->counters;
    return sum;
  }
  /// The references of one access that finds everything in place, as logged and as counted.
  std::vector<WalkReference> walk(uint64_t va, Access access = kRead) {
    std::vector<WalkReference> log;
    const uint64_t before = cpu().counters.walk_references();
    cpu().log = &log;
    EXPECT_TRUE(touch(va, access).ok());
    cpu().log = nullptr;
    EXPECT_EQ(cpu().counters.walk_references() - before, log.size());
    return log;
  }

  // What is in the shadow.
  const shadow::ShadowMmu& shadow() const { return dynamic_cast<const shadow::ShadowMmu&>(*mmu); }
  /// Shadow pages of a guest table.
  unsigned pages_of(Gpa table) const {
    unsigned n = 0;
    shadow().pages().for_each_page(
        [&](const shadow::ShadowPage& p) { n += p.shadows_table() && p.gfn == table.frame(); });
    return n;
  }
  bool unsync(Gpa table) const { return shadow().pages().unsync(p2m.frame_index(table)); }
  /// The complete list of what the processor can reach, by ascending address: "va>gpa size wux",
  /// with "-" or "s" for a right that is missing; "va>mmio gpa" for a marker; "va>switch gpa".
  std::vector<std::string> mappings() {
    std::map<uint64_t, uint64_t> gpa_of;
    p2m.for_each_slot([&](Gpa first, uint64_t frames) {
      for (uint64_t i = 0; i < frames; ++i) {
        const Gpa gpa(first.value() + (i << 12));
        if (const P2mEntry e = p2m.lookup(gpa); e.is_ram()) gpa_of[e.frame().value()] = gpa.value();
      }
    });
    std::vector<std::string> list;
    const uint64_t root = shadow().hardware_root(cpu()).value();
    if (root != 0) dump(root, shadow::shadow_levels(cpu().rules.mode), 0, gpa_of, list);
    return list;
  }
  void expect_sound(absl::string_view when = "") const {
    for (const AuditFinding& f : mmu->audit())
      ADD_FAILURE() << when << " " << f.invariant << ": " << f.text;
  }

 private:
  static void check(bool ok) {
    if (!ok) std::abort();
  }
  void dump(uint64_t table, unsigned level, uint64_t va, const std::map<uint64_t, uint64_t>& gpa_of,
            std::vector<std::string>& list) {
    for (uint64_t i = 0; i < 512; ++i) {
      const uint64_t e = host->at<uint64_t>(Hpa(table))[i];
      if (!shadow::is_present(e)) continue;
      uint64_t here = va | i << Long4::shift(level);
      if (level == 4 && i >= 256 && shadow::shadow_levels(cpu().rules.mode) == 4)
        here |= ~uint64_t{0} << 48;
      const auto gpa = [&](uint64_t hpa) {
        const auto it = gpa_of.find(hpa);
        return it == gpa_of.end() ? absl::StrCat("hpa:", absl::Hex(hpa))
                                  : absl::StrCat(absl::Hex(it->second));
      };
      if (shadow::is_mmio(e)) {
        list.push_back(
            absl::StrCat(absl::Hex(here), ">mmio ", absl::Hex(shadow::mmio_frame(e).value())));
      } else if (shadow::is_switch(e)) {
        list.push_back(absl::StrCat(absl::Hex(here), ">switch ", gpa(e & pte::kFrameMask)));
      } else if (shadow::is_link(e, level)) {
        dump(e & pte::kFrameMask, level - 1, here, gpa_of, list);
      } else {
        const PageSize size = Long4::leaf_size(level);
        list.push_back(absl::StrCat(absl::Hex(here), ">", gpa(Long4::leaf_base(e, level)), " ",
                                    std::string(name_of(size)), " ", (e & kW) != 0 ? "w" : "-",
                                    (e & kU) != 0 ? "u" : "s", (e & kXD) != 0 ? "-" : "x"));
      }
    }
  }

  const Layout layout_;
  unsigned levels_ = 4;
  unsigned entry_bytes_ = 8;
  uint64_t tables_made_ = 0;
  Gpa root_;
  unsigned current_ = 0;
  std::vector<std::unique_ptr<VcpuState>> cpus_;
  Counters marked_;

 public:
  std::unique_ptr<HostMemory> host;
  P2m p2m;
  std::unique_ptr<Backend> mmu;
};

}  // namespace gnomon::shadow_test

#endif  // TESTS_SHADOW_FIXTURE_H_
