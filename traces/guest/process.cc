// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "absl/strings/str_format.h"
#include "traces/guest/kernel_impl.h"

namespace gnomon::guest {

absl::StatusOr<std::unique_ptr<Mm>> Kernel::new_mm(GuestCpu& cpu, ProcessKey key) {
  const std::optional<Gpa> root = tables_.new_table(cpu);
  if (!root) return out_of_memory();
  kernel_map_.copy_to(cpu, *root);
  return std::make_unique<Mm>(key, *root, ++contexts_, mappings_, object_use_);
}

absl::Status Kernel::run(unsigned cpu, ProcessKey process) {
  if (cpu >= processors_.size()) {
    return absl::InvalidArgumentError(absl::StrFormat("there is no processor %d", cpu));
  }
  if (!tables_.failure().ok()) return tables_.failure();
  Processor& p = processors_[cpu];
  if (p.loaded != nullptr && p.loaded->key == process) return absl::OkStatus();
  auto it = processes_.find(process);
  if (it == processes_.end()) {
    if (processes_.size() >= options_.max_processes) {
      return absl::ResourceExhaustedError(absl::StrFormat(
          "process %d: %d processes are alive already", process.process, processes_.size()));
    }
    absl::StatusOr<std::unique_ptr<Mm>> mm = new_mm(*p.cpu, process);
    if (!mm.ok()) return mm.status();
    it = processes_.emplace(process, *std::move(mm)).first;
  }
  if (p.process && !(*p.process == process)) {
    ++stats_[GuestStat::kContextSwitches];
    enter(p, EntryCause::kSwitch);
  }
  p.process = process;
  processors_.load(p, it->second.get());
  return tables_.failure();
}

/// As Linux: the new address space is loaded before the old one goes.
absl::Status Kernel::exec(Processor& p, Mm& mm) {
  absl::StatusOr<std::unique_ptr<Mm>> made = new_mm(*p.cpu, mm.key);
  if (!made.ok()) return made.status();
  ++stats_[GuestStat::kExecs];
  std::unique_ptr<Mm>& place = processes_[mm.key];
  const std::unique_ptr<Mm> old = std::exchange(place, *std::move(made));
  processors_.load(p, place.get());
  processors_.unload(p, *old);
  destroy(p, *old);
  return absl::OkStatus();
}

/// As Linux: the tables are taken apart while they are still loaded; the processor leaves them
/// last.
absl::Status Kernel::exit(Processor& p, Mm& mm) {
  ++stats_[GuestStat::kExits];
  destroy(p, mm);
  const ProcessKey key = mm.key;
  processes_.erase(key);
  return absl::OkStatus();
}

void Kernel::destroy(Processor& p, Mm& mm) {
  FlushRange flush;
  const Range all{0, kUserEnd};
  zap(*p.cpu, mm, all, flush, options_.clear_on_exit);
  mm.vmas.remove(all.start, all.end);
  free_tables(*p.cpu, mm, all, flush, options_.clear_on_exit);
  processors_.flush_all(p, mm);
  processors_.unload(p, mm);
  tables_.free_table(mm.root);
}

}  // namespace gnomon::guest
