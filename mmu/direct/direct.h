// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_DIRECT_DIRECT_H_
#define MMU_DIRECT_DIRECT_H_

#include <memory>
#include <optional>
#include <vector>

#include "gnomon/backend.h"
#include "gnomon/direct/options.h"
#include "gnomon/x86/walker.h"
#include "mmu/direct/pv_tables.h"
#include "mmu/direct/revoker.h"

// Direct paging, as Xen's 64-bit paravirtual guests have it. The hardware walks the guest's own tables,
// which the VMM validated and turned into host addresses in place; the guest asks for each change of them.
// Files: frame_types (who is what), pv_tables (validation), pv_host_changes (what the p2m does to entries in
// use), faults (what a page fault turns out to be), audit.
//
// What the guest must know:
//  - A frame in use as a table cannot be mapped writable, and a frame mapped writable cannot become a
//    table; write_physical answers kRefused, and nothing has changed. To turn a page into a table the guest
//    first drops its writable mappings. The entry being replaced still counts while the new one is checked.
//  - Present entries must name RAM (not MMIO, not ballooned, not read-only slots if writable or a table),
//    with no reserved bit set, and tables of the level below. A large page needs a host page as large.
//    A root may contain itself in one of its entries if that entry is read-only.
//  - Only 4-level paging, and no paging at all, for a guest that still builds its tables. See `supports`.
//  - A CR3 whose tables are refused: each access is a kHostViolation with cause kNone, level 4 and the
//    address of the root, until another CR3 is loaded. (Xen kills such a guest. kHostViolation has another
//    cause everywhere else.) In an unsupported mode the same with level 0.
//  - CR0.WP = 0 is emulated: the hardware runs with it set, and a supervisor's store to a read-only page
//    exits each time.
//
// An entry that was accepted stays good whatever the host does to its frame: it is repaired on the next
// access, or, where it cannot be (a large page over host pages that were split), the VMM completes each
// access through it (kEmulatedAccesses, not cacheable). The outcome is NativeMmu's in all these cases.
//
// All vCPUs of a machine must have the same physical-address width.

namespace gnomon {

class DirectMmu final : public Backend {
 public:
  /// Can a guest use this mode? Drivers check it before they start.
  static constexpr bool supports(PagingMode mode) {
    return mode == PagingMode::kLevel4 || mode == PagingMode::kOff;
  }
  /// InvalidArgument that names the mode, for those that it does not support.
  static absl::Status check_mode(PagingMode mode);

  explicit DirectMmu(P2m& p2m, const DirectOptions& options = {});
  ~DirectMmu() override;

  absl::string_view name() const override { return "direct"; }
  void attach(VcpuState& cpu) override;
  void detach(VcpuState& cpu) override;
  Translation miss(VcpuState& cpu, Gva va, Access access) override;
  void controls_changed(VcpuState& cpu, const PagingRules& before) override;
  void cr3_loaded(VcpuState& cpu, bool flush) override;
  void invlpg(VcpuState& cpu, Gva va) override;
  void invpcid(VcpuState& cpu, InvpcidType type, uint16_t pcid, Gva va) override;
  StoreResult write_physical(VcpuState& cpu, Gpa at, uint64_t value, unsigned size) override;
  bool read_physical(VcpuState& cpu, Gpa at, unsigned size, uint64_t& value) override;
  bool validates_tables() const override { return true; }
  uint64_t table_bytes() const override { return 0; }
  const Counters& counters() const override { return revoker_.counters(); }
  void drop_caches() override;
  std::vector<AuditFinding> audit() const override;
  void before_p2m_change(Gpa first, uint64_t frames, Change change) override;

  /// Did the system grant the address space for the per-frame records?
  bool complete() const { return tables_.complete(); }
  /// The type of the frame at `gpa`: kNone for addresses outside RAM.
  direct::FrameType type_of(Gpa gpa) const;

 private:
  struct Vcpu {
    VcpuState* cpu;
    uint32_t root = P2m::kNoIndex;  // in use: stays pinned
    bool refused = false;           // the current CR3's tables
    uint32_t batched = 0;           // updates that no hypercall has carried yet
  };
  enum class Root : uint8_t { kPinned, kRefused, kUnavailable };
  enum class Next : uint8_t { kRetry, kReflect, kEmulate };

  Vcpu& vcpu(const VcpuState& cpu);
  Gpa root_at(const VcpuState& cpu) const { return Gpa(cpu.controls.cr3 & pte::kFrameMask); }
  void hypercall(VcpuState& cpu, Vcpu& v);
  void flush_batch(VcpuState& cpu, Vcpu& v);

  // Roots (direct.cc).
  void enter_root(VcpuState& cpu, Vcpu& v);
  Root hold_root(VcpuState& cpu, Vcpu& v);
  bool unpin_beyond(size_t limit);

  // The directory (directory.cc).
  StoreResult update_table(VcpuState& cpu, Gpa at, uint64_t value, unsigned size);

  // Accesses (faults.cc).
  std::optional<Walk<Hpa>> walk_in_place(VcpuState& cpu, Gva va, Access access, bool count) const;
  std::optional<Gpa> page_of(const Walk<Hpa>& w) const;
  std::optional<Translation> plain_end(const Walk<Hpa>& w, Access access) const;
  std::optional<direct::PvTables::Place> place_of(const Walk<Hpa>& w, Gva va) const;
  Translation resolve(VcpuState& cpu, Vcpu& v, Gva va, Access access, bool walked);
  Next repair(VcpuState& cpu, const Walk<Hpa>& w, Gva va, Access access);
  Next help_write(VcpuState& cpu, const Walk<Hpa>& w, Gva va);
  Translation reflect(VcpuState& cpu, const Walk<Hpa>& w);
  Translation emulate(VcpuState& cpu, Gva va, Access access);
  Translation access_unpaged(VcpuState& cpu, Gva va, Access access);
  Translation probe(VcpuState& cpu, const Vcpu& v, Gva va, Access access);
  void note_frame_given_out(Translation& t);
  static Translation refused(unsigned level, Gpa root);

  P2m& p2m_;
  const DirectOptions options_;
  direct::Revoker revoker_;
  direct::PvTables tables_;
  std::vector<std::unique_ptr<Vcpu>> vcpus_;
  std::vector<uint32_t> pins_;  // frame numbers of all roots, least recently loaded first
};

/// The row of the registry. Errors: those of parse_direct_options; ResourceExhausted when the system refuses
/// the address space for the per-frame records.
absl::StatusOr<std::unique_ptr<Backend>> create_direct(P2m& p2m, absl::string_view options);

}  // namespace gnomon

#endif  // MMU_DIRECT_DIRECT_H_
