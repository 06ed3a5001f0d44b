// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "gnomon/vcpu.h"
#include "tests/scenario/random.h"
#include "tests/vcpu/discipline.h"

// Whole vCPUs, with TLB and walk caches, over every backend: a guest that invalidates what the manual
// tells it to sees exactly what a processor without any cache would show it.

namespace gnomon::vcpu_test {
namespace {

using scenario::Random;

constexpr absl::string_view kBackends[] = {
    "native", "shadow", "shadow:unsync=off,update=off", "shadow:directory=full-trap,flags=lazy",
    "shadow:budget=1,roots=0", "vtlb", "agile", "agile:interval=4,start=shadow", "agile:writes=0", "nested",
    "nested:ad=off,max_page=4K", "npt", "direct"};
constexpr absl::string_view kPresets[] = {"tiny", "skylake", "zen4"};

constexpr uint64_t kLong = efer::kLME | efer::kNXE;
constexpr PagingShape kShapes[] = {
    {"level4", cr4::kPAE | cr4::kPGE | cr4::kPCIDE, kLong, 4, 8},
    {"legacy32", cr4::kPSE | cr4::kPGE, 0, 2, 4},
    {"pae", cr4::kPAE | cr4::kPGE, efer::kNXE, 3, 8},
    {"level5", cr4::kPAE | cr4::kPGE | cr4::kPCIDE | cr4::kLA57, kLong, 5, 8},
};

// Guest-physical: tables and data in 4K host pages, then 8M in 2M ones, read-only memory, a device.
constexpr uint64_t kPage = 0x1000;
constexpr uint64_t kTablesPerLevel = 4, kFirstTable = 4, kLastTable = 23;
constexpr uint64_t kFirstData = 64, kDataFrames = 40;
constexpr uint64_t kBig = 4_MiB, kBigBytes = 8_MiB;
constexpr uint64_t kRom = 16_MiB, kDevice = 17_MiB, kHole = 18_MiB;
constexpr uint64_t kFrames = (kRom >> 12) + 16;
constexpr unsigned kPages = 18;

bool is_table(uint64_t gpa) { return gpa >> 12 >= kFirstTable && gpa >> 12 <= kLastTable; }

void add_slots(P2m& p2m, PageSize backing) {
  SlotOptions options;
  ASSERT_TRUE(p2m.add_slot(Gpa(0), kBig, options).ok());
  options.backing = backing;
  ASSERT_TRUE(p2m.add_slot(Gpa(kBig), kBigBytes, options).ok());
  options.rom = true;
  options.backing = PageSize::k4K;
  ASSERT_TRUE(p2m.add_slot(Gpa(kRom), 16 * kPage, options).ok());
  ASSERT_TRUE(p2m.add_mmio(Gpa(kDevice), kPage).ok());
}

struct Counts {
  uint64_t accesses = 0, translated = 0, faults = 0, host_stops = 0, hits = 0, flags = 0;
  uint64_t table_writes = 0, trapped = 0, flushes = 0, host_changes = 0, dirty = 0, refused = 0;
};

class Guest {
 public:
  Guest(absl::string_view spec, absl::string_view preset, const PagingShape& shape, uint64_t seed,
        Counts& counts)
      : direct_(spec == "direct"),
        lazy_(absl::StrContains(spec, "flags=lazy")),
        shape_(shape),
        random_(seed),
        n_(counts) {
    add_slots(p2m_, PageSize::k2M);
    add_slots(mirror_, PageSize::k4K);
    backend_ = create_backend(spec, p2m_).value();
    calm_ = static_cast<unsigned>(random_.below(95));
    model_.accessed_before_fault = random_.percent(50);
    const auto cpus = static_cast<uint32_t>(1 + random_.below(3));
    choose_pages();
    for (uint32_t i = 0; i < cpus; ++i) {
      cpus_.push_back(std::make_unique<Vcpu<Backend>>(
          *backend_, p2m_, VcpuParts::from(find_tlb_preset(preset).value(), i, model_).value()));
      knows_.emplace_back(shape_, pages_, mirror_);
    }
    for (unsigned level = 1; level <= shape.levels; ++level) {
      for (uint64_t t = 0; t < kTablesPerLevel; ++t) {
        for (const uint64_t page : pages_) {
          store(0, table(level, t) + shape.index(page, level) * shape.entry_bytes, entry(level),
                shape.entry_bytes);
        }
      }
    }
    for (uint32_t i = 0; i < cpus; ++i) {
      EXPECT_TRUE(cpu(i).write_cr3(table(shape.levels, random_.below(kTablesPerLevel))));
      EXPECT_TRUE(cpu(i).write_controls(cr0::kPE | cr0::kPG | cr0::kWP, shape.cr4, shape.efer));
    }
  }

  /// Empty, or what went wrong.
  std::string run(unsigned steps) {
    for (step_ = 0; step_ < steps && problem_.empty(); ++step_) {
      step();
      if (step_ % 16 == 15) audit();
      if (step_ % 64 == 63) compare_tables(/*all=*/false);
    }
    if (problem_.empty()) compare_tables(true);
    if (problem_.empty()) return {};
    std::string text = absl::StrCat("step ", step_, ": ", problem_, "\nlast actions:");
    for (const std::string& a : actions_) absl::StrAppend(&text, "\n  ", a);
    return text;
  }
  void add_hits() {
    for (auto& c : cpus_) {
      n_.hits += c->counters()[Counter::kTlbHitsL1] + c->counters()[Counter::kTlbHitsL2];
    }
  }

 private:
  Vcpu<Backend>& cpu(size_t i) { return *cpus_[i]; }
  const Controls& controls(size_t i) { return cpu(i).controls(); }
  bool paging(size_t i) { return (controls(i).cr0 & cr0::kPG) != 0; }
  bool pcide(size_t i) { return (controls(i).cr4 & cr4::kPCIDE) != 0; }
  uint16_t pcid(size_t i) { return pcid_of(controls(i)); }
  static uint64_t table(unsigned level, uint64_t which) {
    return (kFirstTable + (level - 1) * kTablesPerLevel + which) * kPage;
  }
  void note(std::string text) {
    actions_.push_back(absl::StrCat(step_, " ", text));
    if (actions_.size() > 20) actions_.pop_front();
  }
  void fail(std::string text) {
    if (problem_.empty()) problem_ = std::move(text);
  }

  // Few indices at each level, so that pages share tables, and large pages hold several of them.
  void choose_pages() {
    static constexpr std::array<uint64_t, 6> kLow = {0, 1, 4, 9, 70, 510};
    while (pages_.size() < kPages) {
      uint64_t va = random_.pick(kLow) << 12;
      for (unsigned level = 2; level <= shape_.levels; ++level) {
        uint64_t index = random_.percent(60) ? 1 : random_.below(3);
        if (shape_.levels == 3 && level == 3) index = random_.below(4);
        if (level == shape_.levels && level > 3 && random_.percent(20)) index = 511;
        va |= index << shape_.shift(level);
      }
      const unsigned width = 12 + 9 * shape_.levels;
      if (shape_.levels > 3 && (va >> (width - 1) & 1) != 0) va |= ~uint64_t{0} << width;
      for (const uint64_t page : {va, va + kPage}) {
        if (std::find(pages_.begin(), pages_.end(), page) == pages_.end()) pages_.push_back(page);
      }
    }
  }

  uint64_t big_page() { return kBig + random_.below(kBigBytes / 2_MiB) * 2_MiB; }
  uint64_t entry(unsigned level) {
    const bool wide = shape_.entry_bytes == 8;
    uint64_t e = random_.percent(96) ? pte::kPresent : 0;
    if (shape_.levels == 3 && level == 3) return e | table(2, random_.below(kTablesPerLevel));
    const bool large = level > 1 && ((level == 2 && random_.percent(20)) ||
                                     (level == 3 && !direct_ && random_.percent(3)));
    bool writable = random_.percent(80);
    if (large) {
      e |= pte::kLarge;
      if (level == 2) e |= !direct_ && random_.percent(30) ? 0 : big_page();
      if (level == 2 && !wide) e &= ~uint64_t{2_MiB};
    } else if (level > 1) {
      const bool odd = !direct_ && random_.percent(3);
      const unsigned next = odd ? 1 + static_cast<unsigned>(random_.below(shape_.levels)) : level - 1;
      e |= table(next, random_.below(kTablesPerLevel));
    } else if (random_.percent(10)) {
      writable = writable && !direct_;
      e |= table(1 + static_cast<unsigned>(random_.below(shape_.levels)), random_.below(kTablesPerLevel));
    } else if (random_.percent(4) && !direct_) {
      e |= random_.pick(std::array<uint64_t, 3>{kRom + 2 * kPage, kDevice, kHole});
    } else if (random_.percent(15)) {
      e |= kBig + random_.below(kBigBytes / kPage) * kPage;
    } else {
      e |= (kFirstData + random_.below(kDataFrames)) * kPage;
    }
    if (writable) e |= pte::kWritable;
    if (random_.percent(85)) e |= pte::kUser;
    if (random_.percent(60)) e |= pte::kAccessed;
    if (random_.percent(40)) e |= pte::kDirty;
    if (random_.percent(20) && (level == 1 || large)) e |= pte::kGlobal;
    if (wide && random_.percent(6)) e |= pte::kNoExecute;
    if (shape_.levels > 3 && random_.percent(12)) e |= random_.below(4) << pte::kKeyShift;
    return e;
  }
  // A good entry for a place in a table.
  uint64_t entry_at(uint64_t gpa) {
    return entry(1 + static_cast<unsigned>(((gpa >> 12) - kFirstTable) / kTablesPerLevel));
  }

  // Everything a processor could have cached so far counts, before memory or registers change.
  void before_change() {
    if (observed_) return;
    for (size_t i = 0; i < cpus_.size(); ++i) {
      if (paging(i)) knows_[i].observe(controls(i), model_);
    }
    observed_ = true;
  }
  void changed() { observed_ = false; }

  void mirror_store(uint64_t gpa, uint64_t value, unsigned size) {
    mirror_.back(Gpa(gpa));
    store_bytes(mirror_.ram_at(Gpa(gpa)), value, size);
    written_[gpa >> 12] = true;
    if (is_table(gpa)) changed();
  }
  uint64_t mirror_load(uint64_t gpa, unsigned size) {
    const uint8_t* at = mirror_.ram_at(Gpa(gpa));
    return at == nullptr ? 0 : load_bytes(at, size);
  }
  // The guest updates a table through its own mapping.
  void store(size_t i, uint64_t gpa, uint64_t value, unsigned size) {
    before_change();
    note(absl::StrFormat("cpu %d table write %x = %x (%d)", i, gpa, value, size));
    const StoreResult got = backend_->write_physical(cpu(i).state(), Gpa(gpa), value, size);
    ++n_.table_writes;
    if (got == StoreResult::kRefused && direct_) return void(++n_.refused);
    const bool ballooned = mirror_.lookup(Gpa(gpa)).state() == FrameState::kBallooned;
    if (got != (ballooned ? StoreResult::kNotBacked : StoreResult::kDone)) fail("store result");
    if (got == StoreResult::kDone) mirror_store(gpa, value, size);
  }

  // Invalidates until page `n` is translated by what is in memory.
  void make_fresh(size_t i, size_t n) {
    if (!paging(i)) return;
    before_change();
    for (unsigned tries = 0;; ++tries) {
      bool global = false;
      const Path now = knows_[i].path(controls(i), model_, n);
      if (!knows_[i].stale(pcid(i), n, now, global)) return;
      if (tries == 4) return fail("the test's own guest cannot get rid of a stale entry");
      flush(i, n, tries == 3 ? 7 : random_.below(global ? 6 : 12));
    }
  }
  void flush(size_t i, size_t n, uint64_t way) {
    ++n_.flushes;
    before_change();
    changed();  // what is there may be cached again at once
    Discipline& d = knows_[i];
    const uint16_t id = pcid(i);
    const uint64_t va = pages_[n] | random_.below(kPage);
    note(absl::StrFormat("cpu %d flush way %d page %x pcid %d", i, way, va, id));
    switch (way) {
      case 0:
      case 1:
        if (!cpu(i).invpcid(InvpcidType::kAllWithGlobals, 0, Gva(0))) fail("INVPCID 2");
        return d.flush_all();
      case 2: {
        const Controls c = controls(i);
        for (const uint64_t cr4 : {c.cr4 ^ cr4::kPGE, c.cr4}) {
          const bool flips = ((controls(i).cr4 ^ cr4) & cr4::kPGE) != 0;  // #GP may have kept it
          if (cpu(i).write_controls(c.cr0, cr4, c.efer) && flips) d.flush_all();
        }
        return;
      }
      case 3:
      case 4: {
        const uint64_t other = d.neighbour(id, n, random_.next());
        note(absl::StrFormat("  by %x", other));
        cpu(i).invlpg(Gva(other));
        return d.invlpg(id, other);
      }
      case 8:
        if (!cpu(i).invpcid(InvpcidType::kAddress, id, Gva(va))) return;
        return d.invpcid_address(id, va);
      case 9:
        if (!cpu(i).invpcid(InvpcidType::kContext, id, Gva(0))) fail("INVPCID 1");
        return d.flush_context(id);
      case 10:
        if (!cpu(i).invpcid(InvpcidType::kAll, 0, Gva(0))) fail("INVPCID 3");
        return d.flush_non_global();
      case 11: return load_cr3(i, controls(i).cr3);
      default: cpu(i).invlpg(Gva(va)); return d.invlpg(id, va);
    }
  }
  void load_cr3(size_t i, uint64_t value) {
    before_change();
    changed();
    note(absl::StrFormat("cpu %d cr3 = %x", i, value));
    const bool flushes = !pcide(i) || (value & cr3::kNoFlush) == 0;
    if (!cpu(i).write_cr3(value)) {
      if (shape_.levels != 3 && paging(i)) fail("#GP for CR3");
      return;
    }
    if (flushes) knows_[i].flush_context(pcid(i));
  }
  void switch_space(size_t i) {
    uint64_t value = table(shape_.levels, random_.below(kTablesPerLevel));
    if (pcide(i)) value |= random_.below(3) | (random_.percent(60) ? cr3::kNoFlush : 0);
    load_cr3(i, value);
  }

  void change_controls(size_t i) {
    before_change();
    changed();
    if (random_.percent(25)) return cpu(i).set_ac(random_.percent(50));
    if (random_.percent(25)) return cpu(i).write_pkru(static_cast<uint32_t>(random_.next() & random_.next() & 0xff));
    Controls c = controls(i);
    static constexpr std::array<uint64_t, 5> kBits = {cr4::kSMEP, cr4::kSMAP, cr4::kPKE, cr4::kPGE, cr4::kPCIDE};
    const bool was_paging = paging(i);
    if (!was_paging || (random_.percent(5) && !pcide(i))) {
      c.cr0 ^= cr0::kPG;
    } else if (random_.percent(50)) {
      c.cr0 ^= cr0::kWP;
    } else {
      const uint64_t bit = random_.pick(kBits);
      if (bit != cr4::kPCIDE || random_.percent(20)) c.cr4 ^= bit;
    }
    note(absl::StrFormat("cpu %d controls cr0 %x cr4 %x", i, c.cr0, c.cr4));
    const uint64_t cr4_before = controls(i).cr4;
    if (!cpu(i).write_controls(c.cr0, c.cr4, c.efer)) return;
    const uint64_t flipped = cr4_before ^ c.cr4;
    if (paging(i) != was_paging || (flipped & cr4::kPGE) != 0 || (flipped & cr4_before & cr4::kPCIDE) != 0) {
      knows_[i].flush_all();
    }
  }

  // One load, store or fetch in full.
  void access(size_t i) {
    // Mostly a few pages, so that caches have something to remember.
    if (random_.percent(5)) hot_ = random_.below(pages_.size());
    const size_t n = random_.percent(30) ? random_.below(pages_.size())
                                         : (hot_ + random_.below(3)) % pages_.size();
    const auto op = static_cast<AccessOp>(random_.below(3));
    const Access how{op, random_.pick(std::array{Privilege::kUser, Privilege::kUser, Privilege::kSupervisor,
                                                 Privilege::kSupervisor, Privilege::kImplicit})};
    const bool crosses = !direct_ && paging(i) && op != AccessOp::kFetch && n + 1 < pages_.size() &&
                         pages_[n + 1] == pages_[n] + kPage && random_.percent(15);
    make_fresh(i, n);
    if (crosses) make_fresh(i, n + 1);
    if (crosses) make_fresh(i, n);
    before_change();
    uint64_t va = pages_[n] | (crosses ? kPage - 1 - random_.below(7) : random_.below(512) * 8);
    if (!crosses && random_.percent(50)) {
      va = pages_[n] | shape_.index(random_.pick(pages_), 1 + static_cast<unsigned>(random_.below(shape_.levels))) *
                           shape_.entry_bytes;
    }
    if (!paging(i)) va = va % (kBig + kBigBytes);
    const NaiveResult first = naive_.translate(controls(i), model_, Gva(va), how, false);
    if (op == AccessOp::kWrite && !paging(i) && first.ok() && is_table(first.gpa.value()) && direct_) return;
    NaiveResult second;
    const uint64_t next = pages_[crosses ? n + 1 : n];
    if (crosses) {
      second = naive_.translate(controls(i), model_, Gva(next), how, false);
      if (how.write() && (is_table(first.gpa.value()) || is_table(second.gpa.value()))) return;
    }
    unsigned size = crosses ? 8 : shape_.entry_bytes;
    uint64_t value = random_.next();
    if (first.ok() && is_table(first.gpa.value())) value = entry_at(first.gpa.value());
    if (size == 4) value &= 0xffff'ffff;
    ++n_.accesses;
    note(absl::StrFormat("cpu %d %s %x (%d) value %x pcid %d: %s", i, to_string(how), va, size, value, pcid(i),
                         to_string(first)));
    const MemoryResult r = how.write()          ? cpu(i).store(Gva(va), size, value, how)
                           : op == AccessOp::kFetch ? MemoryResult{cpu(i).access(Gva(va), how)}
                                                    : cpu(i).load(Gva(va), size, how);
    const Translation& t = r.translation;
    if (direct_ && t.outcome == Outcome::kHostViolation && t.cause == HostCause::kNone) return void(++n_.refused);
    const NaiveResult want = naive_.translate(controls(i), model_, Gva(va), how, true);
    set_flags(want);
    if (crosses && want.ok()) {
      second = naive_.translate(controls(i), model_, Gva(next), how, true);
      set_flags(second);
    }
    const bool done = want.ok() && (!crosses || second.ok());
    const std::string wrong = difference(want.ok() && !done ? second : want, t, p2m_);
    if (!wrong.empty()) return fail(wrong);
    ++(t.ok() ? n_.translated : t.outcome == Outcome::kGuestFault ? n_.faults : n_.host_stops);
    before_change();  // the store may change the very entries that were walked and cached
    if (done && op != AccessOp::kFetch) transfer(r, want, second, va, size, value, how);
    // Only now: the store may have gone into the very entries that were walked.
    if (random_.percent(25)) check_flags(i, want);
  }
  // The data of a load or store.
  void transfer(const MemoryResult& r, const NaiveResult& want, const NaiveResult& second, uint64_t va,
                unsigned size, uint64_t value, Access how) {
    const Translation& t = r.translation;
    const auto here = static_cast<unsigned>(std::min<uint64_t>(size, kPage - va % kPage));
    const bool crosses = here < size;
    n_.trapped += t.trapped;
    const uint64_t at = want.gpa.value();
    if (how.write()) {
      if (r.stored == StoreResult::kRefused && direct_) return void(++n_.refused);
      if (!r.done()) return fail("the store was not done");
      mirror_store(at, value, here);
      if (crosses) mirror_store(second.gpa.value(), value >> (8 * here), size - here);
      return;
    }
    uint64_t should = mirror_load(at, here);
    if (crosses) should |= mirror_load(second.gpa.value(), size - here) << (8 * here);
    if (r.value != should) fail(absl::StrFormat("loaded %x, expected %x", r.value, should));
  }
  // The accessed and dirty flags that an access sets; `r` has set them in the mirror.
  void set_flags(const NaiveResult& r) {
    n_.flags += r.update_count;
    for (unsigned k = 0; k < r.update_count; ++k) {
      written_[r.updates[k].at.frame()] = !lazy_ || written_[r.updates[k].at.frame()];
      changed();
    }
  }
  void check_flags(size_t i, const NaiveResult& r) {
    for (unsigned k = 0; k < r.update_count; ++k) check_word(i, r.updates[k].at.value() & ~uint64_t{7});
  }
  void check_word(size_t i, uint64_t gpa) {
    uint64_t seen = 0;
    if (!backend_->read_physical(cpu(i).state(), Gpa(gpa), 8, seen)) {
      if (mirror_.lookup(Gpa(gpa)).state() != FrameState::kBallooned) fail("cannot read a table");
      return;
    }
    const uint64_t should = mirror_load(gpa, 8);
    if (seen != should) fail(absl::StrFormat("the guest reads %x at %x, expected %x", seen, gpa, should));
  }
  void compare_tables(bool all) {
    for (uint64_t f = kFirstTable; f <= kLastTable; ++f) {
      if (all) {
        for (uint64_t w = 0; w < 512; ++w) check_word(0, f * kPage + w * 8);
      } else {
        for (const uint64_t page : pages_) {
          const unsigned level = 1 + static_cast<unsigned>(random_.below(shape_.levels));
          check_word(0, f * kPage + (shape_.index(page, level) * shape_.entry_bytes & ~uint64_t{7}));
        }
      }
    }
  }
  void audit() {
    const std::vector<AuditFinding> findings = backend_->audit();
    if (!findings.empty()) fail(absl::StrCat("audit, invariant ", findings[0].invariant, ": ", findings[0].text));
  }

  void change_host() {
    before_change();
    ++n_.host_changes;
    const VmGuard guard(p2m_.lock());
    uint64_t frame = kFirstData + random_.below(kDataFrames);
    if (random_.percent(30)) frame = (kBig + random_.below(kBigBytes)) >> 12;
    if (random_.percent(15)) frame = kFirstTable + random_.below(kLastTable - kFirstTable);
    const Gpa at = Gpa::from_frame(frame);
    const Gpa first = random_.percent(50) ? Gpa(0) : at;
    const uint64_t count = random_.percent(50) ? kFrames : 1 + random_.below(600);
    const uint64_t what = random_.below(12);
    note(absl::StrFormat("host change %d at %x, range %x + %x frames", what, at.value(), first.value(), count));
    switch (what) {
      case 0:
      case 1: (void)p2m_.remap(at); return;
      case 2:
        if (random_.percent(50) || !p2m_.balloon(at).ok()) return;
        (void)mirror_.balloon(at);
        return changed();
      case 3:
      case 4:
        for (uint64_t f = 0; f < kRom >> 12; ++f) {
          if (p2m_.deflate(Gpa::from_frame(f)).ok()) (void)mirror_.deflate(Gpa::from_frame(f));
        }
        return changed();
      case 5: (void)p2m_.split(at); return;
      case 6:
      case 7: (void)p2m_.promote(Gpa(big_page())); return;
      case 8: backend_->drop_caches(); return;
      case 9:
        p2m_.start_dirty_log(first, count);
        for_range(first, count, [&](uint64_t f) { logged_[f] = true, written_[f] = false; });
        return;
      case 10:
        if (random_.percent(60)) return;
        p2m_.stop_dirty_log(first, count);
        for_range(first, count, [&](uint64_t f) { logged_[f] = false; });
        return;
      default: take_dirty(first, count);
    }
  }
  template <class F>
  static void for_range(Gpa first, uint64_t count, F&& f) {
    for (uint64_t n = first.frame(); n < std::min(kFrames, first.frame() + count); ++n) f(n);
  }
  void take_dirty(Gpa first, uint64_t count) {
    std::vector<bool> taken(kFrames);
    for (const Gpa gpa : p2m_.take_dirty(first, count)) taken[gpa.frame()] = true;
    for_range(first, count, [&](uint64_t f) {
      if (!logged_[f]) return;
      n_.dirty += written_[f];
      if (written_[f] && !taken[f]) fail(absl::StrFormat("frame %x was written, but is not in the dirty log", f));
      written_[f] = false;
    });
  }

  void step() {
    const size_t i = random_.below(cpus_.size());
    const uint64_t what = random_.percent(calm_) ? 0 : random_.below(1000);
    if (!paging(i) && random_.percent(10)) return change_controls(i);
    if (what < 750) return access(i);
    if (what < 900) {
      const unsigned level = 1 + static_cast<unsigned>(random_.percent(60) ? 0 : random_.below(shape_.levels));
      const uint64_t at = table(level, random_.below(kTablesPerLevel)) +
                          shape_.index(random_.pick(pages_), level) * shape_.entry_bytes;
      return store(i, at, entry(level), shape_.entry_bytes);
    }
    if (what < 940) return switch_space(i);
    if (what < 950) return flush(i, random_.below(pages_.size()), random_.below(12));
    if (what < 975) return change_controls(i);
    change_host();
  }

  const bool direct_, lazy_;
  const PagingShape& shape_;
  Random random_;
  Counts& n_;
  CpuModel model_{.maxphyaddr = 40};
  std::unique_ptr<HostMemory> host_ = HostMemory::create(48_MiB).value();
  P2m p2m_{*host_};
  std::unique_ptr<HostMemory> mirror_host_ = HostMemory::create(32_MiB).value();
  P2m mirror_{*mirror_host_};
  NaiveMmu naive_{mirror_};
  std::unique_ptr<Backend> backend_;
  std::vector<uint64_t> pages_;
  std::vector<std::unique_ptr<Vcpu<Backend>>> cpus_;
  std::deque<Discipline> knows_;
  std::vector<bool> written_ = std::vector<bool>(kFrames), logged_ = std::vector<bool>(kFrames);
  bool observed_ = false;
  unsigned calm_ = 0;  // percent of steps that are accesses whatever the dice say
  size_t hot_ = 0;
  unsigned step_ = 0;
  std::string problem_;
  std::deque<std::string> actions_;
};

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 0);
}
unsigned seeds() {
  const char* value = std::getenv("GNOMON_TEST_SCALE");
  const absl::string_view scale = value == nullptr ? "" : value;
  return scale == "small" ? 1 : scale == "full" ? 60 : 6;
}

class VcpuBackends : public ::testing::TestWithParam<absl::string_view> {};

TEST_P(VcpuBackends, CachesNeverShow) {
  constexpr unsigned kSteps = 1000;
  const uint64_t base = from_environment("GNOMON_TEST_SEED", 1);
  const auto start = std::chrono::steady_clock::now();
  Counts c;
  for (const PagingShape& shape : kShapes) {
    if (GetParam() == "direct" && shape.levels != 4) continue;
    for (const absl::string_view preset : kPresets) {
      for (uint64_t seed = base; seed < base + seeds(); ++seed) {
        const uint64_t mixed = seed * 1000 + shape.levels + 100 * static_cast<uint64_t>(preset[0]);
        Guest guest(GetParam(), preset, shape, mixed, c);
        const std::string problem = guest.run(kSteps);
        guest.add_hits();
        ASSERT_TRUE(problem.empty()) << GetParam() << ", " << preset << ", " << shape.name << ", seed "
                                     << seed << ", " << problem;
      }
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  RecordProperty("accesses", std::to_string(c.accesses));
  RecordProperty("tlb_hits", std::to_string(c.hits));
  std::printf("%s", absl::StrFormat(
      "%d accesses (%d TLB hits): %d translated, %d faults, %d host stops; %d flags, %d table writes, "
      "%d trapped, %d flushes, %d host changes, %d dirty, %d refused; %.2f s\n",
      c.accesses, c.hits, c.translated, c.faults, c.host_stops, c.flags, c.table_writes, c.trapped,
      c.flushes, c.host_changes, c.dirty, c.refused, took.count()).c_str());
  EXPECT_GT(c.translated, c.accesses / 10);
  EXPECT_GT(c.hits, c.accesses / 50);
}

std::string test_name(const ::testing::TestParamInfo<absl::string_view>& info) {
  std::string name(info.param);
  std::replace_if(name.begin(), name.end(), [](char c) { return !absl::ascii_isalnum(c); }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, VcpuBackends, ::testing::ValuesIn(kBackends), test_name);

}  // namespace
}  // namespace gnomon::vcpu_test
