// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/memory/bytes.h"
#include "gnomon/tlb/presets.h"
#include "vmm/machine/machine_impl.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kLowRamEnd = uint64_t{3} << 30;
constexpr uint64_t kHighRam = uint64_t{4} << 30;

/// Room for the tables of a backend besides guest memory.
uint64_t host_bytes(uint64_t guest_bytes) {
  return guest_bytes + std::max<uint64_t>(64u << 20, guest_bytes / 8);
}

absl::Status check(const MachineOptions& o) {
  const uint64_t memory = o.board.memory_bytes;
  if (memory < (1u << 20) || memory > (uint64_t{32} << 30) || memory % (2u << 20) != 0) {
    return absl::InvalidArgumentError("guest memory must be 2M to 32G, in steps of 2M");
  }
  if (o.ns_per_instruction < 1 || o.ns_per_instruction > 1000) {
    return absl::InvalidArgumentError("nanoseconds of an instruction: not between 1 and 1000");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Machine>> Machine::create(const MachineOptions& options) {
  if (absl::Status s = check(options); !s.ok()) return s;
  auto machine = std::make_unique<MachineImpl>(options);
  if (absl::Status s = machine->build(); !s.ok()) return s;
  return machine;
}

MachineImpl::MachineImpl(const MachineOptions& options)
    : options_(options), ns_per_instruction_(options.ns_per_instruction) {}

MachineImpl::~MachineImpl() = default;

absl::Status MachineImpl::build() {
  const uint64_t bytes = options_.board.memory_bytes;
  auto host = HostMemory::create(host_bytes(bytes));
  if (!host.ok()) return host.status();
  host_ = *std::move(host);
  p2m_ = std::make_unique<P2m>(*host_);
  memory_ = std::make_unique<GuestMemory>(*p2m_);
  SlotOptions slot;
  slot.backing = options_.host_page;
  const uint64_t low = std::min(bytes, kLowRamEnd);
  if (absl::Status s = p2m_->add_slot(Gpa(0), low, slot); !s.ok()) return s;
  if (bytes > low) {
    if (absl::Status s = p2m_->add_slot(Gpa(kHighRam), bytes - low, slot); !s.ok()) return s;
  }
  auto board = create_board(options_.board, clock_, *this);
  if (!board.ok()) return board.status();
  board_ = *std::move(board);
  for (const MemoryRange& r : device_ranges()) {
    if (absl::Status s = p2m_->add_mmio(Gpa(r.base), r.bytes); !s.ok()) return s;
  }
  auto backend = create_backend(options_.backend, *p2m_);
  if (!backend.ok()) return backend.status();
  backend_ = *std::move(backend);

  if (options_.trace != nullptr) {
    if (absl::Status s = start_recording(); !s.ok()) return s;
  }
  for (unsigned i = 0; i < options_.board.cpus; ++i) {
    if (absl::Status s = add_processor(i); !s.ok()) return s;
  }
  if (absl::Status s = board_->place_tables(*memory_); !s.ok()) return s;
  auto guest = load_guest(options_.load, *board_, *memory_);
  if (!guest.ok()) return guest.status();
  guest_ = *std::move(guest);
  if (recorder_ != nullptr) recorder_->loaded(options_.board.memory_bytes);
  Processor& first = *processors_.front();
  const Controls& c = guest_.controls;
  if (!first.cpu->memory.write_cr3(c.cr3) ||
      !first.cpu->memory.write_controls(c.cr0, c.cr4, c.efer & ~efer::kLMA)) {
    return absl::InvalidArgumentError(absl::StrCat(
        options_.load.image, ": the processor cannot start in the mode that the image asks for"));
  }
  first.cpu->restore(guest_.cpu);
  return absl::OkStatus();
}

// Device memory in whole pages.
std::vector<MemoryRange> MachineImpl::device_ranges() {
  std::vector<MemoryRange> ranges;
  for (const IoBus::Region& r : board_->device_memory().regions()) {
    const uint64_t first = r.base & ~(kPageBytes - 1);
    const uint64_t end = (r.base + r.bytes + kPageBytes - 1) & ~(kPageBytes - 1);
    ranges.push_back({first, end - first, MemoryRange::Kind::kReserved});
  }
  return ranges;
}

absl::Status MachineImpl::add_processor(unsigned number) {
  VcpuParts parts;
  parts.id = number;
  parts.model = options_.cpu;
  const bool models_tlb = options_.tlb != "off";
  if (models_tlb) {
    const auto preset = find_tlb_preset(options_.tlb);
    if (!preset.ok()) return preset.status();
    auto made = VcpuParts::from(*preset, number, options_.cpu);
    if (!made.ok()) return made.status();
    parts = *std::move(made);
  }
  auto p = std::make_unique<Processor>();
  p->mmu = std::make_unique<Vcpu<Backend>>(*backend_, *p2m_, std::move(parts));
  if (options_.caches != "none") {
    const auto preset = find_cache_preset(options_.caches);
    if (!preset.ok()) return preset.status();
    p->caches = std::make_unique<CacheHierarchy>(preset->config);
    p->mmu->state().memory = p->caches.get();
  }
  DevicePort& devices = *this;
  p->cpu = std::make_unique<Cpu>(number, *p->mmu, *p2m_, devices, &code_);
  code_.attach(p->cpu->memory);
  p->cpu->memory.set_exact(models_tlb);
  p->interp = std::make_unique<Interp>(code_);
  if (recorder_ != nullptr) {
    p->observer = recorder_->observe(number, p->mmu->state());
    p->cpu->memory.set_observer(p->observer.get());
  }
  reset_processor(*p->cpu);
  p->cpu->state.waits_for_startup = number != 0;
  processors_.push_back(std::move(p));
  return absl::OkStatus();
}

absl::Status MachineImpl::start_recording() {
  if (options_.tlb == "off") return absl::InvalidArgumentError("a recording needs a TLB preset");
  if (options_.board.memory_bytes > kLowRamEnd) {
    return absl::InvalidArgumentError("a recording takes at most 3G of guest memory");
  }
  // The recorder reads the guest's tables as they are in memory.
  if (backend_->validates_tables()) {
    return absl::InvalidArgumentError(
        "a recording cannot be made under direct paging, whose tables hold host addresses; take "
        "another backend");
  }
  recorder_ = std::make_unique<GuestRecorder>(*options_.trace, *p2m_);
  recorder_->start(options_.board.memory_bytes, device_ranges());
  return absl::OkStatus();
}

absl::Status MachineImpl::finish_trace() {
  return recorder_ != nullptr ? recorder_->flush() : absl::OkStatus();
}

bool MachineImpl::read_memory(Gpa from, absl::Span<uint8_t> to) {
  for (size_t done = 0; done < to.size();) {
    const Gpa at(from.value() + done);
    const uint64_t left = kPageBytes - at.offset_in(PageSize::k4K);
    const auto n = static_cast<unsigned>(std::min<uint64_t>({to.size() - done, left, 8}));
    uint64_t value = 0;
    if (!p2m_->back(at).is_ram() ||
        !backend_->read_physical(processors_.front()->mmu->state(), at, n, value)) {
      return false;
    }
    store_bytes(to.data() + done, value, n);
    done += n;
  }
  return true;
}

bool MachineImpl::write_memory(Gpa to, absl::Span<const uint8_t> from) {
  for (size_t done = 0; done < from.size();) {
    const Gpa at(to.value() + done);
    const uint64_t left = kPageBytes - at.offset_in(PageSize::k4K);
    const auto n = static_cast<unsigned>(std::min<uint64_t>({from.size() - done, left, 8}));
    const P2mEntry frame = p2m_->back(at);
    if (!frame.is_ram() || frame.rom()) return false;
    code_.code_written(host_->at<uint8_t>(frame.frame()) + at.offset_in(PageSize::k4K), n);
    if (backend_->write_physical(processors_.front()->mmu->state(), at,
                                 load_bytes(from.data() + done, n), n) != StoreResult::kDone) {
      return false;
    }
    done += n;
  }
  return true;
}

Translation MachineImpl::translate(unsigned cpu, Gva va) {
  return processors_[cpu]->mmu->access(va, {AccessOp::kRead, Privilege::kImplicit, /*probe=*/true});
}

void MachineImpl::set_breakpoint(uint64_t linear, bool on) {
  for (auto& p : processors_) p->interp->set_breakpoint(linear, on);
}

uint64_t MachineImpl::memory_hash() {
  uint64_t sum = 0;
  std::array<uint64_t, kPageBytes / 8> words;
  for (const MemoryRange& r :
       {MemoryRange{0, std::min(options_.board.memory_bytes, kLowRamEnd)},
        MemoryRange{kHighRam, options_.board.memory_bytes -
                                  std::min(options_.board.memory_bytes, kLowRamEnd)}}) {
    for (uint64_t at = r.base; at < r.base + r.bytes; at += kPageBytes) {
      if (!p2m_->lookup(Gpa(at)).is_ram()) continue;
      if (!read_memory(Gpa(at),
                       absl::MakeSpan(reinterpret_cast<uint8_t*>(words.data()), kPageBytes))) {
        continue;
      }
      // A page of zeros counts nothing: whether it was ever touched is not the guest's to see.
      uint64_t h = 0;
      for (const uint64_t w : words) h = (h ^ w) * 0x9e3779b97f4a7c15 ^ h >> 29;
      if (h != 0) sum += (h ^ at) * 0xff51afd7ed558ccd;
    }
  }
  return sum;
}

std::array<uint64_t, 3> MachineImpl::references() const {
  std::array<uint64_t, 3> sum{};
  for (const auto& p : processors_) {
    for (size_t op = 0; op < sum.size(); ++op) sum[op] += p->cpu->memory.references[op];
  }
  return sum;
}

CacheStats MachineImpl::cache_stats() const {
  CacheStats all;
  const auto add = [](auto& to, const auto& from) {
    for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  };
  for (const auto& p : processors_) {
    if (p->caches == nullptr) continue;
    const CacheStats& s = p->caches->stats;
    add(all.guest, s.guest);
    add(all.host, s.host);
    add(all.shadow, s.shadow);
    add(all.data, s.data);
  }
  return all;
}

Counters MachineImpl::counters() const {
  Counters all = backend_->counters();
  for (const auto& p : processors_) all += p->mmu->state().counters;
  all[Counter::kTableBytes] = backend_->table_bytes();
  return all;
}

}  // namespace gnomon::vmm
