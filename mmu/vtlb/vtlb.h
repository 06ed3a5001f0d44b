// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_VTLB_VTLB_H_
#define MMU_VTLB_VTLB_H_

#include <memory>
#include <vector>

#include "gnomon/backend.h"
#include "mmu/shadow/hardware.h"
#include "mmu/vcpu_set.h"
#include "mmu/vtlb/private_tables.h"

// The simplest shadow pager: shadow tables as one big TLB for each vCPU (NOVA's vTLB). A miss walks the guest's
// tables and fills an entry; every flush of the guest empties what it names. Nothing is write-protected,
// nothing is kept across a CR3 load but global pages, and there is no reverse map: when the host changes
// a frame, all vCPUs start from nothing. Guest table writes are free; address-space switches are not.

namespace gnomon {

struct VtlbOptions {
  /// Map 2M and 1G where guest and host allow. Off: everything is 4K.
  bool large_pages = true;
  /// Memory for one vCPU's tables. When it is used up, that vCPU's tables start from nothing.
  uint64_t budget_bytes = uint64_t{64} << 20;
};

class VtlbMmu final : public Backend {
 public:
  VtlbMmu(P2m& p2m, const VtlbOptions& options);
  ~VtlbMmu() override;

  absl::string_view name() const override { return "vtlb"; }
  void attach(VcpuState& cpu) override;
  void detach(VcpuState& cpu) override;
  Translation miss(VcpuState& cpu, Gva va, Access access) override;
  void controls_changed(VcpuState& cpu, const PagingRules& before) override;
  void cr3_loaded(VcpuState& cpu, bool flush) override;
  void invlpg(VcpuState& cpu, Gva va) override;
  void invpcid(VcpuState& cpu, InvpcidType type, uint16_t pcid, Gva va) override;
  StoreResult write_physical(VcpuState& cpu, Gpa at, uint64_t value, unsigned size) override;
  bool read_physical(VcpuState& cpu, Gpa at, unsigned size, uint64_t& value) override;
  std::optional<Hpa> shadow_root(const VcpuState& cpu) const override { return hardware_root(cpu); }
  uint64_t table_bytes() const override;
  const Counters& counters() const override { return counters_; }
  void drop_caches() override;
  std::vector<AuditFinding> audit() const override;
  void before_p2m_change(Gpa first, uint64_t frames, Change change) override;

  /// The table that `cpu`'s CR3 holds under this backend; Hpa(0): none until a fault.
  Hpa hardware_root(const VcpuState& cpu) const { return vcpus_[cpu.id]->tables.root(); }

 private:
  struct Vcpu {
    Vcpu(P2m& p2m, uint64_t budget) : tables(p2m, budget) {}
    PrivateTables tables;
    PagingRules host_rules;
  };
  struct FaultEnd {
    bool retry = false;
    Translation end;
  };

  Vcpu& of(const VcpuState& cpu) { return *vcpus_[cpu.id]; }
  FaultEnd handle_fault(VcpuState& cpu, Gva va, Access access);
  bool fill(VcpuState& cpu, Gva va, const Walk<Gpa>& w, P2mEntry e, Rights rights, uint64_t& entry);
  unsigned leaf_level(const Walk<Gpa>& w, P2mEntry e) const;
  void restart(VcpuState& cpu);
  void restart_all();
  uint64_t bytes_now() const;
  void note_bytes();

  P2m& p2m_;
  const VtlbOptions options_;
  Counters counters_;
  VcpuSet cpus_;
  std::vector<std::unique_ptr<Vcpu>> vcpus_;
};

/// Options: large=on|off, budget=BYTES for each vCPU.
absl::StatusOr<std::unique_ptr<Backend>> create_vtlb(P2m& p2m, absl::string_view options);

}  // namespace gnomon

#endif  // MMU_VTLB_VTLB_H_
