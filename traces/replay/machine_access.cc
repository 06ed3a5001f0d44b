// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "traces/replay/machine_impl.h"
#include "traces/replay/mixed.h"
#include "traces/replay/steps.h"

namespace gnomon {
namespace {

constexpr uint64_t kFrameBytes = bytes_of(PageSize::k4K);
constexpr uint64_t kWordBytes = sizeof(uint64_t);
constexpr uint64_t kUserEnd = uint64_t{1} << 47;  // of the modelled kernel, with tables of 4 levels

/// Whether all of it lies where a program's memory is.
bool of_program(const TraceRecord& r) {
  return r.address.value() < kUserEnd && r.size <= kUserEnd - r.address.value();
}

// Records that are run between two looks ahead.
constexpr size_t kChunk = 128;

absl::Status not_of_program(const TraceRecord& r, Access how) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "%s of %d bytes at 0x%x: not a user address: it is in the kernel's half or not canonical",
      to_string(how), r.size, r.address.value()));
}

Gva last_page_of(const TraceRecord& r) { return Gva(r.address.value() + r.size - 1).page_base(); }

}  // namespace

/// What the hot loop keeps in registers while hits follow one another: hits that are not counted
/// yet, and the page of the last fetch. The fetches that follow it in the same page hit as it did,
/// as long as nothing but hits comes in between.
class Machine::Streak {
 public:
  explicit Streak(MachineCpu& cpu)
      : vcpu_(cpu.vcpu()), repeats_(vcpu_.tlb() != nullptr && vcpu_.tlb()->fetches_apart()) {}
  ~Streak() { end(); }
  Streak(const Streak&) = delete;
  Streak& operator=(const Streak&) = delete;

  /// The page that an access hits; nullptr: end() and Vcpu::access.
  const TlbEntry* hit(Gva va, Access how) {
    if (how.fetch()) {
      const uint64_t page = va.frame() << 1 | (how.user() ? 1 : 0);
      if (page == fetch_page_) {
        ++again_;
        return fetched_;
      }
      end_repeats();
      const TlbEntry* const e = vcpu_.hit(va, how);
      if (e == nullptr) return nullptr;
      ++hits_;
      if (repeats_ && e->size == PageSize::k4K) {
        fetch_page_ = page;
        fetched_ = e;
      }
      return e;
    }
    const TlbEntry* const e = vcpu_.hit(va, how);
    hits_ += e != nullptr ? 1 : 0;
    return e;
  }
  void end() {
    end_repeats();
    vcpu_.note_hits(hits_);
    hits_ = 0;
  }

 private:
  static constexpr uint64_t kNoPage = ~uint64_t{0};
  void end_repeats() {
    if (again_ != 0) {
      vcpu_.tlb()->repeat_fetch(fetched_->page, again_);
      hits_ += again_;
      again_ = 0;
    }
    fetch_page_ = kNoPage;
  }

  Vcpu<Backend>& vcpu_;
  const bool repeats_;
  uint64_t hits_ = 0;
  uint64_t again_ = 0;  // fetches from fetch_page_, of them not counted at all yet
  uint64_t fetch_page_ = kNoPage;
  const TlbEntry* fetched_ = nullptr;
};

template <Features kFeatures>
absl::Status Machine::run_span(MachineCpu& cpu, absl::Span<const TraceRecord> records) {
  Streak streak(cpu);
  // The whole of an access within a page, but for those who want to see each one. It does not look whether the
  // address is a program's (access does): in the kernel's half no page is open to user accesses, and
  // elsewhere there is none.
  const auto quick = [&](const TraceRecord& r, AccessOp op) {
    if constexpr ((kFeatures & kWithExtras) != 0) return false;
    const Access how{op, r.supervisor ? Privilege::kSupervisor : Privilege::kUser};
    const TlbEntry* const e = streak.hit(r.address, how);
    if (e == nullptr) [[unlikely]]
      return false;
    if constexpr ((kFeatures & kWithCaches) != 0) {
      cpu.caches()->data(e->hpa.with_offset(e->size, r.address.value()));
    }
    if (e->trapped) [[unlikely]] {
      streak.end();
      store_again(cpu, r, r.address, e->gpa.with_offset(e->size, r.address.value()), op);
    }
    return true;
  };
  while (!records.empty()) {
    const absl::Span<const TraceRecord> chunk = records.first(std::min(records.size(), kChunk));
    records.remove_prefix(chunk.size());
    cpu.foresee(chunk);
    size_t missed = 0;
    for (const TraceRecord& r : chunk) {
      const Steps steps = kSteps[static_cast<size_t>(r.kind)];
      const bool crosses = r.address.offset_in(PageSize::k4K) + r.size > kFrameBytes;
      AccessOp op = steps.first;
      for (bool again = steps.then_store;; again = false) {
        // Not the quick way to two pages, which would do the first one of a record that is rejected for its second.
        if (crosses || !quick(r, op)) [[unlikely]] {
          streak.end();
          ++missed;
          if (absl::Status s = access<kFeatures>(cpu, r, r.address, op); !s.ok()) return s;
        }
        if (crosses) [[unlikely]] {
          if (absl::Status s = access<kFeatures>(cpu, r, last_page_of(r), op); !s.ok()) return s;
        }
        if (!again) break;
        op = AccessOp::kWrite;
      }
    }
    cpu.note_missed(missed, chunk.size());
  }
  return absl::OkStatus();
}

/// The part of the record from `va` to the end of its page, as a store of what is there already: the backend has to
/// see it, and nothing may change.
void Machine::store_again(MachineCpu& cpu, const TraceRecord& record, Gva va, Gpa gpa, AccessOp op) {
  if (op != AccessOp::kWrite) return;
  cpu.store_same(gpa, record.address.value() + record.size - va.value());
}

template <Features kFeatures>
[[gnu::noinline]] absl::Status Machine::access(MachineCpu& cpu, const TraceRecord& record, Gva va,
                                               AccessOp op) {
  const Access how{op, record.supervisor ? Privilege::kSupervisor : Privilege::kUser};
  if (kernel_ != nullptr && !record.supervisor && !of_program(record)) [[unlikely]] {
    report_.ended_at = &record;
    return not_of_program(record, how);
  }
  if constexpr ((kFeatures & kWithExtras) != 0) {
    if (log_ != nullptr) log_->access(cpu.id(), va, op, record.size, record.supervisor);
  }
  Translation t = cpu.vcpu().access(va, how);
  if (!t.ok()) [[unlikely]] {
    // A whole guest handles its own faults: its next records say how.
    if (kernel_ == nullptr && t.outcome == Outcome::kGuestFault) return absl::OkStatus();
    // A recorded machine has devices, and holes where nothing answers.
    const bool nothing = t.outcome == Outcome::kNotBacked || t.cause == HostCause::kMmio;
    if (of_machine_ && nothing) return absl::OkStatus();
    absl::StatusOr<Translation> resolved = fault(cpu, record, va, how, t);
    if (!resolved.ok()) {
      report_.ended_at = &record;
      return resolved.status();
    }
    t = *resolved;
  }
  if constexpr ((kFeatures & kWithCaches) != 0) cpu.caches()->data(t.hpa);
  if ((kFeatures & kWithExtras) != 0 && options_.move_data) {
    move_data(cpu, va, op, t);
  } else if (t.trapped) [[unlikely]] {
    store_again(cpu, record, va, t.gpa, op);
    if (of_machine_ && op == AccessOp::kRead) cpu.load_again(t.gpa);
  }
  if constexpr ((kFeatures & kWithExtras) != 0) {
    if (!probes_.empty()) probe(cpu, va);
  }
  return absl::OkStatus();
}

/// The guest takes the fault and tries again. It ends: the kernel either adds to the tables or says
/// that nothing is missing.
absl::StatusOr<Translation> Machine::fault(MachineCpu& cpu, const TraceRecord& record, Gva va,
                                           Access how, Translation t) {
  constexpr int kMostFaults = 64;
  for (int i = 0; i < kMostFaults; ++i) {
    // Of direct paging's answers only this one has no cause: tables that it does not take.
    if (t.outcome == Outcome::kHostViolation && t.cause == HostCause::kNone &&
        mmu_->validates_tables()) {
      return stuck(va, absl::StrFormat("the guest's page tables are refused at level %d, %s; it runs "
                                       "guests that change tables by hypercalls",
                                       t.level, to_string(t.gpa)));
    }
    if (t.outcome != Outcome::kGuestFault || kernel_ == nullptr) return stuck(va, to_string(t));
    absl::Status s = kernel_->fault(cpu.id(), va, how.op(), t);
    if (absl::IsPermissionDenied(s)) s = kernel_->grant(cpu.id(), va, how.op());
    if (!s.ok()) {
      if (host_->free_bytes() < kFrameBytes) return stuck(va, s.message());
      if (absl::IsInvalidArgument(s)) return not_of_program(record, how);
      const std::string who = absl::IsInternal(s) ? spec() + ": " : "";
      return absl::Status(s.code(), absl::StrFormat("%s%s: %s", who, to_string(va), s.message()));
    }
    if (log_ != nullptr) log_->access(cpu.id(), va, how.op(), record.size, record.supervisor);
    t = cpu.vcpu().access(va, how);
    if (t.ok()) return t;
  }
  return stuck(va, absl::StrCat("faults again and again: ", to_string(t)));
}

absl::Status Machine::stuck(Gva va, absl::string_view why) const {
  const std::string text = absl::StrFormat("%s: %s: %s", spec(), to_string(va), why);
  if (host_->free_bytes() < kFrameBytes)
    return absl::ResourceExhaustedError(text + ": host memory is full");
  // The tables of a whole guest are the trace's, and so is what they point to.
  return kernel_ == nullptr ? absl::InvalidArgumentError(text) : absl::InternalError(text);
}

void Machine::move_data(MachineCpu& cpu, Gva va, AccessOp op, const Translation& t) {
  const Gpa at(t.gpa.value() & ~(kWordBytes - 1));
  uint64_t* const word =
      t.trapped ? nullptr : host_->at<uint64_t>(Hpa(t.hpa.value() & ~(kWordBytes - 1)));
  VcpuState& state = cpu.vcpu().state();
  if (op == AccessOp::kWrite) {
    const uint64_t value = mixed(++stores_ * 0x9e3779b97f4a7c15 + va.value());
    if (word != nullptr) {
      *word = value;
    } else {
      mmu_->write_physical(state, at, value, kWordBytes);
    }
    return;
  }
  uint64_t value = 0;
  if (word != nullptr) {
    value = *word;
  } else {
    value = memory_->word(at);
  }
  loads_digest_ = (loads_digest_ ^ value) * 0x100000001b3;
}

void Machine::probe(MachineCpu& cpu, Gva va) {
  if (!measuring_) return;
  backend_shares_[cpu.id()] += difference(mmu_->counters(), backend_seen_);
  backend_seen_ = mmu_->counters();
  probes_[cpu.id()].step(cpu_counters(cpu),
                         cpu.caches() != nullptr ? &cpu.caches()->stats : nullptr, va.value());
}

/// Up to the next timer interrupt, and on from there.
absl::Status Machine::run_references(MachineCpu& cpu, absl::Span<const TraceRecord> records) {
  while (!records.empty()) {
    size_t now = records.size();
    if (options_.tick != 0 && kernel_ != nullptr) {
      const uint64_t left = options_.tick - cpu.records % options_.tick;
      now = static_cast<size_t>(std::min<uint64_t>(now, left));
    }
    const absl::Span<const TraceRecord> span = records.first(now);
    absl::Status s;
    switch (features_) {
      case 0: s = run_span<0>(cpu, span); break;
      case kWithCaches: s = run_span<kWithCaches>(cpu, span); break;
      case kWithExtras: s = run_span<kWithExtras>(cpu, span); break;
      default: s = run_span<kWithCaches | kWithExtras>(cpu, span); break;
    }
    if (!s.ok()) {
      // access() has said where. It passes its record on by reference, so that is in the span.
      const TraceRecord& record = *report_.ended_at;
      if (!passed_over(record, s)) return s;
      const auto before = static_cast<size_t>(&record - span.data());
      cpu.records += before;
      records.remove_prefix(before + 1);
      continue;
    }
    cpu.records += now;
    records.remove_prefix(now);
    if (options_.tick != 0 && kernel_ != nullptr && cpu.records % options_.tick == 0) {
      kernel_->interrupt(cpu.id());
    }
  }
  return absl::OkStatus();
}

}  // namespace gnomon
