// SPDX-License-Identifier: Apache-2.0
#include "tests/scenario/runner.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "mmu/guest_access.h"
#include "tests/naive/naive_mmu.h"
#include "tests/scenario/history.h"
#include "tests/scenario/machine.h"
#include "tests/scenario/memory_check.h"
#include "tests/scenario/random.h"

namespace gnomon::scenario {
namespace {

constexpr Access access_of(unsigned kind) {
  return {static_cast<AccessOp>(kind / 3), static_cast<Privilege>(kind % 3)};
}

unsigned clipped(uint64_t at, unsigned size) {
  return static_cast<unsigned>(std::min<uint64_t>(size, kFrame - at % kFrame));
}

std::vector<Gva> pages_of(const Program& program) {
  std::vector<Gva> pages;
  for (const Action& a : program.actions) {
    if (a.verb == Verb::kAccess) pages.push_back(Gva(a.address).page_base());
  }
  std::sort(pages.begin(), pages.end());
  pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
  return pages;
}

// Does a TLB entry with these rights let the access through?
bool lets_through(const PagingRules& rules, Access access, Rights rights, uint8_t key,
                  bool writable) {
  return rules.allows(access, rights, key) && (!access.write() || writable);
}

class Runner {
 public:
  Runner(Machine& machine, Mirror& mirror, const Program& program, absl::string_view spec,
         const RunOptions& options, RunStats& stats)
      : m_(machine),
        program_(program),
        options_(options),
        stats_(stats),
        mirror_(mirror),
        naive_(mirror.p2m()),
        direct_(machine.backend().name() == "direct"),
        memory_(machine, mirror, /*raw_differs=*/direct_ || absl::StrContains(spec, "flags=lazy")) {
    const std::vector<Gva> pages = pages_of(program);
    for (unsigned i = 0; i < m_.cpus(); ++i) histories_.emplace_back(pages);
    observe_all();
  }

  std::optional<Failure> run() {
    for (step_ = 0; step_ < program_.actions.size(); ++step_) {
      ++stats_.steps;
      touched_.clear();
      changed_ = false;
      const Action& a = program_.actions[step_];
      Problem problem = apply(a);
      if (!problem) problem = memory_.compare(touched_);
      const bool last = step_ + 1 == program_.actions.size();
      if (!problem && (last || step_ % options_.full_compare_every == 0))
        problem = memory_.compare_all();
      if (problem) return Failure{step_, 0, absl::StrCat(to_string(a), "\n  ", *problem)};
      if (changed_) observe_all();
      if (program_.setup.strict) flush_what_must_be();
      if (!options_.audit) continue;
      const std::vector<AuditFinding> findings = m_.backend().audit();
      if (!findings.empty()) {
        return Failure{step_, findings[0].invariant,
                       absl::StrCat(to_string(a), "\n  audit, invariant ", findings[0].invariant,
                                    ": ", findings[0].text)};
      }
    }
    return std::nullopt;
  }

 private:
  Problem apply(const Action& a) {
    VcpuState& cpu = m_.cpu(a.cpu);
    History& history = histories_[cpu.id];
    switch (a.verb) {
      case Verb::kStore: return store(cpu, Gpa(a.address), a.value, clipped(a.address, a.size));
      case Verb::kAccess: return use(cpu, a);
      case Verb::kCr3:
        if (m_.load_cr3(cpu, a.address, a.flag)) {
          history.load_cr3(pcid_of(cpu.controls),
                           !(a.flag && (cpu.controls.cr4 & cr4::kPCIDE) != 0));
          changed_ = true;
        }
        return {};
      case Verb::kSet:
        return set_bit(cpu, history, static_cast<ControlBit>(a.choice), a.flag), Problem();
      case Verb::kPkru: return m_.set_pkru(cpu, static_cast<uint32_t>(a.value)), Problem();
      case Verb::kMode:
        if (m_.set_mode(cpu, static_cast<PagingMode>(a.choice), a.address)) {
          history.flush_all();
          history.load_cr3(pcid_of(cpu.controls), true);
          changed_ = true;
        }
        return {};
      case Verb::kInvlpg:
        m_.backend().invlpg(cpu, Gva(a.address));
        history.invlpg(Gva(a.address));
        changed_ = true;
        return {};
      case Verb::kInvpcid: {
        // A PCID other than 0 needs CR4.PCIDE, or #GP.
        const bool pcide = (cpu.controls.cr4 & cr4::kPCIDE) != 0;
        const auto pcid = static_cast<uint16_t>(pcide ? a.value & cr3::kPcidMask : 0);
        m_.backend().invpcid(cpu, static_cast<InvpcidType>(a.choice), pcid, Gva(a.address));
        history.invpcid(static_cast<InvpcidType>(a.choice), pcid, Gva(a.address));
        changed_ = true;
        return {};
      }
      case Verb::kReclaim: return m_.backend().drop_caches(), Problem();
      case Verb::kPlug:
        changed_ = m_.plug();
        if (changed_) m_.plug_into(mirror_.p2m());
        return {};
      case Verb::kUnplug:
        if (!m_.unplug()) return {};
        m_.unplug_from(mirror_.p2m());
        changed_ = true;
        return {};
      default: return change_host(a);
    }
  }

  Problem change_host(const Action& a) {
    P2m& p2m = m_.p2m();
    const VmGuard guard(p2m.lock());
    const Gpa at(a.address);
    changed_ = true;
    switch (a.verb) {
      case Verb::kRemap: (void)p2m.remap(at); break;
      case Verb::kBalloon:
        if (p2m.balloon(at).ok()) (void)mirror_.p2m().balloon(at);
        break;
      case Verb::kDeflate:
        if (p2m.deflate(at).ok()) (void)mirror_.p2m().deflate(at);
        break;
      case Verb::kSplit: (void)p2m.split(at); break;
      case Verb::kPromote: (void)p2m.promote(at); break;
      case Verb::kLogStart: p2m.start_dirty_log(at, a.value); break;
      case Verb::kLogTake: p2m.take_dirty(at, a.value); break;
      case Verb::kLogStop: p2m.stop_dirty_log(at, a.value); break;
      default: break;
    }
    return {};
  }

  void set_bit(VcpuState& cpu, History& history, ControlBit bit, bool on) {
    const PagingRules before = cpu.rules;
    const uint64_t cr4_before = cpu.controls.cr4;
    if (!m_.set_bit(cpu, bit, on)) return;
    const uint64_t flipped = cr4_before ^ cpu.controls.cr4;
    // SDM 4.10.4.1: these changes flush everything. (PSE: listed with MOV to CR4 in vol. 2.)
    if ((flipped & (cr4::kPGE | cr4::kPSE)) != 0 || (flipped & cr4_before & cr4::kPCIDE) != 0 ||
        (flipped & cpu.controls.cr4 & cr4::kSMEP) != 0) {
      history.flush_all();
    }
    history.load_cr3(pcid_of(cpu.controls), false);
    changed_ = !(before == cpu.rules) || flipped != 0;
  }

  Problem store(VcpuState& cpu, Gpa at, uint64_t value, unsigned size) {
    const P2mEntry e = m_.p2m().lookup(at);
    const bool memory = e.is_ram() || e.state() == FrameState::kLazy;
    const StoreResult expected = !memory   ? StoreResult::kNotBacked
                                 : e.rom() ? StoreResult::kReadOnly
                                           : StoreResult::kDone;
    const StoreResult got = m_.backend().write_physical(cpu, at, value, size);
    if (got == StoreResult::kRefused && direct_) {
      ++stats_.refused;
      touch(at);
      return {};
    }
    if (got != expected) {
      return absl::StrCat("store result ", static_cast<int>(got), ", expected ",
                          static_cast<int>(expected));
    }
    if (got == StoreResult::kDone) wrote(at, value, size);
    touch(at);
    return {};
  }

  // The whole life of one access.
  Problem use(VcpuState& cpu, const Action& a) {
    ++stats_.accesses;
    const Access access = access_of(a.choice);
    const Gva va(a.address);
    const NaiveResult expected = naive_.translate(cpu.controls, cpu.cpu, va, access, false);
    if (step_ % options_.probe_every == 0) {
      if (Problem p = check_probe(cpu, va, access, expected)) return p;
    }
    const Translation got = m_.backend().miss(cpu, va, access);
    count(got);
    if (got.cause == HostCause::kNoMemory) return "the host has room, but got " + to_string(got);
    const History& history = histories_[cpu.id];
    const size_t page = static_cast<size_t>(
        std::lower_bound(history.pages().begin(), history.pages().end(), va.page_base()) -
        history.pages().begin());
    const bool may_be_stale = history.any_stale(page, [&](const Cached& c) {
      return lets_through(cpu.rules, access, c.rights, c.key, c.dirty);
    });
    const std::string wrong = difference(expected, got, m_.p2m());
    if (direct_ && got.outcome == Outcome::kHostViolation && got.cause == HostCause::kNone) {
      ++stats_.refused;  // these tables are not validated: the guest would be killed
      return {};
    }
    if (!wrong.empty()) {
      const bool allowed = history.any_stale(page, [&](const Cached& c) {
        return lets_through(cpu.rules, access, c.rights, c.key, c.dirty) &&
               agrees(c, va, access, got);
      });
      if (!allowed) return wrong;
      ++stats_.stale_answers;
    }
    if (Problem p = check_flags(expected, may_be_stale)) return p;
    if (got.ok() && got.cacheable) {
      if (Problem p = check_cacheable(cpu, history, page, expected, got, wrong.empty())) return p;
    }
    if (!got.ok()) return {};
    // The store may change the very tables that were walked: what they said in between counts.
    if (access.write() && changed_) observe_all();
    return transfer(cpu, access, got, a.value, clipped(a.address, a.size));
  }

  Problem check_probe(VcpuState& cpu, Gva va, Access access, const NaiveResult& expected) {
    // A probe sets no flags, so it does not see them in a table that maps itself.
    if (expected.update_count != 0) return {};
    access.probe = true;
    const Translation t = m_.backend().miss(cpu, va, access);
    if (t.ok() && m_.p2m().lookup(t.gpa).state() == FrameState::kLazy) return {};
    const std::string wrong = difference(expected, t, m_.p2m());
    const bool refused =
        direct_ && t.outcome == Outcome::kHostViolation && t.cause == HostCause::kNone;
    if (wrong.empty() || refused) return {};
    return "probe: " + wrong;
  }

  // Is `got` what a TLB entry `c` would answer?
  bool agrees(const Cached& c, Gva va, Access access, const Translation& got) const {
    const Gpa at = c.page.with_offset(c.size, va.value());
    const P2mEntry e = m_.p2m().lookup(at);
    if (got.outcome == Outcome::kGuestFault || got.level != 0 || got.gpa != at) return false;
    if (!e.is_ram()) return !got.ok() && got.cause == cause_of(e.state());
    if (access.write() && e.rom()) return got.cause == HostCause::kReadOnly;
    return got.ok() && got.hpa == e.frame().with_offset(PageSize::k4K, at.value());
  }

  // The accessed and dirty flags that this access sets must be in memory now (or, when an older
  // translation may have served it, none of them).
  Problem check_flags(const NaiveResult& expected, bool may_be_stale) {
    for (unsigned i = 0; i < expected.update_count; ++i) {
      const NaiveResult::Update& u = expected.updates[i];
      ++stats_.flag_updates;
      // The flags are in the first byte of the entry.
      uint64_t byte = 0;
      if (!m_.backend().read_physical(m_.cpu(0), u.at, 1, byte)) {
        return absl::StrCat("no memory at ", to_string(u.at), " to hold flags");
      }
      const auto is = static_cast<uint8_t>(may_be_stale ? byte & u.after : u.after);
      // In a table that maps itself one entry may be updated at several levels: `u.before` is then not what
      // memory held before this access.
      wrote(u.at, is | mirror_.load(u.at, 1), 1);
      touch(u.at);
    }
    return {};
  }

  Problem check_cacheable(const VcpuState& cpu, const History& history, size_t page,
                          const NaiveResult& expected, const Translation& got, bool exact) {
    const bool writable = m_.p2m().lookup(got.gpa).writable();
    for (unsigned kind = 0; kind < Access::kKinds; ++kind) {
      const Access other = access_of(kind);
      if (!lets_through(cpu.rules, other, got.rights, got.key, got.dirty)) continue;
      if (exact && lets_through(cpu.rules, other, expected.rights, expected.key,
                                expected.dirty && writable)) {
        continue;
      }
      if (history.any_stale(page, [&](const Cached& c) {
            return lets_through(cpu.rules, other, c.rights, c.key, c.dirty && writable);
          })) {
        continue;
      }
      return absl::StrCat("may be cached and would let a ", to_string(other),
                          " through: ", to_string(got), ", but the guest's tables say ",
                          to_string(expected));
    }
    if (!exact) return {};
    // Without paging the guest's page is the whole address space.
    const bool off = cpu.rules.mode == PagingMode::kOff;
    const PageSize largest =
        cacheable_size(off ? PageSize::k1G : expected.guest_size, m_.p2m().lookup(got.gpa).size());
    const bool stale = history.any_stale(page, [](const Cached&) { return true; });
    if (got.size > largest && !stale) {
      return absl::StrCat("may be cached as a page of ", name_of(got.size), ", but is one of ",
                          name_of(largest));
    }
    if (got.global && !expected.global && !stale)
      return std::string("global, but not in the tables");
    return {};
  }

  Problem transfer(VcpuState& cpu, Access access, const Translation& t, uint64_t value,
                   unsigned size) {
    if (access.write()) {
      if (t.trapped) {
        ++stats_.trapped_stores;
        return store(cpu, t.gpa, value, size);
      }
      store_bytes(m_.host().at<uint8_t>(t.hpa), value, size);
      wrote(t.gpa, value, size);
      touch(t.gpa);
      if (m_.p2m().lookup(t.gpa).write_logged())
        return std::string("written, but not in the dirty log");
      return {};
    }
    uint64_t seen = 0;
    if (!t.trapped) {
      seen = load_bytes(m_.host().at<uint8_t>(t.hpa), size);
    } else if (!m_.backend().read_physical(cpu, t.gpa, size, seen)) {
      return std::string("read_physical refuses what was translated");
    }
    const uint64_t should = mirror_.load(t.gpa, size);
    if (seen == should) return {};
    return absl::StrFormat("read 0x%x at %s, expected 0x%x", seen, to_string(t.gpa), should);
  }

  void wrote(Gpa at, uint64_t value, unsigned size) {
    mirror_.store(at, value, size);
    changed_ = true;
  }
  void touch(Gpa at) { touched_.push_back(at); }

  void observe_all() {
    for (unsigned i = 0; i < m_.cpus(); ++i) histories_[i].observe(naive_, m_.cpu(i));
  }

  // What an operating system must do after a change of its tables, before it relies on it.
  void flush_what_must_be() {
    for (unsigned i = 0; i < m_.cpus(); ++i) {
      History& history = histories_[i];
      bool flushed = false;
      for (size_t page = 0; page < history.pages().size(); ++page) {
        bool global = false;
        const bool stale = history.any_stale(page, [&](const Cached& c) {
          global |= c.global;
          return !history.now(page) || !c.covered_by(*history.now(page));
        });
        if (!stale) continue;
        // Any of the ways that cover it. Which one follows from what was done, not from its number,
        // so that leaving out other steps changes nothing here.
        const Action& a = program_.actions[step_];
        const Gva va = history.pages()[page];
        flush_one_way(m_.cpu(i), history, va, global,
                      Random(a.address ^ a.value ^ va.value() ^ i).below(8));
        flushed = true;
        ++stats_.forced_flushes;
      }
      if (flushed) history.observe(naive_, m_.cpu(i));
    }
  }

  void flush_one_way(VcpuState& cpu, History& history, Gva va, bool global, uint64_t way) {
    const uint16_t pcid = pcid_of(cpu.controls);
    const auto invpcid = [&](InvpcidType type) {
      m_.backend().invpcid(cpu, type, pcid, va);
      history.invpcid(type, pcid, va);
    };
    if (way == 0) return invpcid(InvpcidType::kAllWithGlobals);
    if (!global && way == 1) return invpcid(InvpcidType::kAddress);
    if (!global && way == 2) return invpcid(InvpcidType::kContext);
    if (!global && way == 3 && cpu.rules.mode != PagingMode::kPae &&
        m_.load_cr3(cpu, cpu.controls.cr3, false)) {
      return history.load_cr3(pcid, true);
    }
    m_.backend().invlpg(cpu, va);
    history.invlpg(va);
  }

  void count(const Translation& t) {
    switch (t.outcome) {
      case Outcome::kTranslated: ++stats_.translated; break;
      case Outcome::kGuestFault: ++stats_.guest_faults; break;
      case Outcome::kHostViolation:
      case Outcome::kNotBacked: ++stats_.host_violations; break;
    }
  }

  Machine& m_;
  const Program& program_;
  const RunOptions& options_;
  RunStats& stats_;
  Mirror& mirror_;
  NaiveMmu naive_;
  const bool direct_;
  const MemoryCheck memory_;
  std::deque<History> histories_;  // by vCPU
  size_t step_ = 0;
  std::vector<Gpa> touched_;
  bool changed_ = false;
};

}  // namespace

RunStats& RunStats::operator+=(const RunStats& o) {
  for (uint64_t RunStats::*m :
       {&RunStats::programs, &RunStats::steps, &RunStats::accesses, &RunStats::translated,
        &RunStats::guest_faults, &RunStats::host_violations, &RunStats::trapped_stores,
        &RunStats::flag_updates, &RunStats::stale_answers, &RunStats::forced_flushes,
        &RunStats::refused}) {
    this->*m += o.*m;
  }
  return *this;
}

absl::StatusOr<std::optional<Failure>> run(const Program& program, absl::string_view spec,
                                           const RunOptions& options, RunStats& stats) {
  absl::StatusOr<std::unique_ptr<Machine>> machine = Machine::create(program.setup, spec);
  if (!machine.ok()) return machine.status();
  absl::StatusOr<std::unique_ptr<Mirror>> mirror = Mirror::create(program.setup);
  if (!mirror.ok()) return mirror.status();
  ++stats.programs;
  return Runner(**machine, **mirror, program, spec, options, stats).run();
}

}  // namespace gnomon::scenario
