// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_SHADOW_SHADOW_H_
#define MMU_SHADOW_SHADOW_H_

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "gnomon/backend.h"
#include "gnomon/shadow/agile_options.h"
#include "gnomon/shadow/options.h"
#include "gnomon/x86/guest_walk.h"
#include "mmu/agile/nested_part.h"
#include "mmu/shadow/hardware.h"
#include "mmu/shadow/page_cache.h"
#include "mmu/vcpu_set.h"

// Shadow paging. The processor walks tables of ours (GVA -> HPA), made from the guest's tables (GVA -> GPA)
// and the p2m (GPA -> HPA), and kept in step with both:
//
//   guest tables (guest RAM)             shadow tables (ours)              processor
//   CR3 -> [L4] -> [L3] -> [L2] -> [L1]   root -> [4] -> [3] -> [2] -> [1] -> host frame
//            \______ one shadow page for each (table frame, role) ______/
//
//   missing or too strict shadow entry   -> fault.cc: walk the guest, reflect or map
//   guest writes a tracked table         -> table_write.cc: apply and adjust, or let it go out of sync
//   guest flushes (CR3, INVLPG, INVPCID) -> sync.cc: what went out of sync comes back
//   CR3 or a mode bit changes            -> roots.cc: another root, found or built
//   the host moves or takes a frame      -> p2m_events.cc: the reverse map finds every entry
//   memory runs short                    -> recycle.cc: least recently used pages go
//
// All state is behind the VM's lock, except what the hardware walk in `miss` reads: entries, targets and
// each vCPU's root, which are atomics, and whose memory is only reused after a flush_all handshake.

namespace gnomon::shadow {

/// A vCPU's way into the tables: which guest root, as what, and where its shadow starts.
struct Root {
  uint64_t cr3 = 0;  ///< address of the root table
  uint16_t pcid = 0;
  Role role;
  std::array<uint64_t, 4> pdpte{};
  uint32_t top = 0;   ///< page the processor's CR3 points to; 0: none yet
  uint32_t glue = 0;  ///< the level-3 page below it, where the guest has no such level
  bool switched = false;  ///< agile paging: the guest's own root is walked, in nested mode
  uint64_t left_at = 0;   ///< VcpuRoots::switches when it was current last

  bool usable() const { return top != 0 || switched; }
  bool same_space(const Root& other) const {
    return cr3 == other.cr3 && pcid == other.pcid && role == other.role && pdpte == other.pdpte;
  }
};

struct VcpuRoots {
  VcpuState* cpu = nullptr;
  PagingRules host_rules;  ///< of the processor that walks the shadow on behalf of this vCPU
  Root current;
  std::vector<Root> previous;           ///< in no order: see Root::left_at
  uint64_t switches = 0;
  /// Host address of the root table; 0: fault at once. Bit 0: it is the guest's own (Root::switched).
  std::atomic<uint64_t> hardware{0};
  uint64_t interval_start = 0;  ///< agile paging: accesses when the timer last ended an interval
};

class ShadowMmu final : public Backend, private DirtySink {
 public:
  ShadowMmu(P2m& p2m, const ShadowOptions& options);
  /// Agile paging: `options` for the shadowed part (nothing goes out of sync in it).
  ShadowMmu(P2m& p2m, const ShadowOptions& options, const AgileOptions& agile);
  ~ShadowMmu() override;

  absl::string_view name() const override { return agile_ == nullptr ? "shadow" : "agile"; }
  void attach(VcpuState& cpu) override;
  void detach(VcpuState& cpu) override;
  Translation miss(VcpuState& cpu, Gva va, Access access) override;
  void foresee(const VcpuState& cpu, Foresight& known, absl::Span<const Gva> pages) const override;
  void controls_changed(VcpuState& cpu, const PagingRules& before) override;
  void cr3_loaded(VcpuState& cpu, bool flush) override;
  void invlpg(VcpuState& cpu, Gva va) override;
  void invpcid(VcpuState& cpu, InvpcidType type, uint16_t pcid, Gva va) override;
  StoreResult write_physical(VcpuState& cpu, Gpa at, uint64_t value, unsigned size) override;
  bool read_physical(VcpuState& cpu, Gpa at, unsigned size, uint64_t& value) override;
  std::optional<Hpa> shadow_root(const VcpuState& cpu) const override { return hardware_root(cpu); }
  uint64_t table_bytes() const override {
    const VmGuard guard(p2m_.lock());
    return bytes_now();
  }
  const Counters& counters() const override { return counters_; }
  void drop_caches() override;
  std::vector<AuditFinding> audit() const override;
  void before_p2m_change(Gpa first, uint64_t frames, Change change) override;

  const ShadowOptions& options() const { return options_; }
  const PageCache& pages() const { return pages_; }
  bool ready() const { return pages_.ready(); }
  /// The page that `cpu`'s CR3 holds under this backend, for a real processor; Hpa(0): none until a fault.
  Hpa hardware_root(const VcpuState& cpu) const;

 private:
  friend class Auditor;

  // fault.cc: what became of an access that the shadow did not allow.
  struct FaultEnd {
    bool retry = false;  ///< the shadow allows it now
    Translation end;     ///< otherwise the answer; with `retry`, the answer if retrying does not help
  };
  std::optional<Origin> origin_of(const Walk<Hpa>& w, Gva va);
  void note_handed_out(const Translation& end, Access access);
  Translation miss_after_fault(VcpuRoots& v, Gva va, Access access, const Walk<Hpa>& first);
  FaultEnd handle_fault(VcpuRoots& v, Gva va, Access access, const Walk<Hpa>& hw);
  std::optional<Translation> cached_mmio(VcpuRoots& v, Gva va, Access access, const Walk<Hpa>& hw);

  // map.cc: making the shadow allow it.
  struct Mapped {
    uint64_t spte = 0;  ///< the leaf entry now in place; 0: none could be made
    ShadowPage* page = nullptr;
    unsigned index = 0;
    bool switched = false;  ///< the walk goes on in nested mode before it gets to a leaf of ours
  };
  Mapped map(VcpuRoots& v, Gva va, const Walk<Gpa>& w, Rights rights, P2mEntry e);
  void place_marker(VcpuRoots& v, Gva va, const Walk<Gpa>& w, Rights rights);
  using Path = std::tuple<ShadowPage*, bool>;  ///< the page at `stop`; or null: no room, or (true) a switch
  Path path_to(VcpuRoots& v, Gva va, const Walk<Gpa>& w, Rights leaf_rights, unsigned stop);
  ShadowPage* child(ShadowPage& parent, unsigned index, uint64_t gfn, Role role);
  ShadowPage* get_page(uint64_t gfn, Role role);
  unsigned leaf_level(const Walk<Gpa>& w, P2mEntry e) const;
  void prefetch(ShadowPage& page, unsigned index);

  // refresh.cc: one leaf entry from the guest's entry, without a walk.
  enum class Refresh : uint8_t {
    kExisting,  ///< while syncing
    kMayAdd,    ///< ahead of need
    kWritten,   ///< after a trapped write: its accessed flag says later whether the entry was used
  };
  void refresh_entry(ShadowPage& page, unsigned index, Refresh how);
  const PagingRules& rules_for(Role role) const;
  Gpa guest_entry_of(const ShadowPage& page, unsigned index) const;

  // table_write.cc
  bool can_unsync(uint32_t frame);
  void unsync_frame(uint32_t frame);
  void mark_unsync_above(ShadowPage& page);
  void entries_written(uint32_t frame, unsigned offset, unsigned size);
  void note_use(ShadowPage& page) const;
  bool flooded(ShadowPage& page, unsigned offset, unsigned size) const;
  template <class F>
  void for_each_written(ShadowPage& page, unsigned offset, unsigned size, F&& f);

  // directory.cc: dirty flags that are still only in shadow entries (FlagPolicy::kLazy).
  bool lazy_flags_for(Gpa table) const;
  void losing_dirty(const ShadowPage& page, unsigned index) override;
  void collect_flags(uint32_t frame);

  // sync.cc
  void sync_below(ShadowPage& page);
  void collect_unsync(ShadowPage& page, std::vector<uint32_t>& frames);
  void sync_frames(absl::Span<const uint32_t> frames);
  void invalidate_address(const Root& root, Gva va);

  // roots.cc
  VcpuRoots& roots_of(const VcpuState& cpu) const { return *vcpus_[cpu.id]; }
  Root wanted_root(const VcpuState& cpu) const;
  void switch_root(VcpuRoots& v);
  bool ensure_root(VcpuRoots& v);
  bool build_root(Root& root);
  void drop_root(Root& root);
  void drop_roots_using(const ShadowPage& page);
  void publish_root(VcpuRoots& v);

  // agile.cc: where the lower part of a walk is nested.
  Translation miss_agile(VcpuRoots& v, Gva va, Access access);
  Translation miss_agile_observed(VcpuRoots& v, Gva va, Access access);
  template <bool kObserved>
  [[gnu::always_inline]] Translation miss_agile_with(VcpuRoots& v, Gva va, Access access);
  FaultEnd handle_violation(VcpuRoots& v, const NestedViolation& at, Gva va, Access access,
                            const Walk<Hpa>& hw);
  bool place_switch(ShadowPage& parent, unsigned index, uint64_t gfn, Rights above);
  bool table_goes_nested(uint32_t frame);
  void leave_nested(uint32_t frame);
  void forget_switches(uint32_t frame);
  void enter_nested(uint32_t frame);
  void begin_nested(const VcpuState& cpu);
  void agile_interval();
  void end_agile_interval();
  struct NestedEnd;
  template <bool kCached, bool kObserved>
  NestedEnd walk_nested_part(VcpuState& cpu, WalkStart<Hpa> start, Gpa table, Gva va, Access access);
  void revoke_nested(Gpa first, uint64_t frames, bool only_writing);
  void audit_agile(std::vector<AuditFinding>& findings) const;

  uint64_t bytes_now() const {
    return pages_.bytes() + (agile_ == nullptr ? 0 : agile_->tables().bytes());
  }

  // recycle.cc
  void make_room(unsigned pages);
  void zap(ShadowPage& page);
  void settle();
  void flush_tlbs();
  uint32_t page_limit() const;

  P2m& p2m_;
  const ShadowOptions options_;
  Counters counters_;
  PageCache pages_;
  VcpuSet cpus_;
  std::vector<std::unique_ptr<VcpuRoots>> vcpus_;  // by vCPU id
  mutable std::array<std::optional<PagingRules>, 32> rules_by_role_;  // made when first needed
  CpuModel model_;  // of the guest's processors, all alike
  std::unique_ptr<agile::NestedPart> agile_;  // null: all is shadowed
  bool flush_needed_ = false;  // a link was replaced: walk caches may lead to the old page
};

}  // namespace gnomon::shadow

#endif  // MMU_SHADOW_SHADOW_H_
