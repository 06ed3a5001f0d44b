// SPDX-License-Identifier: Apache-2.0
#include "traces/replay/machine_cpu.h"

#include <algorithm>

#include "traces/replay/steps.h"

namespace gnomon {
namespace {

constexpr unsigned kWord = 8;
constexpr uint64_t kPage = bytes_of(PageSize::k4K);

Gpa word_of(Gpa page, uint64_t offset) { return page.with_offset(PageSize::k4K, offset); }

}  // namespace

void MachineCpu::log(EventKind kind, uint64_t address, uint64_t value, uint64_t extra, uint32_t flags) {
  if (memory_.log == nullptr) [[likely]] return;
  TraceEvent event;
  event.kind = kind;
  event.address = address;
  event.value = value;
  event.extra = extra;
  event.flags = flags;
  memory_.log->event(id_, std::move(event));
}

bool MachineCpu::load_entry(Gpa at, uint64_t& entry) {
  log(EventKind::kTableRead, at.value(), 0, 0, kWord);
  return memory_.mmu.read_physical(vcpu_.state(), at, kWord, entry);
}

bool MachineCpu::store_entry(Gpa at, uint64_t entry) {
  log(EventKind::kTableWrite, at.value(), entry, 0, kWord);
  return store_to_table(at, entry, kWord) == StoreResult::kDone;
}

StoreResult MachineCpu::store_to_table(Gpa at, uint64_t value, unsigned size) {
  memory_.tables.insert(at.frame());
  return memory_.mmu.write_physical(vcpu_.state(), at, value, size);
}

void MachineCpu::store_value(Gva va, uint64_t value, unsigned size, bool user) {
  const Translation t =
      vcpu_.access(va, {AccessOp::kWrite, user ? Privilege::kUser : Privilege::kSupervisor});
  if (!t.ok() || size == 0) return;
  if (caches_ != nullptr) caches_->data(t.hpa);
  if (t.trapped) {
    memory_.mmu.write_physical(vcpu_.state(), t.gpa, value, size);
  } else {
    store_bytes(p2m_.host().at<uint8_t>(t.hpa), value, size);
  }
}

bool MachineCpu::load_cr3(uint64_t value) {
  log(EventKind::kCr3, 0, value);
  return vcpu_.write_cr3(value);
}

bool MachineCpu::load_controls(uint64_t cr0, uint64_t cr4, uint64_t efer) {
  log(EventKind::kControls, efer, cr0, cr4);
  return vcpu_.write_controls(cr0, cr4, efer);
}

void MachineCpu::invlpg(Gva va) {
  log(EventKind::kInvlpg, va.value());
  vcpu_.invlpg(va);
}

bool MachineCpu::invpcid(InvpcidType type, uint16_t pcid, Gva va) {
  log(EventKind::kInvpcid, va.value(), pcid, 0, static_cast<uint32_t>(type));
  return vcpu_.invpcid(type, pcid, va);
}

Translation MachineCpu::access(Gva va, Access how) {
  if (memory_.log != nullptr) {
    memory_.log->access(id_, va, how.op(), kWord, !how.user());
  }
  const Translation t = vcpu_.access(va, how);
  if (!t.ok()) return t;
  if (caches_ != nullptr) caches_->data(t.hpa);
  if (t.trapped && how.write()) [[unlikely]] store_same(t.gpa, kWord);
  return t;
}

void MachineCpu::store_same(Gpa at, uint64_t bytes) {
  unsigned size = static_cast<unsigned>(std::clamp<uint64_t>(bytes, 1, kPage - at.offset_in(PageSize::k4K)));
  // A vector store, or what a recorder has put into one record, is one instruction, one exit and more than one entry,
  // which no kernel stores at once: KVM takes it for data, whatever the alignment. So does a backend that is shown
  // any eight bytes of it that lie in two entries.
  if (size > kWord) {
    size = kWord;
    if (at.value() % kWord == 0) at = Gpa(at.value() + 1);
  }
  memory_.mmu.write_physical(vcpu_.state(), at, memory_.bytes(at, size), size);
}

void MachineCpu::copy_page(Gpa from, Gpa to) {
  log(EventKind::kCopyPage, to.value(), from.value());
  fill_page(to, &from);
}

void MachineCpu::clear_page(Gpa page) {
  log(EventKind::kClearPage, page.value());
  fill_page(page, nullptr);
}

/// With what `from` holds, or zeros. A backend may still track what has been a table, from here on no longer: there
/// each store is the guest's own, made by this processor and counted, whether data is moved or not. Of others
/// the contents matter only if data is moved; otherwise one store says that the page is in use.
void MachineCpu::fill_page(Gpa page, const Gpa* from) {
  const bool tracked = memory_.tables.erase(page.frame()) != 0;
  if (!tracked && !memory_.move_data) return memory_.set_word(page, 0);
  for (uint64_t offset = 0; offset < kPage; offset += kWord) {
    const bool copied = from != nullptr && memory_.move_data;
    const uint64_t word = copied ? memory_.word(word_of(*from, offset)) : 0;
    if (tracked) {
      memory_.mmu.write_physical(vcpu_.state(), word_of(page, offset), word, kWord);
    } else {
      memory_.set_word(word_of(page, offset), word);
    }
  }
}

uint64_t MachineMemory::bytes(Gpa at, unsigned size) {
  uint64_t value = 0;
  mmu.read_physical(side_, at, size, value);
  return value;
}

uint64_t MachineMemory::word(Gpa at) { return bytes(at, kWord); }

void MachineMemory::set_word(Gpa at, uint64_t value) { mmu.write_physical(side_, at, value, kWord); }

void MachineCpu::foresee(absl::Span<const TraceRecord> coming) {
  Tlb* const tlb = vcpu_.tlb();
  if (!foresees_ || tlb == nullptr) return;
  std::array<Gva, Foresight::kMost> pages;
  size_t count = 0;
  for (const TraceRecord& r : coming) {
    if (tlb->expects_hit(r.address, kSteps[static_cast<size_t>(r.kind)].first)) continue;
    pages[count] = r.address;
    if (++count < pages.size()) continue;
    memory_.mmu.foresee(vcpu_.state(), foresight_, pages);
    count = 0;
  }
  memory_.mmu.foresee(vcpu_.state(), foresight_, absl::MakeConstSpan(pages.data(), count));
}

}  // namespace gnomon
