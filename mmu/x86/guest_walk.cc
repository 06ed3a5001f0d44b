// SPDX-License-Identifier: Apache-2.0
#include "gnomon/x86/guest_walk.h"

#include <optional>

#include "mmu/vcpu_set.h"

namespace gnomon {
namespace {

// Any aligned entry of a frame that was never touched reads as zero.
alignas(8) const uint8_t kZeroEntry[8] = {};

}  // namespace

HostCause cause_of(FrameState state) {
  switch (state) {
    case FrameState::kMmio: return HostCause::kMmio;
    case FrameState::kBallooned: return HostCause::kBallooned;
    case FrameState::kLazy: return HostCause::kNoMemory;
    case FrameState::kAbsent:
    case FrameState::kRam: break;
  }
  return HostCause::kNone;
}

P2mEntry make_usable(P2m& p2m, Gpa gpa, bool write, Counters& counters) {
  P2mEntry e = p2m.lookup(gpa);
  if (e.state() == FrameState::kLazy) {
    e = p2m.back(gpa);
    if (e.is_ram()) ++counters[Counter::kFramesBacked];
  }
  if (write && e.is_ram() && e.write_logged()) {
    p2m.mark_dirty(gpa);
    ++counters[Counter::kDirtyMarked];
    e = p2m.lookup(gpa);
  }
  return e;
}

bool GuestTables::read_unbacked(Gpa at, Ref& ref) {
  P2mEntry e = p2m_.lookup(at);
  if (e.state() == FrameState::kLazy) {
    if (probe_) {
      ref = const_cast<uint8_t*>(kZeroEntry);
      return true;
    }
    std::optional<VmExit> exit;
    if (!locked_) exit.emplace(cpu_, p2m_.lock());
    e = make_usable(p2m_, at, /*write=*/false, cpu_.counters);
  }
  if (e.is_ram()) {
    ref = p2m_.host().at<uint8_t>(e.frame().with_offset(PageSize::k4K, at.value()));
    return true;
  }
  failure_ = cause_of(e.state());
  failed_at_ = at;
  return false;
}

void GuestTables::note(Gpa at, unsigned level, const uint8_t* entry, uint64_t value) const {
  const HostMemory& host = p2m_.host();
  const auto offset = static_cast<uint64_t>(entry - host.at<uint8_t>(host.base()));
  const auto l = static_cast<uint8_t>(level);
  note_reference(cpu_, {WalkReference::Dimension::kGuest, l, l, at.value(), value},
                 Hpa(host.base().value() + offset));
}

bool GuestTables::prepare_protected(Gpa at, P2mEntry e) {
  if (e.rom()) {
    failure_ = HostCause::kReadOnly;
    failed_at_ = at;
    return false;
  }
  if (probe_) return true;
  std::optional<VmExit> exit;
  if (!locked_) exit.emplace(cpu_, p2m_.lock());
  make_usable(p2m_, at, /*write=*/true, cpu_.counters);
  return true;
}

bool load_pdptes(P2m& p2m, Controls& controls, const PagingRules& rules) {
  const Gpa base(controls.cr3 & 0xffff'ffe0);
  std::array<uint64_t, 4> loaded;
  P2mEntry e = p2m.lookup(base);
  if (e.state() == FrameState::kLazy) e = p2m.back(base);
  if (!e.is_ram()) return false;
  const uint8_t* at = p2m.host().at<uint8_t>(e.frame().with_offset(PageSize::k4K, base.value()));
  for (unsigned i = 0; i < 4; ++i) {
    loaded[i] = load_entry<uint64_t>(at + 8 * i);
    if (PaeFormat::present(loaded[i]) && (loaded[i] & rules.reserved_table[3]) != 0) return false;
  }
  controls.pdpte = loaded;
  return true;
}

}  // namespace gnomon
