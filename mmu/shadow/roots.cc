// SPDX-License-Identifier: Apache-2.0
// The life of a CR3 load: exit; if this address space (address, PCID, mode bits, PDPTEs) is one of the vCPU's cached
// roots it becomes current again, otherwise its page is found in the cache or made; whatever went out of
// sync below it is synced; the processor's CR3 gets the root.
#include <algorithm>

#include "mmu/defects.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {
namespace {

bool has_own_root(PagingMode mode) {
  return mode == PagingMode::kLevel4 || mode == PagingMode::kLevel5;
}

}  // namespace

Root ShadowMmu::wanted_root(const VcpuState& cpu) const {
  Root root;
  root.role = base_role(cpu.rules);
  root.cr3 = root_of(cpu.controls, cpu.rules.mode).value();
  root.pcid = pcid_of(cpu.controls);
  if (cpu.rules.mode == PagingMode::kPae) root.pdpte = cpu.controls.pdpte;
  return root;
}

void ShadowMmu::publish_root(VcpuRoots& v) {
  uint64_t table = v.current.top == 0 ? 0 : pages_.page(v.current.top).table.value();
  if (v.current.switched) table = p2m_.lookup(Gpa(v.current.cr3)).frame().value() | 1;
  v.hardware.store(table, std::memory_order_release);
}

bool ShadowMmu::build_root(Root& root) {
  const PagingMode mode = root.role.paging_mode();
  Role role = root.role;
  if (has_own_root(mode)) {
    const Gpa table(root.cr3 & pte::kFrameMask);
    if (!p2m_.lookup(table).is_ram()) return false;
    role.level = mode == PagingMode::kLevel5 ? 5 : 4;
    if (agile_ != nullptr && agile_->holds(p2m_.frame_index(table))) {
      root.switched = true;
      return true;
    }
    ShadowPage* top = get_page(table.frame(), role);
    if (top == nullptr) return false;
    root.top = top->number;
    ++top->roots;
    return true;
  }
  // The processor walks four levels; the guest has fewer. The upper two are ours alone.
  role.glue = 1;
  role.level = 4;
  ShadowPage* top = pages_.create(0, role);
  role.level = 3;
  ShadowPage* below = top == nullptr ? nullptr : pages_.create(0, role);
  if (below == nullptr) {
    if (top != nullptr) pages_.zap(*top);
    return false;
  }
  pages_.link(*top, 0, *below, kAllRights);
  root.top = top->number;
  root.glue = below->number;
  ++top->roots;
  ++below->roots;
  return true;
}

bool ShadowMmu::ensure_root(VcpuRoots& v) {
  if (v.current.usable()) return true;
  if (!build_root(v.current)) return false;
  if (v.current.top != 0) sync_below(pages_.page(v.current.top));
  publish_root(v);
  return true;
}

void ShadowMmu::drop_root(Root& root) {
  root.switched = false;
  if (root.top == 0) return;
  --pages_.page(root.top).roots;
  if (root.glue != 0) {
    --pages_.page(root.glue).roots;
    pages_.zap(pages_.page(root.glue));
    pages_.zap(pages_.page(root.top));
  }
  root.top = root.glue = 0;
}

void ShadowMmu::drop_roots_using(const ShadowPage& page) {
  for (const auto& v : vcpus_) {
    if (v == nullptr) continue;
    if (v->current.top == page.number) {
      drop_root(v->current);
      publish_root(*v);
    }
    std::erase_if(v->previous, [&](Root& root) {
      if (root.top != page.number) return false;
      drop_root(root);
      return true;
    });
  }
}

void ShadowMmu::switch_root(VcpuRoots& v) {
  const Root wanted = wanted_root(*v.cpu);
  Counters& count = v.cpu->counters;
  if (!v.current.same_space(wanted)) {
    const auto cached = std::find_if(v.previous.begin(), v.previous.end(),
                                     [&](const Root& r) { return r.same_space(wanted); });
    if (cached != v.previous.end()) {
      std::swap(v.current, *cached);
      cached->left_at = ++v.switches;
    } else {
      if (v.current.usable()) {
        v.current.left_at = ++v.switches;
        v.previous.push_back(v.current);
      }
      v.current = wanted;
      if (v.previous.size() > options_.cached_roots) {
        const auto oldest = std::min_element(
            v.previous.begin(), v.previous.end(),
            [](const Root& a, const Root& b) { return a.left_at < b.left_at; });
        drop_root(*oldest);
        *oldest = v.previous.back();
        v.previous.pop_back();
      }
    }
  }
  ++count[v.current.usable() ? Counter::kRootCacheHits : Counter::kRootCacheMisses];
  if (v.current.usable()) {
    if (v.current.top != 0) sync_below(pages_.page(v.current.top));
    publish_root(v);
  } else {
    begin_nested(*v.cpu);
    make_room(2);
    if (!ensure_root(v)) publish_root(v);
  }
  settle();
}

void ShadowMmu::cr3_loaded(VcpuState& cpu, bool) {
  VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kExitCr3];
  switch_root(roots_of(cpu));
}

void ShadowMmu::controls_changed(VcpuState& cpu, const PagingRules&) {
  VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kExitControl];
  VcpuRoots& v = roots_of(cpu);
  v.host_rules = host_rules_for(cpu.rules);
  switch_root(v);
  // Entries made under the old rules say other things about the same guest rights.
  cpu.gate.flush_request.store(true);
}

Hpa ShadowMmu::hardware_root(const VcpuState& cpu) const {
  return Hpa(roots_of(cpu).hardware.load(std::memory_order_acquire));
}

}  // namespace gnomon::shadow
