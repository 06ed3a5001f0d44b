// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "traces/replay/machine_impl.h"
#include "traces/replay/mixed.h"

namespace gnomon {
namespace {

constexpr uint64_t kFrameBytes = bytes_of(PageSize::k4K);
constexpr uint64_t kWordBytes = sizeof(uint64_t);

}  // namespace

Counters Machine::cpu_counters(const MachineCpu& cpu) const {
  Counters c = cpu.vcpu().state().counters;
  if (!backend_shares_.empty()) c += backend_shares_[cpu.id()];
  c[Counter::kTableBytes] = mmu_->table_bytes();
  return c;
}

Counters Machine::totals() const {
  Counters sum = mmu_->counters();
  for (const auto& cpu : cpus_) sum += cpu->vcpu().state().counters;
  sum[Counter::kFramesBacked] += memory_->frames_backed();
  sum[Counter::kTableBytes] = mmu_->table_bytes();
  sum[Counter::kTableBytesPeak] = std::max(sum[Counter::kTableBytesPeak], mmu_->table_bytes());
  return sum;
}

CacheStats Machine::cache_totals() const {
  CacheStats sum;
  for (const auto& cpu : cpus_) {
    if (cpu->caches() != nullptr) add(sum, cpu->caches()->stats);
  }
  return sum;
}

void Machine::measure(bool on) {
  if (on == measuring_) return;
  if (on) {
    counters_before_ = totals();
    caches_before_ = cache_totals();
    if (kernel_ != nullptr) guest_before_ = kernel_->stats();
    backend_seen_ = mmu_->counters();
    for (const auto& cpu : cpus_) {
      if (probes_.empty()) break;
      probes_[cpu->id()].start(cpu_counters(*cpu),
                               cpu->caches() != nullptr ? &cpu->caches()->stats : nullptr);
    }
  } else {
    // What has happened since a processor's last access: a timer interrupt, another one's shootdown.
    for (const auto& cpu : cpus_) {
      if (!probes_.empty()) probe(*cpu, Gva(0));
    }
    counted_ = counters();
    guest_counted_ = guest_stats();
    caches_counted_ = cache_stats();
  }
  measuring_ = on;
}

Counters Machine::counters() const {
  const Counters now = totals();
  Counters result = counted_;
  if (measuring_) result += difference(now, counters_before_);
  for (const Counter level : {Counter::kTableBytes, Counter::kTableBytesPeak}) result[level] = now[level];
  return result;
}

GuestStats Machine::guest_stats() const {
  GuestStats result = guest_counted_;
  if (kernel_ == nullptr) return result;
  const GuestStats& now = kernel_->stats();
  for (const GuestStatInfo& row : guest_stat_table()) {
    if (row.level) {
      result[row.id] = now[row.id];
    } else if (measuring_) {
      result[row.id] += now[row.id] - guest_before_[row.id];
    }
  }
  return result;
}

CacheStats Machine::cache_stats() const {
  CacheStats result = caches_counted_;
  if (measuring_) add(result, difference(cache_totals(), caches_before_));
  return result;
}

std::vector<uint64_t> Machine::memory_digests() {
  const uint64_t frames =
      kernel_ != nullptr ? kernel_->frames_end() : options_.guest.memory_bytes / kFrameBytes;
  std::vector<uint64_t> digests;
  const auto digest_of = [](auto word_at) {
    uint64_t digest = 0;
    for (uint64_t offset = 0; offset < kFrameBytes; offset += kWordBytes) {
      digest = mixed(digest * 0x9e3779b97f4a7c15 + word_at(offset) + 1);
    }
    return digest;
  };
  const uint64_t zeros = digest_of([](uint64_t) { return uint64_t{0}; });
  for (uint64_t frame = 0; frame < frames; ++frame) {
    // A page that the host never backed reads as zeros; asking for it would back it.
    const Gpa page = Gpa::from_frame(frame);
    if (!p2m_->lookup(page).is_ram()) continue;
    const uint64_t digest = digest_of(
        [&](uint64_t offset) { return memory_->word(page.with_offset(PageSize::k4K, offset)); });
    if (digest == zeros) continue;
    // Nothing is kept for the zeros at the end: a whole guest's trace may claim any amount of memory.
    digests.resize(frame, zeros);
    digests.push_back(digest);
  }
  digests.push_back(loads_digest_);
  return digests;
}

}  // namespace gnomon
