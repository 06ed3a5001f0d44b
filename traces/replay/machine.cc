// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "traces/replay/feed.h"
#include "traces/replay/machine_impl.h"

namespace gnomon {
namespace {

constexpr uint64_t kFrameBytes = bytes_of(PageSize::k4K);

/// Host memory for a guest of `guest_bytes`: the guest, tables for it that may be many times what a
/// dense guest needs, and room for 1G pages to be aligned. Only what is used is ever taken.
uint64_t host_bytes_for(uint64_t guest_bytes) {
  return guest_bytes + guest_bytes / 2 + (3ull << 30);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ReplayMachine>> ReplayMachine::create(const MachineOptions& options) {
  auto machine = std::make_unique<Machine>(options);
  if (absl::Status s = machine->build(); !s.ok()) return s;
  return machine;
}

absl::Status Machine::build() {
  if (options_.vcpus == 0 || options_.vcpus > MachineOptions::kMaxVcpus) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%d processors; a machine has 1 to %d", options_.vcpus, MachineOptions::kMaxVcpus));
  }
  const uint64_t bytes = options_.guest.memory_bytes & ~(kFrameBytes - 1);
  absl::StatusOr<std::unique_ptr<HostMemory>> host = HostMemory::create(host_bytes_for(bytes));
  if (!host.ok()) return host.status();
  host_ = *std::move(host);
  p2m_ = std::make_unique<P2m>(*host_);
  SlotOptions slot;
  slot.backing = options_.host_page;
  if (absl::Status s = p2m_->add_slot(Gpa(0), bytes, slot); !s.ok()) return s;
  absl::StatusOr<std::unique_ptr<Backend>> mmu = create_backend(options_.backend, *p2m_);
  if (!mmu.ok()) return mmu.status();
  mmu_ = *std::move(mmu);
  if (options_.guest_trace != nullptr) log_ = std::make_unique<GuestLog>(*options_.guest_trace);
  memory_ = std::make_unique<MachineMemory>(*mmu_, options_.move_data, log_.get(),
                                            options_.vcpus);

  const absl::StatusOr<TlbPreset> preset = find_tlb_preset(options_.tlb);
  if (!preset.ok()) return preset.status();
  const absl::StatusOr<CachePreset> caches = find_cache_preset(options_.caches);
  if (!caches.ok()) return caches.status();
  std::vector<GuestCpu*> guest_cpus;
  for (unsigned id = 0; id < options_.vcpus; ++id) {
    absl::StatusOr<VcpuParts> parts = VcpuParts::from(*preset, id);
    if (!parts.ok()) return parts.status();
    cpus_.push_back(std::make_unique<MachineCpu>(
        *memory_, *p2m_, *std::move(parts),
        models_caches() ? std::make_unique<CacheHierarchy>(caches->config) : nullptr));
    guest_cpus.push_back(cpus_.back().get());
    if (options_.timeline != nullptr) {
      probes_.emplace_back(*options_.timeline, *options_.timeline_prices, id);
      backend_shares_.emplace_back();
    }
  }
  if (models_caches()) features_ |= kWithCaches;
  if (options_.move_data || !probes_.empty() || log_ != nullptr || options_.whole_guest) {
    features_ |= kWithExtras;
  }
  if (log_ != nullptr) {
    TraceEvent guest;
    guest.kind = EventKind::kGuest;
    guest.length = bytes;
    log_->event(0, std::move(guest));
  }
  if (options_.whole_guest) return absl::OkStatus();
  GuestOptions guest = options_.guest;
  guest.memory_bytes = bytes;
  absl::StatusOr<std::unique_ptr<GuestKernel>> kernel = GuestKernel::boot(guest_cpus, guest);
  if (!kernel.ok()) {
    return absl::Status(kernel.status().code(), absl::StrCat(spec(), ": ", kernel.status().message()));
  }
  kernel_ = *std::move(kernel);
  return absl::OkStatus();
}

unsigned Machine::processor_of(uint32_t group) const {
  const Stream& stream = streams_[group];
  return (group + stream.process + stream.thread) % options_.vcpus;
}

/// Puts the stream's current process on its processor.
absl::Status Machine::schedule(uint32_t group, MachineCpu*& cpu) {
  const unsigned at = processor_of(group);
  cpu = cpus_[at].get();
  if (kernel_ == nullptr) return absl::OkStatus();
  return kernel_->run(at, {group, streams_[group].process});
}

absl::Status Machine::run_all(uint32_t group, absl::Span<const TraceRecord> records,
                              absl::Span<const TraceEvent> events, bool references) {
  report_ = RunReport();
  if (group >= streams_.size()) streams_.resize(group + 1);
  // The process runs once something is left for it to do: one that has ended is not to start anew because
  // its trace was cut there.
  MachineCpu* cpu = nullptr;
  const auto is_event = [](const TraceRecord& r) { return r.kind == RecordKind::kEvent; };
  for (auto at = records.begin(); at != records.end();) {
    // With references left out, what is not an event is passed over in the same way.
    const auto next = std::find_if(at, records.end(), is_event);
    if (references && next != at) {
      const absl::Span<const TraceRecord> span(&*at, static_cast<size_t>(next - at));
      if (cpu == nullptr) {
        report_.ended_at = &*at;
        if (absl::Status s = schedule(group, cpu); !s.ok()) return s;
      }
      if (absl::Status s = run_references(*cpu, span); !s.ok()) return s;
    }
    at = next;
    if (at == records.end()) break;
    const TraceEvent& event = events[at->address.value()];
    absl::Status s = handle(group, event, cpu);
    report_.ended_at = &*at;
    if (!s.ok() && !passed_over(*at, s)) {
      return absl::IsInternal(s) ? absl::InternalError(absl::StrCat(spec(), ": ", s.message())) : s;
    }
    ++at;
  }
  report_.ended_at = nullptr;
  if (log_ != nullptr) return log_->flush();
  return absl::OkStatus();
}

/// Counts a record that cannot be. False: it ends the run.
bool Machine::passed_over(const TraceRecord& record, const absl::Status& status) {
  if (!absl::IsInvalidArgument(status)) return false;
  if (report_.rejected++ == 0) {
    report_.first_rejected = &record;
    report_.reason = std::string(status.message());
  }
  const OpCounts ops = count_ops({&record, 1});
  for (size_t i = 0; i < ops.size(); ++i) report_.rejected_references[i] += ops[i];
  return options_.lenient;
}

absl::Status Machine::handle(uint32_t group, const TraceEvent& event, MachineCpu*& cpu) {
  switch (event.kind) {
    case EventKind::kSwitch:
      if (kernel_ == nullptr && (event.process != 0 || event.thread >= options_.vcpus)) {
        return absl::FailedPreconditionError(absl::StrFormat(
            "switch: the guest has a processor %d, and the machine %d: more with --vcpus", event.thread,
            options_.vcpus));
      }
      streams_[group] = {event.process, event.thread};
      return schedule(group, cpu);
    case EventKind::kMark:
      if (log_ != nullptr) log_->event(processor_of(group), event);
      return absl::OkStatus();
    default: break;
  }
  // A fork, exec or exit says who does it, which need not be who runs: a process may be told of late.
  Stream& stream = streams_[group];
  const Stream running = stream;
  const EventFields fields = info(event.kind).fields;
  const bool other = kernel_ != nullptr && (fields & kFieldProcess) != 0 &&
                     event.kind != EventKind::kThread && event.process != running.process;
  if (other) stream = {event.process, (fields & kFieldThread) != 0 ? event.thread : 0};
  if (cpu == nullptr || other) {
    if (absl::Status s = schedule(group, cpu); !s.ok()) return s;
  }
  if (kernel_ == nullptr) return guest_event(*cpu, event);
  absl::Status s = kernel_->handle(cpu->id(), event);
  if (!probes_.empty()) probe(*cpu, Gva(event.address));
  if (other) {
    stream = running;
    cpu = nullptr;  // who ran does so again when something is left for it to do
  }
  return s;
}

}  // namespace gnomon
