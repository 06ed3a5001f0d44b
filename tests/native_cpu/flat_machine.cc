// SPDX-License-Identifier: Apache-2.0
#include "tests/native_cpu/flat_machine.h"

#include <algorithm>
#include <cstring>

namespace gnomon::vmm {
namespace {

constexpr uint64_t kTables = FlatMachine::kRamBytes - (1u << 20);

Segment flat(uint16_t selector, uint16_t attributes) {
  return {selector, attributes, 0xffff'ffff, 0};
}

}  // namespace

FlatMachine::FlatMachine(CodeKind kind, absl::string_view backend)
    : host_(HostMemory::create(64u << 20).value()), p2m_(std::make_unique<P2m>(*host_)) {
  SlotOptions slot;
  slot.lazy = false;
  slot.backing = PageSize::k2M;
  p2m_->add_slot(Gpa(0), kRamBytes, slot).IgnoreError();
  p2m_->add_mmio(Gpa(kDevice), 4096).IgnoreError();
  backend_ = create_backend(backend, *p2m_).value();
  mmu_ = std::make_unique<Vcpu<Backend>>(*backend_, *p2m_);
  cpu_ = std::make_unique<Cpu>(0, *mmu_, *p2m_, *this, &code_);
  code_.attach(cpu_->memory);
  interp_ = std::make_unique<Interp>(code_);

  CpuState s;
  using namespace seg;
  constexpr uint16_t kDataRights = kP | kS | kWritable | kAccessed | kDB | kG;
  constexpr uint16_t kCodeRights = kP | kS | seg::kCode | kReadable | kAccessed | kG;
  if (kind == CodeKind::kReal16) {
    for (Segment& g : s.segments) g = {0, kP | kS | kWritable | kAccessed, 0xffff, 0};
    s.segments[kCs] = {kCode / 16, kP | kS | kWritable | kAccessed, 0xffff, kCode};
  } else {
    for (Segment& g : s.segments) g = flat(0x10, kDataRights);
    s.segments[kCs] = flat(8, kCodeRights | (kind == CodeKind::kLong64 ? kL : kDB));
  }
  s.gpr[kRsp] = kStack;
  if (kind == CodeKind::kFlat32) mmu_->write_controls(cr0::kPE | 0x10, cr4::kPSE | 0x600, 0);
  if (kind == CodeKind::kLong64) {
    const auto entry = [&](uint64_t at, uint64_t value) { std::memcpy(ram(at), &value, 8); };
    entry(kTables, (kTables + 0x1000) | 7);
    entry(kTables + 0x1000, (kTables + 0x2000) | 7);
    for (uint64_t i = 0; i < kRamBytes >> 21; ++i) entry(kTables + 0x2000 + 8 * i, i << 21 | 0x87);
    mmu_->write_cr3(kTables);
    mmu_->write_controls(cr0::kPE | cr0::kPG | cr0::kWP | 0x10, cr4::kPAE | 0x600,
                         efer::kLME | efer::kNXE);
  }
  cpu_->restore(s);
}

uint8_t* FlatMachine::ram(uint64_t address) {
  return p2m_->host().at<uint8_t>(p2m_->back(Gpa(address)).frame()) + address % 4096;
}

void FlatMachine::load(absl::Span<const uint8_t> code) {
  for (size_t at = 0; at < code.size(); at += 4096) {
    const size_t n = std::min<size_t>(4096, code.size() - at);
    code_.code_written(ram(kCode + at), static_cast<unsigned>(n));
    std::memcpy(ram(kCode + at), code.data() + at, n);
  }
  cpu_->memory.flush();
  cpu_->rip = cpu_->real_mode() ? 0 : kCode;
}

ExitReason FlatMachine::run(uint64_t instructions) {
  interp_->run(*cpu_, cpu_->instructions + instructions);
  return cpu_->exit.reason;
}

}  // namespace gnomon::vmm
