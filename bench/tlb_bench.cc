// SPDX-License-Identifier: Apache-2.0
// A hit in a TLB of Skylake's geometry: 32 pages, fewer than its first level holds, in turn.
#include "bench/machine.h"
#include "gnomon/vcpu.h"
#include "mmu/native/native.h"

namespace gnomon::bench {
namespace {

constexpr uint64_t kPages = 32;

void TlbLookup(benchmark::State& state) {
  Machine<NativeMmu> m("native", 1024);
  m.map(kPages);
  auto tlb = Tlb::create(find_tlb_preset("skylake").value().tlb()).value();
  for (uint64_t i = 0; i < kPages; ++i) tlb->insert(m.va(i), kRead, m.access(m.va(i)), 0);
  uint64_t page = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(tlb->lookup(m.va(page), kRead, 0, m.cpu().rules));
    page = (page + 1) % kPages;
  }
  require(tlb->hit_level() == 1);
}
BENCHMARK(TlbLookup);

void VcpuAccess(benchmark::State& state) {
  Machine<NativeMmu> m("native", 1024);
  m.map(kPages);
  Vcpu<NativeMmu> vcpu(m.mmu(), m.p2m(),
                       VcpuParts::from(find_tlb_preset("skylake").value(), 1).value());
  const Controls& c = m.cpu().controls;
  require(vcpu.write_controls(c.cr0, c.cr4, c.efer) && vcpu.write_cr3(c.cr3));
  uint64_t page = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(vcpu.access(m.va(page), kRead));
    page = (page + 1) % kPages;
  }
  require(vcpu.counters()[Counter::kTlbMisses] <= kPages);
}
BENCHMARK(VcpuAccess);

// The whole access of an interpreter: translate, and load the eight bytes.
void VcpuLoad(benchmark::State& state) {
  Machine<NativeMmu> m("native", 1024);
  m.map(kPages);
  Vcpu<NativeMmu> vcpu(m.mmu(), m.p2m(),
                       VcpuParts::from(find_tlb_preset("skylake").value(), 1).value());
  const Controls& c = m.cpu().controls;
  require(vcpu.write_controls(c.cr0, c.cr4, c.efer) && vcpu.write_cr3(c.cr3));
  uint64_t page = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(vcpu.load(m.va(page), 8, kRead));
    page = (page + 1) % kPages;
  }
}
BENCHMARK(VcpuLoad);

}  // namespace
}  // namespace gnomon::bench
