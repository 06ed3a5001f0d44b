// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_VCPU_H_
#define GNOMON_VCPU_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "gnomon/backend.h"
#include "gnomon/memory/bytes.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/tlb/presets.h"
#include "gnomon/tlb/tlb.h"
#include "gnomon/tlb/walk_caches.h"
#include "gnomon/vcpu_state.h"

// A virtual processor as far as memory is concerned: its registers that decide about translation,
// its TLB and walk caches, and the MMU backend behind them. What runs its instructions (trace
// replay, an interpreter) calls `access`, `load` and `store`, and tells it of every MOV to a
// control register and every invalidation.
//
//   NativeMmu mmu(p2m);
//   Vcpu vcpu(mmu, p2m, VcpuParts::from(find_tlb_preset("skylake").value()).value());
//   vcpu.write_controls(cr0::kPE | cr0::kPG, cr4::kPAE, efer::kLME);
//   vcpu.write_cr3(root);
//   Translation t = vcpu.access(Gva(0x1000), {AccessOp::kRead, Privilege::kUser});

namespace gnomon {

/// What a vCPU is made of. Without a TLB every access goes to the backend; without walk caches
/// every walk is a full one.
struct VcpuParts {
  uint32_t id = 0;
  CpuModel model;
  std::unique_ptr<Tlb> tlb;
  std::unique_ptr<WalkCaches> caches;

  static absl::StatusOr<VcpuParts> from(const TlbPreset& preset, uint32_t id = 0,
                                        const CpuModel& model = {});
};

/// How a load or store ended. `translation` is that of the first byte, or the one that failed; the
/// data was accessed if `done()`.
struct MemoryResult {
  Translation translation{};
  uint64_t value = 0;                      ///< of a load
  StoreResult stored = StoreResult::kDone;  ///< by Backend::write_physical, for trapped frames

  bool done() const { return translation.ok() && stored == StoreResult::kDone; }
};

namespace vcpu_internal {

/// Answers a flush request: leaves the guest, waits for whoever revokes translations (it holds the
/// VM's lock), flushes, and is back in the guest before the lock is free again.
void obey_flush_request(VcpuState& cpu, VmLock& lock, Tlb* tlb, WalkCaches* caches);

/// Checks new control registers against the old ones and completes them (EFER.LMA, PDPTE
/// registers). False: the processor raises #GP; `next` is of no use then.
bool complete_cr3(P2m& p2m, VcpuState& cpu, uint64_t value, Controls& next);
bool complete_controls(P2m& p2m, VcpuState& cpu, Controls& next);

/// Long mode only: the other modes take any address below 2^32 (and fault above).
bool canonical(PagingMode mode, Gva va);

enum class Flush : uint8_t { kNothing, kCurrentPcid, kEverything };
/// What a change of CR0, CR4 or EFER makes the processor flush (SDM vol. 3, 4.10.4.1). More than
/// that is flushed where it must not cache at all (paging off) or software must flush anyway
/// (EFER.NXE).
Flush flush_after(const Controls& before, const Controls& after);

}  // namespace vcpu_internal

/// `B` is Backend, or a concrete final class so that the calls of the hot path are direct.
/// Used by one thread at a time; see VcpuGate for how others revoke its translations.
template <class B = Backend>
class Vcpu {
 public:
  /// `backend` and `p2m` must outlive the vCPU.
  Vcpu(B& backend, P2m& p2m, VcpuParts parts = {})
      : backend_(backend), p2m_(p2m), tlb_(std::move(parts.tlb)), caches_(std::move(parts.caches)),
        state_(parts.id, parts.model) {
    state_.caches = caches_.get();
    backend_.attach(state_);
  }
  ~Vcpu() { backend_.detach(state_); }
  Vcpu(const Vcpu&) = delete;
  Vcpu& operator=(const Vcpu&) = delete;

  VcpuState& state() { return state_; }
  const VcpuState& state() const { return state_; }
  const Controls& controls() const { return state_.controls; }
  Counters& counters() { return state_.counters; }
  Tlb* tlb() { return tlb_.get(); }                 ///< null: none
  WalkCaches* walk_caches() { return caches_.get(); }  ///< null: none
  B& backend() { return backend_; }

  /// Translates one access to the byte at `va`. The answer is good until the next call.
  Translation access(Gva va, Access access) {
    if (access.probe()) [[unlikely]] return backend_.miss(state_, va, access);
    obey_requests();
    ++state_.counters[Counter::kAccesses];
    if (tlb_ != nullptr) {
      if (const TlbEntry* e = tlb_->lookup(va, access, pcid_, state_.rules)) [[likely]] {
        const bool first = tlb_->hit_level() == 1;
        ++state_.counters[first ? Counter::kTlbHitsL1 : Counter::kTlbHitsL2];
        if (e->size != PageSize::k4K) [[unlikely]] {
          count_large(e->size, first ? Counter::kTlbHitsL1At2M : Counter::kTlbHitsL2At2M);
        }
        return translation_of(*e, va);
      }
    }
    return missed(va, access);
  }

  /// The quick part of access() for loops that translate and do no more: a hit in the TLB's level 1, counted
  /// but for kAccesses and kTlbHitsL1, which the caller adds later with note_hits. nullptr says nothing, and
  /// nothing has changed: call access().
  const TlbEntry* hit(Gva va, Access access) {
    if (tlb_ == nullptr || state_.gate.flush_request.load(std::memory_order_acquire)) [[unlikely]] {
      return nullptr;
    }
    const TlbEntry* const e = tlb_->hit(va, access, pcid_, state_.rules);
    if (e != nullptr && e->size != PageSize::k4K) [[unlikely]] {
      count_large(e->size, Counter::kTlbHitsL1At2M);
    }
    return e;
  }
  void note_hits(uint64_t hits) {
    state_.counters[Counter::kAccesses] += hits;
    state_.counters[Counter::kTlbHitsL1] += hits;
  }

  /// Loads `size` (1..8) bytes at `va`, zero-extended. `access.op()` is kRead or kFetch.
  MemoryResult load(Gva va, unsigned size, Access access);
  /// Stores the low `size` (1..8) bytes of `value`; `access.op()` is taken to be kWrite. A store into
  /// two pages changes neither unless both can be written.
  MemoryResult store(Gva va, unsigned size, uint64_t value, Access access);

  /// MOV to CR3, with the no-flush bit 63 when CR4.PCIDE is set. False: #GP (reserved bits, or in
  /// PAE paging a PDPTE with reserved bits set), and nothing has changed.
  bool write_cr3(uint64_t value);
  /// MOV to CR0 and CR4 and WRMSR to EFER, in one step. EFER.LMA is computed. False: #GP, and
  /// nothing has changed: PG without PE; PG and LME without PAE; LME or LA57 changed while in long
  /// mode; PCIDE outside long mode, or set while CR3 holds a PCID; upper half of CR0; PDPTEs that
  /// cannot be loaded.
  bool write_controls(uint64_t cr0, uint64_t cr4, uint64_t efer);
  void set_ac(bool on) {
    state_.controls.ac = on;
    update_access_rules(state_.rules, on, state_.controls.pkru);
  }
  void write_pkru(uint32_t value) {
    state_.controls.pkru = value;
    update_access_rules(state_.rules, state_.controls.ac, value);
  }

  void invlpg(Gva va);
  /// False: #GP, and nothing has changed (no such PCID, one other than 0 without CR4.PCIDE, or type
  /// kAddress with an address that is not canonical).
  bool invpcid(InvpcidType type, uint64_t pcid, Gva va);

  /// For threads: between the two, other vCPUs that revoke a translation wait for this one.
  void enter_guest() {
    state_.gate.in_guest.store(true);
    if (state_.gate.flush_request.load()) obey();
  }
  void leave_guest() { state_.gate.in_guest.store(false); }

 private:
  using Flush = vcpu_internal::Flush;

  // A function of its own, so that the answer is built where it is wanted: a copy would wait for its parts.
  Translation missed(Gva va, Access access) {
    ++state_.counters[Counter::kTlbMisses];
    const Translation t = backend_.miss(state_, va, access);
    if (t.ok() && t.size != PageSize::k4K) count_large(t.size, Counter::kTlbMissesAt2M);
    if (tlb_ == nullptr) return t;
    if (t.cacheable) {
      tlb_->insert(va, access, t, pcid_);
    } else if (t.outcome == Outcome::kGuestFault) {
      tlb_->invalidate_page(va, pcid_);  // a page fault does (SDM vol. 3, 4.10.4.1)
    }
    return t;
  }
  /// `at_2m` is a counter of 2M (or 4M) pages; that of 1G pages follows it.
  void count_large(PageSize size, Counter at_2m) {
    const auto row = static_cast<uint16_t>(at_2m) + (size >= PageSize::k1G ? 1 : 0);
    ++state_.counters[static_cast<Counter>(row)];
  }
  void obey_requests() {
    if (state_.gate.flush_request.load(std::memory_order_acquire)) [[unlikely]] obey();
  }
  void obey() {
    ++obeyed_;
    vcpu_internal::obey_flush_request(state_, p2m_.lock(), tlb_.get(), caches_.get());
  }
  void flush(Flush what) {
    if (what == Flush::kNothing) return;
    if (tlb_ != nullptr) {
      what == Flush::kEverything ? tlb_->flush_vpid() : tlb_->flush_pcid(pcid_);
    }
    if (caches_ != nullptr) {
      what == Flush::kEverything ? caches_->flush_guest() : caches_->flush_pcid(pcid_);
    }
  }

  // The part of an access that lies in one page, at a translation that succeeded.
  void load_piece(const Translation& t, unsigned size, unsigned shift, MemoryResult& result);
  void store_piece(const Translation& t, unsigned size, uint64_t value, MemoryResult& result);
  static unsigned bytes_in_page(Gva va, unsigned size) {
    const uint64_t left = bytes_of(PageSize::k4K) - va.offset_in(PageSize::k4K);
    return left < size ? static_cast<unsigned>(left) : size;
  }
  // The first byte of the page after that of `va`; the address space wraps as the processor's adder
  // does.
  Gva next_page(Gva va) const {
    const uint64_t next = va.page_base().value() + bytes_of(PageSize::k4K);
    return Gva((state_.controls.efer & efer::kLMA) != 0 ? next : next & 0xffff'ffff);
  }

  B& backend_;
  P2m& p2m_;
  std::unique_ptr<Tlb> tlb_;
  std::unique_ptr<WalkCaches> caches_;
  VcpuState state_;
  uint16_t pcid_ = 0;
  uint64_t obeyed_ = 0;  // flush requests so far
};

template <class B>
void Vcpu<B>::load_piece(const Translation& t, unsigned size, unsigned shift, MemoryResult& result) {
  uint64_t value = 0;
  if (!t.trapped) [[likely]] {
    value = load_bytes(p2m_.host().template at<uint8_t>(t.hpa), size);
  } else if (!backend_.read_physical(state_, t.gpa, size, value)) {
    result.stored = StoreResult::kNotBacked;
    return;
  }
  result.value |= value << shift;
}

template <class B>
void Vcpu<B>::store_piece(const Translation& t, unsigned size, uint64_t value, MemoryResult& result) {
  if (!t.trapped) [[likely]] {
    store_bytes(p2m_.host().template at<uint8_t>(t.hpa), value, size);
  } else {
    result.stored = backend_.write_physical(state_, t.gpa, value, size);
  }
}

template <class B>
MemoryResult Vcpu<B>::load(Gva va, unsigned size, Access how) {
  const unsigned here = bytes_in_page(va, size);
  // Built in place: copying it right after it was written would stall on store forwarding.
  MemoryResult result{access(va, how)};
  if (!result.translation.ok()) return result;
  load_piece(result.translation, here, 0, result);
  if (here == size) [[likely]] return result;
  const Translation rest = access(next_page(va), how);
  if (rest.ok()) {
    load_piece(rest, size - here, 8 * here, result);
  } else {
    result.translation = rest;
  }
  return result;
}

template <class B>
MemoryResult Vcpu<B>::store(Gva va, unsigned size, uint64_t value, Access how) {
  how = how.with(AccessOp::kWrite);
  const unsigned here = bytes_in_page(va, size);
  MemoryResult result{access(va, how)};
  if (!result.translation.ok()) return result;
  if (here == size) [[likely]] {
    store_piece(result.translation, size, value, result);
    return result;
  }
  // The first translation may be revoked while the second is looked up, and the other way round; with little
  // table memory again and again, so the turns are bounded.
  constexpr int kTurns = 4;
  Translation rest;
  bool both_hold = false;
  for (int turn = 0; turn < kTurns && !both_hold; ++turn) {
    if (turn != 0) {
      result.translation = access(va, how);
      if (!result.translation.ok()) return result;
    }
    const uint64_t obeyed = obeyed_;
    rest = access(next_page(va), how);
    if (!rest.ok()) {
      result.translation = rest;
      return result;
    }
    both_hold = obeyed == obeyed_ && !state_.gate.flush_request.load();
  }
  if (!both_hold) {
    result.translation = access(va, how);
    if (!result.translation.ok()) return result;
  }
  const bool exits = result.translation.trapped;
  store_piece(result.translation, here, value, result);
  if (!result.done()) return result;
  if (!both_hold || exits || state_.gate.flush_request.load()) {
    rest = access(next_page(va), how);
    if (!rest.ok()) {
      result.translation = rest;
      return result;
    }
  }
  store_piece(rest, size - here, value >> (8 * here), result);
  return result;
}

template <class B>
bool Vcpu<B>::write_cr3(uint64_t value) {
  Controls next = state_.controls;
  if (!vcpu_internal::complete_cr3(p2m_, state_, value, next)) return false;
  const bool keep = (next.cr4 & cr4::kPCIDE) != 0 && (value & cr3::kNoFlush) != 0;
  ++state_.counters[Counter::kCr3Loads];
  state_.controls = next;
  pcid_ = pcid_of(next);
  if (!keep) flush(Flush::kCurrentPcid);
  backend_.cr3_loaded(state_, !keep);
  return true;
}

template <class B>
bool Vcpu<B>::write_controls(uint64_t cr0, uint64_t cr4, uint64_t efer) {
  Controls next = state_.controls;
  next.cr0 = cr0;
  next.cr4 = cr4;
  next.efer = efer;
  if (!vcpu_internal::complete_controls(p2m_, state_, next)) return false;
  flush(vcpu_internal::flush_after(state_.controls, next));
  const PagingRules before = state_.rules;
  state_.controls = next;
  state_.update_rules();
  pcid_ = pcid_of(next);
  backend_.controls_changed(state_, before);
  return true;
}

template <class B>
void Vcpu<B>::invlpg(Gva va) {
  ++state_.counters[Counter::kInvlpgs];
  if (tlb_ != nullptr) tlb_->invalidate_page(va, pcid_);
  if (caches_ != nullptr) caches_->flush_pcid(pcid_);
  backend_.invlpg(state_, va);
}

template <class B>
bool Vcpu<B>::invpcid(InvpcidType type, uint64_t pcid, Gva va) {
  const bool of_one = type == InvpcidType::kAddress || type == InvpcidType::kContext;
  if (pcid > cr3::kPcidMask) return false;
  if (of_one && pcid != 0 && (state_.controls.cr4 & cr4::kPCIDE) == 0) return false;
  if (type == InvpcidType::kAddress && !vcpu_internal::canonical(state_.rules.mode, va)) return false;
  const auto id = static_cast<uint16_t>(pcid);
  ++state_.counters[Counter::kInvlpgs];
  if (tlb_ != nullptr) {
    switch (type) {
      case InvpcidType::kAddress: tlb_->invalidate_page(va, id, /*globals=*/false); break;
      case InvpcidType::kContext: tlb_->flush_pcid(id); break;
      case InvpcidType::kAllWithGlobals: tlb_->flush_vpid(); break;
      case InvpcidType::kAll: tlb_->flush_non_global(); break;
    }
  }
  if (caches_ != nullptr) of_one ? caches_->flush_pcid(id) : caches_->flush_guest();
  backend_.invpcid(state_, type, id, va);
  return true;
}

}  // namespace gnomon

#endif  // GNOMON_VCPU_H_
