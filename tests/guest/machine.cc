// SPDX-License-Identifier: Apache-2.0
#include "tests/guest/machine.h"

#include <gtest/gtest.h>

#include <utility>

#include "gnomon/tlb/presets.h"
#include "gnomon/x86/entry_bits.h"

namespace gnomon::guest_test {

TestCpu::TestCpu(Machine& machine, unsigned id)
    : id_(id),
      machine_(machine),
      vcpu_(std::make_unique<Vcpu<Backend>>(
          *machine.mmu, *machine.p2m,
          VcpuParts::from(find_tlb_preset(machine.tlb).value(), id).value())) {}

bool TestCpu::load_entry(Gpa at, uint64_t& entry) {
  return machine_.mmu->read_physical(vcpu_->state(), at, 8, entry);
}
bool TestCpu::store_entry(Gpa at, uint64_t entry) {
  machine_.tables.insert(at.frame());
  return machine_.mmu->write_physical(vcpu_->state(), at, entry, 8) == StoreResult::kDone;
}
bool TestCpu::load_cr3(uint64_t value) {
  cr3_loads.push_back(value);
  return vcpu_->write_cr3(value);
}
bool TestCpu::load_controls(uint64_t cr0, uint64_t cr4, uint64_t efer) {
  return vcpu_->write_controls(cr0, cr4, efer);
}
void TestCpu::invlpg(Gva va) {
  invlpgs.push_back(va.value());
  vcpu_->invlpg(va);
}
bool TestCpu::invpcid(InvpcidType type, uint16_t pcid, Gva va) {
  return vcpu_->invpcid(type, pcid, va);
}
Translation TestCpu::access(Gva va, Access access) {
  if (va.value() >> 63 != 0) kernel_pages.push_back(va.page_base().value());
  return vcpu_->access(va, access);
}
uint64_t TestCpu::word(Gpa at) { return machine_.peek(at); }

void TestCpu::copy_page(Gpa from, Gpa to) {
  const uint64_t value = word(from);
  clear_page(to);
  machine_.mmu->write_physical(*machine_.side, to, value, 8);
}
void TestCpu::clear_page(Gpa page) {
  const bool was_table = machine_.tables.erase(page.frame()) != 0;
  for (uint64_t i = 0; i < (was_table ? kPage : 8); i += 8) {
    machine_.mmu->write_physical(*machine_.side, Gpa(page.value() + i), 0, 8);
  }
}

Machine::Machine(absl::string_view backend, GuestOptions options, unsigned count,
                 absl::string_view tlb_name)
    : tlb(tlb_name) {
  host = HostMemory::create(options.memory_bytes * 2 + (64 << 20)).value();
  p2m = std::make_unique<P2m>(*host);
  booted = p2m->add_slot(Gpa(0), options.memory_bytes);
  if (!booted.ok()) return;
  mmu = create_backend(backend, *p2m).value();
  side = std::make_unique<VcpuState>(0xffff);
  mmu->attach(*side);
  std::vector<GuestCpu*> list;
  for (unsigned id = 0; id < count; ++id) {
    cpus.push_back(std::make_unique<TestCpu>(*this, id));
    list.push_back(cpus.back().get());
  }
  auto made = GuestKernel::boot(list, options);
  booted = made.status();
  if (made.ok()) kernel = *std::move(made);
}

Machine::~Machine() {
  kernel.reset();
  cpus.clear();
  if (side != nullptr) mmu->detach(*side);
}

uint64_t Machine::run(unsigned cpu, uint32_t process) {
  const absl::Status s = kernel->run(cpu, {0, process});
  EXPECT_TRUE(s.ok()) << s;
  return cpus[cpu]->root();
}

absl::Status Machine::event(unsigned cpu, EventKind kind, uint64_t address, uint64_t length,
                            uint64_t value, uint64_t extra, uint32_t flags, uint64_t file) {
  TraceEvent e;
  e.kind = kind;
  e.address = address;
  e.length = length;
  e.value = value;
  e.extra = extra;
  e.flags = flags;
  e.file = file;
  return kernel->handle(cpu, e);
}

absl::Status Machine::touch(unsigned cpu, uint64_t va, AccessOp op, uint64_t* value) {
  Vcpu<Backend>& vcpu = cpus[cpu]->vcpu();
  Translation t = vcpu.access(Gva(va), {op, Privilege::kUser});
  for (int turn = 0; !t.ok(); ++turn) {
    if (turn > 8) return absl::InternalError(absl::StrCat("faults for ever: ", to_string(t)));
    if (t.outcome != Outcome::kGuestFault) return absl::InternalError(to_string(t));
    if (absl::Status s = kernel->fault(cpu, Gva(va), op, t); !s.ok()) return s;
    t = vcpu.access(Gva(va), {op, Privilege::kUser});
  }
  if (value == nullptr) return absl::OkStatus();
  if (op == AccessOp::kWrite) {
    mmu->write_physical(vcpu.state(), t.gpa, *value, 8);
  } else if (!mmu->read_physical(vcpu.state(), t.gpa, 8, *value)) {
    return absl::InternalError("no memory there");
  }
  return absl::OkStatus();
}

uint64_t Machine::read(unsigned cpu, uint64_t va) {
  uint64_t value = ~uint64_t{0};
  const absl::Status s = touch(cpu, va, AccessOp::kRead, &value);
  EXPECT_TRUE(s.ok()) << s;
  return value;
}

uint64_t Machine::peek(Gpa at) {
  uint64_t value = 0;
  EXPECT_TRUE(mmu->read_physical(*side, at, 8, value)) << to_string(at);
  return value;
}

uint64_t Machine::entry(uint64_t root, uint64_t va, unsigned* level_out) {
  uint64_t table = root;
  for (unsigned level = 4;; --level) {
    const uint64_t e = peek(Gpa(table + ((va >> (12 + 9 * (level - 1))) & 511) * 8));
    if (level_out != nullptr) *level_out = level;
    const bool leaf = level == 1 || ((e & pte::kLarge) != 0);
    if (e == 0 || leaf) return e;
    table = e & pte::kFrameMask;
  }
}

}  // namespace gnomon::guest_test
