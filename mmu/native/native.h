// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_NATIVE_NATIVE_H_
#define MMU_NATIVE_NATIVE_H_

#include "gnomon/backend.h"
#include "mmu/vcpu_set.h"

namespace gnomon {

/// No virtualization: the processor walks the guest's own tables, and guest-physical memory is where the
/// p2m puts it at no cost. The baseline of every comparison, and the semantics the others must equal.
class NativeMmu final : public Backend {
 public:
  explicit NativeMmu(P2m& p2m);
  ~NativeMmu() override;

  absl::string_view name() const override { return "native"; }
  void attach(VcpuState& cpu) override { cpus_.attach(cpu); }
  void detach(VcpuState& cpu) override { cpus_.detach(cpu); }
  Translation miss(VcpuState& cpu, Gva va, Access access) override;
  void foresee(const VcpuState& cpu, Foresight& known, absl::Span<const Gva> pages) const override;
  void controls_changed(VcpuState&, const PagingRules&) override {}
  void cr3_loaded(VcpuState&, bool) override {}
  void invlpg(VcpuState&, Gva) override {}
  void invpcid(VcpuState&, InvpcidType, uint16_t, Gva) override {}
  StoreResult write_physical(VcpuState& cpu, Gpa at, uint64_t value, unsigned size) override;
  bool read_physical(VcpuState& cpu, Gpa at, unsigned size, uint64_t& value) override;
  uint64_t table_bytes() const override { return 0; }
  const Counters& counters() const override { return counters_; }
  void drop_caches() override {}
  std::vector<AuditFinding> audit() const override { return {}; }
  void before_p2m_change(Gpa first, uint64_t frames, Change change) override;

 private:
  Translation miss_observed(VcpuState& cpu, Gva va, Access access);
  template <bool kObserved>
  [[gnu::always_inline]] Translation miss_with(VcpuState& cpu, Gva va, Access access);

  P2m& p2m_;
  VcpuSet cpus_;
  Counters counters_;
};

}  // namespace gnomon

#endif  // MMU_NATIVE_NATIVE_H_
