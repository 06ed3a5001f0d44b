// SPDX-License-Identifier: Apache-2.0
#include "gnomon/traces/replay_machine.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/x86/access.h"

namespace gnomon {
namespace {

constexpr uint64_t kFrameBytes = bytes_of(PageSize::k4K);
constexpr uint64_t kWordBytes = sizeof(uint64_t);

/// Host memory for a guest of `guest_bytes`: the guest, tables for it that may be many times what a
/// dense guest needs, and room for 1G pages to be aligned. Only what is used is ever taken.
uint64_t host_bytes_for(uint64_t guest_bytes) {
  return guest_bytes + guest_bytes / 2 + (3ull << 30);
}

/// The number that a store leaves in memory: different for each store.
uint64_t stored_value(const Reference& reference) {
  uint64_t z = reference.record * 0x9e3779b97f4a7c15 + reference.address.value();
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  return z ^ (z >> 27);
}

template <class Space>
Address<Space> word_at(Address<Space> a) {
  return Address<Space>(a.value() & ~(kWordBytes - 1));
}

}  // namespace

ReplayMachine::ReplayMachine(const ReplayOptions& options)
    : spec_(options.backend),
      processes_(std::max(options.processes, 1u)),
      slice_(std::max<uint64_t>(options.slice, 1)),
      move_data_(options.move_data) {}

ReplayMachine::~ReplayMachine() = default;

absl::StatusOr<std::unique_ptr<ReplayMachine>> ReplayMachine::create(const ReplayOptions& options) {
  std::unique_ptr<ReplayMachine> machine(new ReplayMachine(options));
  if (absl::Status s = machine->build(options); !s.ok()) return s;
  if (absl::Status s = machine->boot(); !s.ok()) return s;
  return machine;
}

absl::Status ReplayMachine::build(const ReplayOptions& options) {
  const uint64_t bytes = options.memory_bytes & ~(kFrameBytes - 1);
  absl::StatusOr<std::unique_ptr<HostMemory>> host = HostMemory::create(host_bytes_for(bytes));
  if (!host.ok()) return host.status();
  host_ = *std::move(host);
  p2m_ = std::make_unique<P2m>(*host_);
  SlotOptions slot;
  slot.backing = options.host_page;
  if (absl::Status s = p2m_->add_slot(Gpa(0), bytes, slot); !s.ok()) return s;
  absl::StatusOr<std::unique_ptr<Backend>> mmu = create_backend(options.backend, *p2m_);
  if (!mmu.ok()) return mmu.status();
  mmu_ = *std::move(mmu);
  absl::StatusOr<TlbPreset> preset = find_tlb_preset(options.tlb);
  if (!preset.ok()) return preset.status();
  absl::StatusOr<VcpuParts> parts = VcpuParts::from(*preset);
  if (!parts.ok()) return parts.status();
  cpu_ = std::make_unique<Vcpu<Backend>>(*mmu_, *p2m_, *std::move(parts));
  kernel_ = std::make_unique<GuestKernel>(*mmu_, cpu_->state(), bytes);
  return absl::OkStatus();
}

/// What the guest's boot code does: an address space for each process, then long mode and paging.
absl::Status ReplayMachine::boot() {
  for (unsigned i = 0; i < processes_; ++i) {
    Gpa root;
    if (const auto made = kernel_->new_address_space(root); made != GuestKernel::Result::kDone) {
      return absl::ResourceExhaustedError(
          absl::StrFormat("address space %d: %s", i, name_of(made)));
    }
    roots_.push_back(root);
  }
  if (!cpu_->write_cr3(roots_[0].value()) ||
      !cpu_->write_controls(cr0::kPE | cr0::kWP | cr0::kPG, cr4::kPAE, efer::kLME | efer::kNXE)) {
    return absl::InternalError(absl::StrCat(spec_, ": the vCPU refused to enter long mode"));
  }
  start_measuring();
  return absl::OkStatus();
}

absl::Status ReplayMachine::run(absl::Span<const Reference> references) {
  if (processes_ == 1) return run_slice(references);
  for (size_t at = 0; at < references.size(); at += slice_) {
    const absl::Span<const Reference> slice = references.subspan(at, slice_);
    for (unsigned process = 0; process < processes_; ++process) {
      if (process != current_) {
        cpu_->write_cr3(roots_[process].value());
        current_ = process;
      }
      if (absl::Status s = run_slice(slice); !s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

absl::Status ReplayMachine::run_slice(absl::Span<const Reference> references) {
  return move_data_ ? run_references<true>(references) : run_references<false>(references);
}

template <bool kMoveData>
absl::Status ReplayMachine::run_references(absl::Span<const Reference> references) {
  for (const Reference& reference : references) {
    Translation t = cpu_->access(reference.address, {reference.op, Privilege::kUser});
    if (!t.ok()) [[unlikely]] {
      absl::StatusOr<Translation> resolved = fault(reference, t);
      if (!resolved.ok()) return resolved.status();
      t = *resolved;
    }
    if constexpr (kMoveData) move_data(reference, t);
  }
  return absl::OkStatus();
}

/// The guest takes the fault and tries again. It ends: the handler either adds to the tables or
/// says that nothing is missing.
absl::StatusOr<Translation> ReplayMachine::fault(const Reference& reference, Translation t) {
  while (!t.ok()) {
    if (t.outcome != Outcome::kGuestFault) return stuck(reference, to_string(t));
    const auto result = kernel_->handle_fault(roots_[current_], reference.address, reference.op);
    if (result != GuestKernel::Result::kDone) {
      if (result != GuestKernel::Result::kOutOfMemory) {
        return stuck(reference, absl::StrCat(name_of(result), ": ", to_string(t)));
      }
      return absl::ResourceExhaustedError(
          absl::StrFormat("%s: record %d (%s): %s", spec_, reference.record,
                          to_string(reference.address), name_of(result)));
    }
    t = cpu_->access(reference.address, {reference.op, Privilege::kUser});
  }
  return t;
}

absl::Status ReplayMachine::stuck(const Reference& reference, absl::string_view why) const {
  const std::string text = absl::StrFormat("%s: record %d (%s): %s", spec_, reference.record,
                                           to_string(reference.address), why);
  return host_->free_bytes() < kFrameBytes
             ? absl::ResourceExhaustedError(text + ": host memory is full")
             : absl::InternalError(text);
}

void ReplayMachine::move_data(const Reference& reference, const Translation& t) {
  if (reference.op == AccessOp::kWrite) {
    const uint64_t value = stored_value(reference);
    if (t.trapped) {
      mmu_->write_physical(cpu_->state(), word_at(t.gpa), value, kWordBytes);
    } else {
      *host_->at<uint64_t>(word_at(t.hpa)) = value;
    }
    return;
  }
  uint64_t value = 0;
  if (t.trapped) {
    mmu_->read_physical(cpu_->state(), word_at(t.gpa), kWordBytes, value);
  } else {
    value = *host_->at<uint64_t>(word_at(t.hpa));
  }
  data_checksum_ = (data_checksum_ ^ value) * 0x100000001b3;
}

Counters ReplayMachine::totals() const {
  Counters sum = cpu_->state().counters;
  sum += mmu_->counters();
  sum[Counter::kTableBytes] = mmu_->table_bytes();
  sum[Counter::kTableBytesPeak] = std::max(sum[Counter::kTableBytesPeak], mmu_->table_bytes());
  return sum;
}

void ReplayMachine::start_measuring() {
  counters_before_ = totals();
  guest_before_ = kernel_->stats();
}

Counters ReplayMachine::counters() const {
  Counters now = totals();
  for (const CounterInfo& row : counter_table()) {
    if (row.kind == CounterKind::kSum) now[row.id] -= counters_before_[row.id];
  }
  return now;
}

GuestStats ReplayMachine::guest_stats() const {
  GuestStats now = kernel_->stats();
  now.pages_mapped -= guest_before_.pages_mapped;
  now.rights_added -= guest_before_.rights_added;
  now.entry_stores -= guest_before_.entry_stores;
  now.clearing_stores -= guest_before_.clearing_stores;
  return now;
}

namespace {

// Reads not the bytes in host memory, but what the guest would read there; on a vCPU of its own, so that it is
// not counted.
class GuestReader {
 public:
  explicit GuestReader(const ReplayMachine& machine) : mmu_(machine.backend()), cpu_(1) {
    mmu_.attach(cpu_);
  }
  ~GuestReader() { mmu_.detach(cpu_); }
  GuestReader(const GuestReader&) = delete;
  GuestReader& operator=(const GuestReader&) = delete;

  uint64_t word(Gpa at) {
    uint64_t value = 0;
    mmu_.read_physical(cpu_, at, kWordBytes, value);
    return value;
  }

 private:
  Backend& mmu_;
  VcpuState cpu_;
};

}  // namespace

std::string compare_guests(const ReplayMachine& a, const ReplayMachine& b) {
  GuestReader reader_a(a);
  GuestReader reader_b(b);
  const uint64_t frames = std::max(a.guest_frames(), b.guest_frames());
  for (uint64_t at = 0; at < frames * kFrameBytes; at += kWordBytes) {
    const uint64_t word_a = reader_a.word(Gpa(at));
    const uint64_t word_b = reader_b.word(Gpa(at));
    if (word_a == word_b) continue;
    return absl::StrFormat("%s holds 0x%016x under %s and 0x%016x under %s", to_string(Gpa(at)), word_a,
                           a.spec(), word_b, b.spec());
  }
  if (a.data_checksum() != b.data_checksum()) {
    return absl::StrFormat("loads saw other data under %s than under %s", b.spec(), a.spec());
  }
  return {};
}

}  // namespace gnomon
