// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_format.h"
#include "gnomon/x86/controls.h"
#include "traces/guest/kernel_impl.h"

namespace gnomon {
namespace guest {
namespace {

constexpr uint64_t kMostMemory = uint64_t{4} << 40;
/// Linux: MAX_RW_COUNT, the most that one system call reads or writes.
constexpr uint64_t kMostInOneCall = (uint64_t{1} << 31) - kFrameBytes;
constexpr size_t kMostProcessors = 64;

}  // namespace

Kernel::Kernel(absl::Span<GuestCpu* const> cpus, const GuestOptions& options)
    : options_(options),
      frames_(options_),
      tables_(frames_, stats_),
      kernel_map_(frames_, tables_, options_.kernel_large),
      processors_(cpus, tables_, stats_, options.pcid),
      object_use_([this](uint64_t object, int change) { object_used(object, change); }) {}

absl::Status Kernel::boot() {
  if (!frames_.complete()) {
    return absl::ResourceExhaustedError("no memory for the bookkeeping of the guest's frames");
  }
  GuestCpu& first = *processors_[0].cpu;
  const absl::Status too_small = absl::ResourceExhaustedError(absl::StrFormat(
      "the guest's kernel does not fit into %d bytes of guest memory", options_.memory_bytes));
  const std::optional<Gpa> root = tables_.new_kernel_table(first);
  if (!root) return too_small;
  if (options_.kernel_entries && !kernel_map_.build(first, *root)) return too_small;
  const std::optional<uint64_t> zero = cleared_page(first);
  if (!zero) return too_small;
  zero_frame_ = *zero;
  processors_.use_kernel_root(*root);

  const uint64_t cr0 = cr0::kPE | cr0::kWP | cr0::kPG;
  const uint64_t cr4 = cr4::kPAE | cr4::kPSE | cr4::kPGE;
  const uint64_t efer = efer::kLME | efer::kNXE;
  for (unsigned id = 0; id < processors_.size(); ++id) {
    GuestCpu& cpu = *processors_[id].cpu;
    // PCIDs can be enabled only in long mode.
    const bool entered =
        cpu.load_cr3(root->value()) && cpu.load_controls(cr0, cr4, efer) &&
        (!options_.pcid || cpu.load_controls(cr0, cr4 | cr4::kPCIDE, efer | efer::kLMA));
    if (!entered) return absl::InternalError("the processor does not enter long mode");
  }
  if (options_.kernel_entries) tables_.use_kernel_map(&kernel_map_);
  return tables_.failure();
}

const GuestStats& Kernel::stats() const {
  stats_[GuestStat::kProcesses] = processes_.size();
  stats_[GuestStat::kFramesInUse] = frames_.in_use();
  stats_[GuestStat::kFramesPeak] = frames_.peak();
  return stats_;
}

absl::Status Kernel::out_of_memory() const {
  return absl::ResourceExhaustedError(absl::StrFormat(
      "guest memory is full: %d of %d frames are in use", frames_.in_use(), frames_.total()));
}

void Kernel::enter(Processor& p, EntryCause cause, uint64_t detail) {
  if (!options_.kernel_entries) return;
  const uint64_t task = p.process ? p.process->group * uint64_t{31} + p.process->process : 0;
  enter_kernel(*p.cpu, tables_, cause, task, detail);
}

/// The address space of the process that runs there; loads it if another processor took it away
/// (exit, exec).
absl::StatusOr<Mm*> Kernel::current(unsigned cpu) {
  if (cpu >= processors_.size() || !processors_[cpu].process) {
    return absl::InvalidArgumentError(absl::StrFormat("no process runs on processor %d", cpu));
  }
  if (!tables_.failure().ok()) return tables_.failure();
  Processor& p = processors_[cpu];
  if (p.loaded == nullptr) {
    if (absl::Status s = run(cpu, *p.process); !s.ok()) return s;
  }
  return p.loaded;
}

absl::Status Kernel::handle(unsigned cpu, const TraceEvent& event) {
  const absl::StatusOr<Mm*> mm = current(cpu);
  if (!mm.ok()) return mm.status();
  absl::Status s = do_event(processors_[cpu], **mm, event);
  if (s.ok()) return tables_.failure();
  return absl::Status(s.code(), absl::StrCat(info(event.kind).name, ": ", s.message()));
}

absl::Status Kernel::do_event(Processor& p, Mm& mm, const TraceEvent& event) {
  const auto with_range = [&](auto&& act) -> absl::Status {
    const absl::StatusOr<Range> range = range_of(event.address, event.length);
    if (!range.ok()) return range.status();
    return act(*range);
  };
  switch (event.kind) {
    case EventKind::kThread: return absl::OkStatus();
    case EventKind::kFork: return fork(p, mm, event.value);
    case EventKind::kExec: return exec(p, mm);
    case EventKind::kExit: return (event.flags & 1) != 0 ? exit(p, mm) : absl::OkStatus();
    case EventKind::kMap: return map(p, mm, event);
    case EventKind::kUnmap:
      if (event.length == 0) return absl::InvalidArgumentError("the length is 0");
      return with_range([&](Range r) { return unmap(p, mm, r); });
    case EventKind::kProtect:
      return with_range([&](Range r) { return protect(p, mm, r, event.flags); });
    case EventKind::kBreak: return set_break(p, mm, event);
    case EventKind::kRemap: return remap(p, mm, event);
    case EventKind::kAdvise: return advise(p, mm, event);
    case EventKind::kSyscall:
      ++stats_[GuestStat::kSyscalls];
      enter(p, EntryCause::kSyscall, event.value);
      return absl::OkStatus();
    case EventKind::kKernelRead:
    case EventKind::kKernelWrite: return kernel_access(p, mm, event);
    default: return absl::InvalidArgumentError("not an event of a process");
  }
}

/// The kernel reads or writes memory of the process: as far as there are mappings, and not more
/// than one system call moves.
absl::Status Kernel::kernel_access(Processor& p, Mm& mm, const TraceEvent& event) {
  const uint64_t start = event.address;
  if (start >= kUserEnd || event.length > kUserEnd - start) {
    return absl::InvalidArgumentError(
        absl::StrFormat("0x%x bytes at 0x%x do not lie in the user half of the address space",
                        event.length, start));
  }
  const uint64_t end = start + std::min(event.length, kMostInOneCall);
  const AccessOp op = event.kind == EventKind::kKernelWrite ? AccessOp::kWrite : AccessOp::kRead;
  for (uint64_t va = start; va < end; va = (va / kFrameBytes + 1) * kFrameBytes) {
    if (va != start && mm.vmas.find(va) == nullptr) break;
    for (;;) {
      ++stats_[GuestStat::kKernelAccesses];
      const Translation t = p.cpu->access(Gva(va), {op, Privilege::kSupervisor});
      if (t.ok()) break;
      if (t.outcome != Outcome::kGuestFault) {
        tables_.fail(absl::StrFormat("access to user memory at 0x%x: %s", va, to_string(t)));
        return tables_.failure();
      }
      enter(p, EntryCause::kFault);
      absl::Status s = resolve(p, mm, va, op);
      // It did happen, so the mapping did permit it.
      if (absl::IsPermissionDenied(s)) s = grant_in(p, mm, va, op);
      if (!s.ok()) return s;
      if (!tables_.failure().ok()) return tables_.failure();
    }
  }
  return absl::OkStatus();
}

void Kernel::interrupt(unsigned cpu) {
  if (cpu >= processors_.size()) return;
  ++stats_[GuestStat::kInterrupts];
  enter(processors_[cpu], EntryCause::kInterrupt);
}

}  // namespace guest

absl::StatusOr<std::unique_ptr<GuestKernel>> GuestKernel::boot(absl::Span<GuestCpu* const> cpus,
                                                               const GuestOptions& options) {
  if (cpus.empty() || cpus.size() > guest::kMostProcessors) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%d processors; the guest's kernel runs on 1 to %d", cpus.size(), guest::kMostProcessors));
  }
  if (options.memory_bytes > guest::kMostMemory) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%d bytes of guest memory; at most 4T", options.memory_bytes));
  }
  auto kernel = std::make_unique<guest::Kernel>(cpus, options);
  if (absl::Status s = kernel->boot(); !s.ok()) return s;
  return kernel;
}

}  // namespace gnomon
