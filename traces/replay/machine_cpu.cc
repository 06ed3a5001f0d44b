// SPDX-License-Identifier: Apache-2.0
#include "traces/replay/machine_cpu.h"

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
  memory_.tables.insert(at.frame());
  return store(at, entry);
}

bool MachineCpu::store(Gpa at, uint64_t value) {
  log(EventKind::kTableWrite, at.value(), value, 0, kWord);
  return memory_.mmu.write_physical(vcpu_.state(), at, value, kWord) == StoreResult::kDone;
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
    memory_.log->access(id_, va, how.op, kWord, !how.user());
  }
  const Translation t = vcpu_.access(va, how);
  if (caches_ != nullptr && t.ok()) caches_->data(t.hpa);
  return t;
}

/// Whether a backend may track the page as a table; from here on it is none. A store to such a page is a
/// guest's store to a table, so it is made by this processor and counted, whether data is moved or not.
bool MachineCpu::forget_table(Gpa page) { return memory_.tables.erase(page.frame()) != 0; }

void MachineCpu::copy_page(Gpa from, Gpa to) {
  const bool tracked = forget_table(to);
  if (!tracked && !memory_.move_data) return memory_.set_word(to, 0);
  for (uint64_t offset = 0; offset < kPage; offset += kWord) {
    const uint64_t word = memory_.move_data ? memory_.word(word_of(from, offset)) : 0;
    if (tracked) {
      store(word_of(to, offset), word);
    } else {
      memory_.set_word(word_of(to, offset), word);
    }
  }
}

void MachineCpu::clear_page(Gpa page) {
  const bool tracked = forget_table(page);
  if (!tracked && !memory_.move_data) return memory_.set_word(page, 0);
  for (uint64_t offset = 0; offset < kPage; offset += kWord) {
    if (tracked) {
      store(word_of(page, offset), 0);
    } else {
      memory_.set_word(word_of(page, offset), 0);
    }
  }
}

uint64_t MachineMemory::word(Gpa at) {
  uint64_t value = 0;
  mmu.read_physical(side_, at, kWord, value);
  return value;
}

void MachineMemory::set_word(Gpa at, uint64_t value) { mmu.write_physical(side_, at, value, kWord); }

}  // namespace gnomon
