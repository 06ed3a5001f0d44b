// SPDX-License-Identifier: Apache-2.0
#include "mmu/direct/direct.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_cat.h"
#include "mmu/guest_access.h"

// Address spaces: which roots are validated, and which vCPU uses which.

namespace gnomon {

using direct::FrameType;
using direct::Request;

absl::Status DirectMmu::check_mode(PagingMode mode) {
  if (supports(mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("direct paging needs a 4-level guest, not a ", name_of(mode), " one"));
}

DirectMmu::DirectMmu(P2m& p2m, const DirectOptions& options)
    : p2m_(p2m), options_(options), revoker_(p2m), tables_(p2m, revoker_) {
  p2m_.add_listener(this);
}

// The guest's memory is left as the guest wrote it.
DirectMmu::~DirectMmu() {
  p2m_.remove_listener(this);
  for (const uint32_t root : pins_) tables_.unpin(root);
}

FrameType DirectMmu::type_of(Gpa gpa) const {
  const uint32_t index = p2m_.frame_index(gpa);
  return index == P2m::kNoIndex ? FrameType::kNone : tables_.types().type(index);
}

DirectMmu::Vcpu& DirectMmu::vcpu(const VcpuState& cpu) {
  const auto it = std::find_if(vcpus_.begin(), vcpus_.end(),
                               [&](const std::unique_ptr<Vcpu>& v) { return v->cpu == &cpu; });
  assert(it != vcpus_.end() && "the vCPU is not attached");
  return **it;
}

void DirectMmu::attach(VcpuState& cpu) {
  VmGuard guard(p2m_.lock());
  revoker_.attach(cpu);
  vcpus_.push_back(std::make_unique<Vcpu>(Vcpu{&cpu}));
  enter_root(cpu, *vcpus_.back());
}

void DirectMmu::detach(VcpuState& cpu) {
  VmGuard guard(p2m_.lock());
  revoker_.detach(cpu);
  std::erase_if(vcpus_, [&](const std::unique_ptr<Vcpu>& v) { return v->cpu == &cpu; });
  unpin_beyond(options_.pins);
}

void DirectMmu::hypercall(VcpuState& cpu, Vcpu& v) {
  ++cpu.counters[Counter::kExitHypercall];
  v.batched = 0;
}

void DirectMmu::flush_batch(VcpuState& cpu, Vcpu& v) {
  if (v.batched != 0) hypercall(cpu, v);
}

// Each operation below goes into one hypercall with the updates that wait for it.

void DirectMmu::cr3_loaded(VcpuState& cpu, bool) {
  VmExit exit(cpu, p2m_.lock());
  Vcpu& v = vcpu(cpu);
  if (options_.trap) {
    ++cpu.counters[Counter::kExitCr3];
  } else {
    hypercall(cpu, v);
  }
  enter_root(cpu, v);
}

void DirectMmu::invlpg(VcpuState& cpu, Gva) {
  if (options_.trap) {
    ++cpu.counters[Counter::kExitInvlpg];
  } else {
    hypercall(cpu, vcpu(cpu));
  }
}

void DirectMmu::invpcid(VcpuState& cpu, InvpcidType, uint16_t, Gva va) { invlpg(cpu, va); }

// Xen has no hypercall for most of these bits: it emulates the instruction.
void DirectMmu::controls_changed(VcpuState& cpu, const PagingRules& before) {
  VmExit exit(cpu, p2m_.lock());
  Vcpu& v = vcpu(cpu);
  flush_batch(cpu, v);
  ++cpu.counters[Counter::kExitControl];
  // With other rules (EFER.NXE, say) tables that were refused may be good.
  if (v.refused || before.mode != cpu.rules.mode) enter_root(cpu, v);
}

void DirectMmu::enter_root(VcpuState& cpu, Vcpu& v) {
  v.root = P2m::kNoIndex;
  v.refused = cpu.rules.mode == PagingMode::kLevel4 && hold_root(cpu, v) == Root::kRefused;
}

// Makes the root that CR3 names a validated one, in use by this vCPU.
DirectMmu::Root DirectMmu::hold_root(VcpuState& cpu, Vcpu& v) {
  const Gpa root = root_at(cpu);
  const uint32_t index = p2m_.frame_index(root);
  const auto pinned = std::find(pins_.begin(), pins_.end(), index);
  if (pinned != pins_.end()) {
    ++cpu.counters[Counter::kRootCacheHits];
    std::rotate(pinned, pinned + 1, pins_.end());
  } else {
    if (!make_usable(p2m_, root, /*write=*/false, cpu.counters).is_ram()) return Root::kUnavailable;
    ++cpu.counters[Counter::kRootCacheMisses];
    const auto pin = [&] { return tables_.pin(root, Request{cpu.rules, cpu.counters}); };
    if (!pin() && !(unpin_beyond(0) && pin())) return Root::kRefused;
    ++cpu.counters[Counter::kPvPinned];
    pins_.push_back(index);
  }
  v.root = index;
  unpin_beyond(options_.pins);
  return Root::kPinned;
}

// True: some root went.
bool DirectMmu::unpin_beyond(size_t limit) {
  const size_t before = pins_.size();
  const auto in_use = [&](uint32_t root) {
    return std::any_of(vcpus_.begin(), vcpus_.end(),
                       [&](const std::unique_ptr<Vcpu>& v) { return v->root == root; });
  };
  for (size_t i = 0; pins_.size() > limit && i < pins_.size();) {
    if (in_use(pins_[i])) {
      ++i;
      continue;
    }
    const uint32_t root = pins_[i];
    pins_.erase(pins_.begin() + static_cast<ptrdiff_t>(i));
    tables_.unpin(root);
  }
  return pins_.size() != before;
}

void DirectMmu::drop_caches() {
  VmGuard guard(p2m_.lock());
  unpin_beyond(0);
}

void DirectMmu::before_p2m_change(Gpa first, uint64_t frames, Change change) {
  switch (change) {
    case Change::kAppeared:
      return;  // nothing was mapped there
    case Change::kWriteProtected:
      tables_.write_protect(first, frames);
      return;
    case Change::kMoved:
    case Change::kRemoved:
      break;
  }
  for (size_t i = pins_.size(); i-- > 0;) {
    const uint32_t root = pins_[i];
    if (p2m_.frame_at(root).frame() - first.frame() >= frames) continue;
    pins_.erase(pins_.begin() + static_cast<ptrdiff_t>(i));
    tables_.unpin(root);
    for (const std::unique_ptr<Vcpu>& v : vcpus_) {
      if (v->root == root) v->root = P2m::kNoIndex;
    }
  }
  tables_.suspend(first, frames);
}

absl::StatusOr<std::unique_ptr<Backend>> create_direct(P2m& p2m, absl::string_view options) {
  const absl::StatusOr<DirectOptions> parsed = parse_direct_options(options);
  if (!parsed.ok()) return parsed.status();
  auto mmu = std::make_unique<DirectMmu>(p2m, *parsed);
  if (!mmu->complete()) {
    return absl::ResourceExhaustedError("direct: no address space for the per-frame records");
  }
  return mmu;
}

}  // namespace gnomon
