// SPDX-License-Identifier: Apache-2.0
#include "vmm/record/guest_recorder.h"

#include <utility>

#include "gnomon/memory/bytes.h"
#include "gnomon/x86/guest_walk.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr unsigned kWord = 8;
constexpr uint32_t kByUser = 16;  // EventKind::kStoreValue

}  // namespace

class GuestRecorder::Processor final : public MemoryObserver {
 public:
  Processor(GuestRecorder& recorder, unsigned number, VcpuState& cpu)
      : recorder_(recorder), number_(number), cpu_(cpu) {}

  void before_access(Gva va, unsigned bytes, Access access, const uint64_t* value) override {
    note_rights(access);
    const Walk<Gpa> w = walk(va, access);
    const bool stores = access.write() && w.ok() && recorder_.tables_.contains(w.address.frame());
    if (!stores) {
      recorder_.log_.access(number_, va, access.op(), static_cast<uint16_t>(bytes), !access.user());
      return;
    }
    recorder_.event(number_, EventKind::kStoreValue, va.value(), value != nullptr ? *value : 0,
                    w.address.value(),
                    (value != nullptr ? bytes : 0) | (access.user() ? kByUser : 0));
  }
  void cr3_written(uint64_t value) override {
    note_root();
    recorder_.event(number_, EventKind::kCr3, 0, value);
  }
  void controls_written(uint64_t cr0, uint64_t cr4, uint64_t efer) override {
    note_root();
    recorder_.event(number_, EventKind::kControls, efer, cr0, cr4);
  }
  void physical_written(Gpa at, uint64_t value, unsigned size) override {
    recorder_.event(number_, EventKind::kTableWrite, at.value(), value, 0, size);
  }
  void invlpg_done(Gva va) override { recorder_.event(number_, EventKind::kInvlpg, va.value(), 0); }
  void invpcid_done(unsigned type, uint16_t pcid, Gva va) override {
    recorder_.event(number_, EventKind::kInvpcid, va.value(), pcid, 0, type);
  }

 private:
  /// PAE paging reads the table that CR3 names at once, and a backend may track it from now on.
  void note_root() {
    if (cpu_.rules.mode != PagingMode::kOff) {
      recorder_.note_table(number_, root_of(cpu_.controls, cpu_.rules.mode));
    }
  }
  /// A record says no more of an access than whether it is the user's. AC does not count for
  /// implicit accesses (SDM vol. 3, 4.6.1): these are the supervisor's without it.
  void note_rights(Access access) {
    const bool ac = cpu_.controls.ac && access.by() != Privilege::kImplicit;
    const uint32_t pkru = cpu_.controls.pkru;
    if (ac == ac_ && pkru == pkru_) return;
    ac_ = ac;
    pkru_ = pkru;
    recorder_.event(number_, EventKind::kRights, 0, pkru, 0, ac ? 1 : 0);
  }
  /// Walks the guest's tables without a trace, and makes those that it reads known.
  Walk<Gpa> walk(Gva va, Access access) {
    const Access asks = access.with_probe(true);
    GuestTables tables(recorder_.p2m_, cpu_, asks, GuestTables::Count::kNo,
                       GuestTables::Lock::kHeld);
    const Walk<Gpa> w = walk_guest(tables, cpu_.controls, cpu_.rules, va, asks);
    for (unsigned level = w.start_level; level >= w.level && level > 0; --level) {
      recorder_.note_table(number_, w.table[level]);
    }
    return w;
  }

  GuestRecorder& recorder_;
  unsigned number_;
  VcpuState& cpu_;
  // As the recording has them.
  bool ac_ = false;
  uint32_t pkru_ = 0;
};

std::unique_ptr<MemoryObserver> GuestRecorder::observe(unsigned number, VcpuState& cpu) {
  return std::make_unique<Processor>(*this, number, cpu);
}

void GuestRecorder::event(unsigned cpu, EventKind kind, uint64_t address, uint64_t value,
                          uint64_t extra, uint32_t flags, uint64_t length) {
  TraceEvent e;
  e.kind = kind;
  e.address = address;
  e.value = value;
  e.extra = extra;
  e.flags = flags;
  e.length = length;
  log_.event(cpu, std::move(e));
}

void GuestRecorder::note_table(unsigned cpu, Gpa table) {
  if (!tables_.insert(table.frame()).second) return;
  const P2mEntry frame = p2m_.lookup(table);
  if (!frame.is_ram()) return;
  const uint8_t* bytes = p2m_.host().at<uint8_t>(frame.frame());
  for (unsigned at = 0; at < kPageBytes; at += kWord) {
    // Zeros, too: what the replay has there is what loaded() wrote, or data that it made up.
    event(cpu, EventKind::kContents, table.page_base().value() + at, load_bytes(bytes + at, kWord));
  }
}

void GuestRecorder::start(uint64_t memory_bytes, const std::vector<MemoryRange>& devices) {
  event(0, EventKind::kGuest, 0, 0, 0, 0, memory_bytes);
  for (const MemoryRange& r : devices) event(0, EventKind::kDevices, r.base, 0, 0, 0, r.bytes);
}

void GuestRecorder::loaded(uint64_t memory_bytes) {
  // Frames that the loader filled have memory of the host's behind them from the start.
  for (uint64_t at = 0; at < memory_bytes; at += kPageBytes) {
    const P2mEntry frame = p2m_.lookup(Gpa(at));
    if (!frame.is_ram()) continue;
    event(0, EventKind::kContents, at, load_bytes(p2m_.host().at<uint8_t>(frame.frame()), kWord));
  }
}

}  // namespace gnomon::vmm
