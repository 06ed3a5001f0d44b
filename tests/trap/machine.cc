// SPDX-License-Identifier: Apache-2.0
#include "tests/trap/machine.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "vmm/cpu/decode.h"

namespace gnomon::vmm {

using namespace seg;

std::string fault_text(uint8_t vector, std::optional<uint32_t> error) {
  static const std::map<int, const char*> names = {{0, "#DE"},  {1, "#DB"},  {6, "#UD"},
                                                   {8, "#DF"},  {10, "#TS"}, {11, "#NP"},
                                                   {12, "#SS"}, {13, "#GP"}, {14, "#PF"}};
  const auto found = names.find(vector);
  std::string text = found != names.end() ? found->second : absl::StrCat("#", vector);
  if (error) absl::StrAppend(&text, "(", absl::Hex(*error), ")");
  return text;
}

std::string outcome_text(Emulated what, const Fault& fault) {
  switch (what) {
    case Emulated::kDone: return "done";
    case Emulated::kHalted: return "halted";
    case Emulated::kShutdown: return "shutdown";
    case Emulated::kFault: break;
  }
  return fault_text(fault.vector, fault.has_error ? std::optional(fault.error) : std::nullopt);
}

TrapMachine::TrapMachine(Mode mode)
    : mode_(mode),
      host_(HostMemory::create(32u << 20).value()),
      p2m_(std::make_unique<P2m>(*host_)) {
  SlotOptions slot;
  slot.lazy = false;
  slot.backing = PageSize::k2M;
  p2m_->add_slot(Gpa(0), kRam, slot).IgnoreError();
  backend_ = create_backend("native", *p2m_).value();
  mmu_ = std::make_unique<Vcpu<Backend>>(*backend_, *p2m_);
  cpu_ = std::make_unique<Cpu>(0, *mmu_, *p2m_, *this, &code_cache_);
  code_cache_.attach(cpu_->memory);
  interp_ = std::make_unique<Interp>(code_cache_);

  CpuState s;
  s.rip = kCode;
  s.gpr[kRsp] = kStack;
  if (mode == Mode::kReal) {
    for (Segment& g : s.segments) g = {0, kP | kS | kWritable | kAccessed, 0xffff, 0};
    s.segments[kCs] = {kCode / 16, kP | kS | kWritable | kAccessed, 0xffff, kCode};
    s.rip = 0;
    s.idtr = {0, 0x3ff};
    mmu_->write_controls(0x10, 0, 0);
    cpu_->restore(s);
    return;
  }
  const bool wide = mode == Mode::k64;
  for (unsigned level = 0; level < 4; ++level) {
    const auto dpl = static_cast<uint16_t>(level << kDplShift);
    set_descriptor(code(level) / 8, make(0, 0xfffff,
                                         kP | kS | seg::kCode | kReadable | kAccessed | kG | dpl |
                                             (wide ? kL : kDB)));
    set_descriptor(data(level) / 8,
                   make(0, 0xfffff, kP | kS | kWritable | kAccessed | kG | kDB | dpl));
    if (wide) {
      if (level < 3) set_word(kTask + 4 + 8 * level, stack_of(level));
    } else if (level < 3) {
      set_word(kTask + 4 + 8 * level, stack_of(level), 4);
      set_word(kTask + 8 + 8 * level, data(level), 4);
    }
  }
  for (unsigned i = 1; i < 8 && wide; ++i) set_word(kTask + 28 + 8 * i, interrupt_stack(i));
  set_word(kTask + 0x66, 0x68, 2);
  set_descriptor(kTaskSelector / 8, make(kTask, 0x67, kP | 11));
  set_descriptor(kLdtSelector / 8, make(kLdt, 0xfff, kP | 2));
  set_descriptor(
      kCode32Selector / 8,
      make(0, 0xfffff, kP | kS | seg::kCode | kReadable | kAccessed | kG | kDB | 3 << kDplShift));
  s.gdtr = {kGdt, 0x7ff};
  s.idtr = {kIdt, 0xfff};
  s.tr = {kTaskSelector, kP | 11, 0x67, kTask};
  s.ldtr = {kLdtSelector, kP | 2, 0xfff, kLdt};
  if (!wide) {
    mmu_->write_controls(cr0::kPE | 0x10, 0x600, 0);
  } else {
    set_word(kTables, (kTables + 0x1000) | 7);
    set_word(kTables + 0x1000, (kTables + 0x2000) | 7);
    for (uint64_t i = 0; i < kRam >> 21; ++i) set_word(kTables + 0x2000 + 8 * i, i << 21 | 0x87);
    mmu_->write_cr3(kTables);
    mmu_->write_controls(cr0::kPE | cr0::kPG | cr0::kWP | 0x10, cr4::kPAE | 0x600,
                         efer::kLME | efer::kNXE | 1);
  }
  cpu_->restore(s);
  enter(0);
}

uint8_t* TrapMachine::ram(uint64_t address) {
  return p2m_->host().at<uint8_t>(p2m_->back(Gpa(address)).frame()) + address % 4096;
}

uint64_t TrapMachine::word(uint64_t address, unsigned size) {
  uint64_t value = 0;
  std::memcpy(&value, ram(address), size);
  return value;
}

void TrapMachine::set_word(uint64_t address, uint64_t value, unsigned size) {
  std::memcpy(ram(address), &value, size);
}

uint64_t TrapMachine::make(uint64_t base, uint32_t limit, uint16_t attributes) {
  return (limit & 0xffff) | (base & 0xff'ffff) << 16 | uint64_t{attributes} << 40 |
         uint64_t{limit & 0xf0000} << 32 | (base & 0xff00'0000) << 32;
}

void TrapMachine::set_gate(unsigned vector, uint16_t selector, uint64_t offset, unsigned type,
                           unsigned dpl, bool present, unsigned ist) {
  const bool wide = mode_ == Mode::k64;
  const uint64_t at = kIdt + (wide ? 16 : 8) * vector;
  set_word(at, (offset & 0xffff) | uint64_t{selector} << 16 | uint64_t{ist} << 32 |
                   uint64_t{type} << 40 | uint64_t{dpl} << 45 | uint64_t{present} << 47 |
                   (offset & 0xffff'0000) << 32);
  if (wide) set_word(at + 8, offset >> 32);
}

void TrapMachine::enter(unsigned level) {
  Cpu& c = *cpu_;
  for (const auto& [reg, selector] : {std::pair<unsigned, uint16_t>{kCs, code(level)},
                                      {kSs, data(level)},
                                      {kDs, data(3)},
                                      {kEs, data(3)},
                                      {kFs, data(3)},
                                      {kGs, data(3)}}) {
    trap::Descriptor d;
    d.low = descriptor(selector / 8);
    c.state.segments[reg] = d.segment(selector);
  }
  c.set_cpl(level);
  c.mode_changed();
}

Op TrapMachine::decode_bytes(const std::vector<uint8_t>& bytes) {
  std::vector<uint8_t> padded = bytes;
  padded.resize(15, 0x90);
  DecodedOp d;
  decode(padded.data(), 15, cpu_->mode, d);
  // As the code cache does for a block of this instruction alone.
  if (d.op.base == kBlockStart) d.op.disp += d.op.length;
  cpu_->gpr[kBlockStart] = cpu_->rip;
  return d.op;
}

std::string TrapMachine::emulate_op(const Op& op) {
  if (op.run != handlers::sensitive)
    return op.run == handlers::undefined ? "undecodable" : "not sensitive";
  return outcome_text(emulate(*cpu_, op, *this, policy), cpu_->exit.fault);
}

std::string TrapMachine::emulate_bytes(const std::vector<uint8_t>& bytes) {
  return emulate_op(decode_bytes(bytes));
}
std::string TrapMachine::emulate_bytes(std::initializer_list<uint8_t> bytes) {
  return emulate_bytes(std::vector<uint8_t>(bytes));
}

std::string TrapMachine::write_msr(uint32_t index, uint64_t value) {
  cpu_->gpr[kRcx] = index;
  cpu_->gpr[kRax] = value & 0xffff'ffff;
  cpu_->gpr[kRdx] = value >> 32;
  return emulate_bytes({0x0f, 0x30});
}

std::string TrapMachine::run(const std::vector<uint8_t>& bytes, uint64_t instructions) {
  Cpu& c = *cpu_;
  std::memcpy(ram(kCode), bytes.data(), bytes.size());
  c.memory.flush();
  c.rip = mode_ == Mode::kReal ? 0 : kCode;
  const uint64_t end = c.instructions + instructions;
  while (c.instructions < end) {
    interp_->run(c, c.state.interrupt_shadow ? c.instructions + 1 : end);
    c.state.interrupt_shadow = false;
    Emulated what = Emulated::kDone;
    switch (c.exit.reason) {
      case ExitReason::kInstruction:
        what = emulate(c, *c.exit.op, *this, policy);
        if (what == Emulated::kFault) what = deliver(c, c.exit.fault);
        break;
      case ExitReason::kFault: what = deliver(c, c.exit.fault); break;
      case ExitReason::kTrap:
        what = deliver(c, Event{Event::Kind::kTrap, kDebug, false, 0, 0});
        break;
      default: break;
    }
    if (what != Emulated::kDone) return outcome_text(what, c.exit.fault);
  }
  return "budget";
}

uint64_t TrapMachine::port_read(Cpu&, uint16_t port, unsigned size) {
  return (0x1122334455667788u + port) & trap::size_mask(size);
}
void TrapMachine::port_write(Cpu&, uint16_t port, unsigned, uint64_t value) {
  written.push_back(uint64_t{port} << 32 | value);
}
bool TrapMachine::hypercall(Cpu& c) {
  if (hypercalls) c.gpr[kRax] = 42;
  return hypercalls;
}

}  // namespace gnomon::vmm
