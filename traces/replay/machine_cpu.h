// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_REPLAY_MACHINE_CPU_H_
#define TRACES_REPLAY_MACHINE_CPU_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "gnomon/backend.h"
#include "gnomon/cache/hierarchy.h"
#include "gnomon/foresight.h"
#include "gnomon/guest/cpu.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/traces/record.h"
#include "gnomon/vcpu.h"
#include "traces/replay/guest_log.h"

namespace gnomon {

/// What the processors of a machine share.
class MachineMemory {
 public:
  /// `side_id`: the number of a processor that the machine does not have.
  MachineMemory(Backend& backend, bool with_data, GuestLog* guest_log, uint32_t side_id)
      : mmu(backend), move_data(with_data), log(guest_log), side_(side_id) {
    mmu.attach(side_);
  }
  ~MachineMemory() { mmu.detach(side_); }
  MachineMemory(const MachineMemory&) = delete;
  MachineMemory& operator=(const MachineMemory&) = delete;

  /// What the guest reads and stores there, without any of it being counted.
  uint64_t word(Gpa at);
  uint64_t bytes(Gpa at, unsigned size);  ///< 1..8, within one page
  void set_word(Gpa at, uint64_t value);
  /// Frames that the host backed for set_word.
  /// What lay there before the guest did anything. The frame behind it is not backed on the guest's behalf.
  void set_contents(Gpa at, uint64_t value) {
    const uint64_t backed = frames_backed();
    set_word(at, value);
    side_.counters[Counter::kFramesBacked] = backed;
  }
  uint64_t frames_backed() const { return side_.counters[Counter::kFramesBacked]; }

  Backend& mmu;
  const bool move_data;
  GuestLog* const log;  ///< may be null
  /// Frames that the kernel has stored table entries to since it last cleared or copied to them: a backend may
  /// still track them.
  absl::flat_hash_set<uint64_t> tables;

 private:
  VcpuState side_;
};

/// A processor of a replay machine, as the guest's kernel and the machine see it.
class MachineCpu final : public GuestCpu {
 public:
  /// `caches` may be null.
  MachineCpu(MachineMemory& memory, P2m& p2m, VcpuParts parts, std::unique_ptr<CacheHierarchy> caches)
      : id_(parts.id), memory_(memory), caches_(std::move(caches)),
        p2m_(p2m), vcpu_(memory.mmu, p2m, std::move(parts)) {
    vcpu_.state().memory = caches_.get();
  }

  unsigned id() const override { return id_; }
  bool load_entry(Gpa at, uint64_t& entry) override;
  bool store_entry(Gpa at, uint64_t entry) override;
  bool load_cr3(uint64_t value) override;
  bool load_controls(uint64_t cr0, uint64_t cr4, uint64_t efer) override;
  void invlpg(Gva va) override;
  bool invpcid(InvpcidType type, uint16_t pcid, Gva va) override;
  Translation access(Gva va, Access access) override;
  void copy_page(Gpa from, Gpa to) override;
  void clear_page(Gpa page) override;

  /// EFLAGS.AC and PKRU, on which rights depend. Not written down.
  void load_rights(bool ac, uint32_t pkru) {
    vcpu_.set_ac(ac);
    vcpu_.write_pkru(pkru);
  }
  /// A store of `size` bytes (1..8, within one page) to a table. Not written down.
  StoreResult store_to_table(Gpa at, uint64_t value, unsigned size);
  /// A store as of any guest code, by virtual address and within one page; 0 bytes: it only translates.
  void store_value(Gva va, uint64_t value, unsigned size, bool user);
  /// A trapped store of so many bytes, as far as they lie in the page, of what is there already.
  void store_same(Gpa at, uint64_t bytes);

  /// A load from a table that the backend answers, if it does.
  void load_again(Gpa at) {
    uint64_t value = 0;
    memory_.mmu.read_physical(vcpu_.state(), at, 1, value);
  }

  Vcpu<Backend>& vcpu() { return vcpu_; }
  const Vcpu<Backend>& vcpu() const { return vcpu_; }
  /// Tells the backend of accesses to come, if enough of them have missed the TLB of late for that to pay.
  void foresee(absl::Span<const TraceRecord> coming);
  void note_missed(size_t missed, size_t of) { foresees_ = missed * kForeseeFrom > of; }
  CacheHierarchy* caches() { return caches_.get(); }
  const CacheHierarchy* caches() const { return caches_.get(); }

  uint64_t records = 0;  ///< run so far: what the timer counts

 private:
  void log(EventKind kind, uint64_t address, uint64_t value = 0, uint64_t extra = 0,
           uint32_t flags = 0);

  void fill_page(Gpa page, const Gpa* from);

  static constexpr size_t kForeseeFrom = 32;  ///< one in so many misses

  unsigned id_;
  MachineMemory& memory_;
  Foresight foresight_;
  bool foresees_ = false;
  std::unique_ptr<CacheHierarchy> caches_;
  P2m& p2m_;
  Vcpu<Backend> vcpu_;
};

}  // namespace gnomon

#endif  // TRACES_REPLAY_MACHINE_CPU_H_
