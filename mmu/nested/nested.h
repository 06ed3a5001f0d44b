// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_NESTED_NESTED_H_
#define MMU_NESTED_NESTED_H_

#include <memory>

#include "gnomon/backend.h"
#include "gnomon/nested/options.h"
#include "mmu/nested/host_tables.h"
#include "mmu/nested/walk_memory.h"
#include "mmu/vcpu_set.h"

namespace gnomon {

/// Nested paging: the processor walks the guest's own tables, and translates each guest-physical address
/// on the way with tables of the host (EPT or NPT), which are made from the p2m as violations ask for it.
/// Guest faults go to the guest, and the guest's table updates cost no exit.
///
/// What is counted: every reference of every walk (kWalks), also of walks that ended in a violation and
/// were started again, as the processor restarts the instruction. Warm tables have no violations, so there
/// a walk of g guest and h host levels is (g + 1)(h + 1) - 1 references.
template <class Flavour>
class NestedMmu final : public Backend {
 public:
  NestedMmu(P2m& p2m, const NestedOptions& options);
  ~NestedMmu() override;

  absl::string_view name() const override { return Flavour::kName; }
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
  uint64_t table_bytes() const override { return tables_.bytes(); }
  const Counters& counters() const override { return counters_; }
  void drop_caches() override;
  std::vector<AuditFinding> audit() const override;
  void before_p2m_change(Gpa first, uint64_t frames, Change change) override;

 private:
  // Violations that one access may meet before the VMM completes it in software: each table on the way
  // and the data page once for absence and once for permission, and as many again for changes made
  // meanwhile by others.
  static constexpr unsigned kMaxAttempts = 25;

  template <bool kCached, bool kObserved>
  Translation miss_with(VcpuState& cpu, Gva va, Access access);
  // Makes the walk possible that stopped at `v`; false: `end` is how the access ends.
  bool resolve(VcpuState& cpu, const NestedViolation& v, Gva va, Access access, Translation& end);
  Translation complete(VcpuState& cpu, Gva va, Access access);
  bool map(VcpuState& cpu, Gpa gpa, P2mEntry e);
  void revoke(Gpa first, uint64_t frames, bool only_writing);
  void revoke_all() { revoke(Gpa(), ~uint64_t{0}, /*only_writing=*/false); }
  void tables_changed();

  P2m& p2m_;
  const PageSize max_page_;
  HostTables<Flavour> tables_;
  VcpuSet cpus_;
  Counters counters_;
};

/// Rows of the registry. Options: levels, max_page, and for EPT ad (see NestedOptions).
absl::StatusOr<std::unique_ptr<Backend>> create_nested(P2m& p2m, absl::string_view options);
absl::StatusOr<std::unique_ptr<Backend>> create_npt(P2m& p2m, absl::string_view options);

extern template class NestedMmu<Ept<4, false>>;
extern template class NestedMmu<Ept<4, true>>;
extern template class NestedMmu<Ept<5, false>>;
extern template class NestedMmu<Ept<5, true>>;
extern template class NestedMmu<Npt<4>>;
extern template class NestedMmu<Npt<5>>;

}  // namespace gnomon

#endif  // MMU_NESTED_NESTED_H_
