// SPDX-License-Identifier: Apache-2.0
#include "mmu/shadow/shadow.h"

#include <cassert>

namespace gnomon::shadow {

ShadowMmu::ShadowMmu(P2m& p2m, const ShadowOptions& options)
    : p2m_(p2m), options_(options), pages_(p2m, counters_) {
  if (options_.flags == FlagPolicy::kLazy) pages_.set_dirty_sink(this);
  p2m_.add_listener(this);
}

ShadowMmu::ShadowMmu(P2m& p2m, const ShadowOptions& options, const AgileOptions& agile)
    : ShadowMmu(p2m, options) {
  agile_ = std::make_unique<agile::NestedPart>(p2m, agile);
}

ShadowMmu::~ShadowMmu() { p2m_.remove_listener(this); }

void ShadowMmu::attach(VcpuState& cpu) {
  VmGuard guard(p2m_.lock());
  if (cpu.id >= vcpus_.size()) vcpus_.resize(cpu.id + 1);
  vcpus_[cpu.id] = std::make_unique<VcpuRoots>();
  VcpuRoots& v = *vcpus_[cpu.id];
  v.cpu = &cpu;
  v.current = wanted_root(cpu);
  v.host_rules = host_rules_for(cpu.rules);
  assert((cpus_.all().empty() || model_ == cpu.cpu) && "the vCPUs of a machine are of one model");
  model_ = cpu.cpu;
  cpus_.attach(cpu);
}

void ShadowMmu::detach(VcpuState& cpu) {
  VmGuard guard(p2m_.lock());
  VcpuRoots& v = roots_of(cpu);
  drop_root(v.current);
  for (Root& root : v.previous) drop_root(root);
  settle();
  cpus_.detach(cpu);
  vcpus_[cpu.id] = nullptr;
}

}  // namespace gnomon::shadow
