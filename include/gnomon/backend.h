// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_BACKEND_H_
#define GNOMON_BACKEND_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/base/outcome.h"
#include "gnomon/foresight.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/vcpu_state.h"
#include "gnomon/x86/access.h"

// The pluggable MMU backend: one way to virtualize memory. It knows nothing about who drives it (trace
// replay, interpreter, KVM); it is told what the guest does to its address spaces, and answers the
// accesses that no TLB could answer.
//
//   auto p2m = …;
//   auto mmu = create_backend("shadow", p2m).value();
//   VcpuState cpu;  mmu->attach(cpu);
//   cpu.controls.cr3 = root; … cpu.update_rules();  mmu->controls_changed(cpu, {});
//   Translation t = mmu->miss(cpu, Gva(0x1000), {AccessOp::kRead, Privilege::kUser});
//
// Thread rule: each vCPU is driven by one thread; calls for different vCPUs may run at the same time.
// Backends take the VM's lock (P2m::lock) themselves where they need it; P2m changes are made with it held.
// Hot loops name the concrete `final` class, so that nothing is dispatched per access.

namespace gnomon {

/// INVPCID types (SDM vol. 2, INVPCID).
enum class InvpcidType : uint8_t { kAddress = 0, kContext = 1, kAllWithGlobals = 2, kAll = 3 };

enum class StoreResult : uint8_t {
  kDone,
  kRefused,    ///< direct paging only: the hypervisor rejected this table update; memory is unchanged
  kReadOnly,   ///< read-only slot
  kNotBacked,  ///< no RAM there (absent, MMIO, ballooned, or host exhausted)
};

/// One thing an auditor found wrong: the number of the invariant (docs/architecture.md) and what it saw.
struct AuditFinding {
  int invariant;
  std::string text;
};

class Backend : public P2mListener {
 public:
  virtual absl::string_view name() const = 0;

  /// Makes a vCPU known before its first use, and forgets it, while no vCPU of the machine runs. `cpu` must
  /// outlive its attachment.
  virtual void attach(VcpuState& cpu) = 0;
  virtual void detach(VcpuState& cpu) = 0;

  /// The access missed the TLB: walk the hardware's tables, and if they do not allow it do what this way
  /// of virtualizing does (fill and retry, reflect, emulate). The answer is final for this access.
  /// With `access.probe()` nothing changes: the answer is what the guest's tables and the p2m say now.
  virtual Translation miss(VcpuState& cpu, Gva va, Access access) = 0;

  /// A hint: `cpu` will soon access these addresses (at most Foresight::kMost), and some will miss the TLB. Brings what
  /// their walks read into our processor's caches. Nothing changes, and nothing is counted.
  ///
  /// Takes no lock: it reads tables as the hardware walk in `miss` does, which others may be about to free. So it is
  /// called by the vCPU's own thread, and where the VM has several, only between Vcpu::enter_guest and leave_guest
  /// (VcpuGate::in_guest is true): whoever frees a table waits for that vCPU's next access first.
  virtual void foresee(const VcpuState&, Foresight&, absl::Span<const Gva>) const {}

  /// CR0, CR4, EFER (but not CR3) changed; `cpu` holds the new values, `before` the old rules. Changes of
  /// EFLAGS.AC and PKRU alone need no call.
  virtual void controls_changed(VcpuState& cpu, const PagingRules& before) = 0;
  /// CR3 (and the PDPTE registers) were loaded. `flush` is false when CR4.PCIDE was set and the no-flush
  /// bit given: cached translations of this PCID stay valid.
  virtual void cr3_loaded(VcpuState& cpu, bool flush) = 0;
  virtual void invlpg(VcpuState& cpu, Gva va) = 0;
  virtual void invpcid(VcpuState& cpu, InvpcidType type, uint16_t pcid, Gva va) = 0;

  /// The guest stores the low `size` bytes of `value` (size 1..8, any alignment, within one page) at a
  /// guest-physical address: a page-table update as the kernel makes it through its own mapping.
  virtual StoreResult write_physical(VcpuState& cpu, Gpa at, uint64_t value, unsigned size) = 0;
  /// The guest loads `size` bytes: what it sees, not what the hardware sees. False: no RAM there.
  virtual bool read_physical(VcpuState& cpu, Gpa at, unsigned size, uint64_t& value) = 0;

  /// Does the hardware walk tables that the guest keeps, so that each change of them is checked and
  /// may be refused? Such a guest must ask for changes (write_physical), and its tables in memory hold
  /// host addresses.
  virtual bool validates_tables() const { return false; }
  /// Where the processor of `cpu`, which is attached, starts its walks, if the backend keeps tables of
  /// its own in place of the guest's (shadow, vtlb, agile): 64-bit entries, four levels (five if the
  /// guest has five), made as accesses need them. Hpa(): none yet. Bit 0 set: the guest's own root for
  /// now (agile). nullopt: it keeps none. For those who explain, while no processor runs.
  virtual std::optional<Hpa> shadow_root(const VcpuState&) const { return std::nullopt; }
  /// Bytes this backend holds in tables of its own now.
  virtual uint64_t table_bytes() const = 0;
  /// Counters of work done outside any vCPU (p2m changes).
  virtual const Counters& counters() const = 0;
  /// Drops all caches the guest cannot tell are there (shadow pages, nested entries).
  virtual void drop_caches() = 0;
  /// Checks every invariant over the whole VM; all vCPUs must be outside the guest. Empty means sound.
  virtual std::vector<AuditFinding> audit() const = 0;
};

struct BackendInfo {
  absl::string_view name;
  absl::string_view description;
  /// Fails with InvalidArgument when `options` (KEY=VALUE,…) has an unknown key or a bad value.
  absl::StatusOr<std::unique_ptr<Backend>> (*create)(P2m& p2m, absl::string_view options);
};

/// All backends: native, shadow, vtlb, direct, nested (ept), npt, agile.
absl::Span<const BackendInfo> backends();
/// By name with options: "shadow", "shadow:unsync=off,prefetch=8". InvalidArgument names what is known.
absl::StatusOr<std::unique_ptr<Backend>> create_backend(absl::string_view spec, P2m& p2m);

}  // namespace gnomon

#endif  // GNOMON_BACKEND_H_
