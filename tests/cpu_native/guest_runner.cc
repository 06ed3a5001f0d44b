// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu_native/guest_runner.h"

#include <algorithm>
#include <cstring>

namespace gnomon::vmm::native {
namespace {

constexpr uint64_t kTables = 0x400000;
constexpr uint64_t kPresent = 1, kWritable = 2, kUser = 4, kAccessedDirty = 0x60,
                   kNoExecute = uint64_t{1} << 63;
constexpr uint64_t kBudget = 100'000;

}  // namespace

GuestRunner::GuestRunner(absl::string_view backend)
    : machine_(CodeKind::kLong64, backend),
      code_at_(machine_.ram(kCode)),
      data_(machine_.ram(kData)),
      stack_(machine_.ram(kStack)) {
  const auto entry = [&](uint64_t at, uint64_t value) { std::memcpy(machine_.ram(at), &value, 8); };
  constexpr uint64_t kAll = kPresent | kWritable | kUser;
  entry(kTables, (kTables + 0x1000) | kAll);
  entry(kTables + 0x1000, (kTables + 0x2000) | kAll);
  entry(kTables + 0x2000, (kTables + 0x3000) | kAll);
  entry(kTables + 0x2008, (kTables + 0x4000) | kAll);
  map_user(kCode, kCodeBytes, kWritable);
  map_user(kData, kDataBytes, kWritable | kNoExecute);
  map_user(kConstant, kPage, kNoExecute);
  map_user(kStack, kPage, kWritable | kNoExecute);
  MemoryPath& memory = machine_.cpu().memory;
  memory.write_cr3(kTables);
  memory.write_controls(cr0::kPE | cr0::kPG | cr0::kWP | 0x32 /* MP, ET, NE */, cr4::kPAE | 0x600,
                        efer::kLME | efer::kNXE);
  enter(Mode::k64);
}

void GuestRunner::map_user(uint64_t address, uint64_t bytes, uint64_t rights) {
  for (uint64_t at = address; at < address + bytes; at += kPage) {
    const uint64_t entry = at | kPresent | kUser | kAccessedDirty | rights;
    std::memcpy(machine_.ram(kTables + 0x3000 + 8 * (at / kPage)), &entry, 8);
  }
}

void GuestRunner::enter(Mode mode) {
  using namespace seg;
  constexpr uint16_t kUserRights = kP | kS | kAccessed | kG | 3 << kDplShift;
  CpuState s;
  for (Segment& g : s.segments) g = {0x2b, kUserRights | kWritable | kDB, 0xffff'ffff, 0};
  const uint16_t code = kUserRights | seg::kCode | kReadable | (mode == Mode::k64 ? kL : kDB);
  s.segments[kCs] = {static_cast<uint16_t>(mode == Mode::k64 ? 0x33 : 0x23), code, 0xffff'ffff, 0};
  s.cpl = 3;
  machine_.cpu().restore(s);
  mode_ = mode;
}

void GuestRunner::load(Mode mode, absl::Span<const uint8_t> code, uint64_t end) {
  if (mode != mode_) enter(mode);
  uint8_t whole[256];
  const auto jump = tail(mode, end);
  const size_t bytes = code.size() + jump.size();
  std::memcpy(whole, code.data(), code.size());
  std::memcpy(whole + code.size(), jump.data(), jump.size());
  const uint64_t start = end - code.size();
  const uint64_t here = std::min<uint64_t>(bytes, kPage - start % kPage);
  machine_.code().code_written(code_at_ + (start - kCode), static_cast<unsigned>(here));
  if (here < bytes)
    machine_.code().code_written(code_at_ + (start - kCode) + here,
                                 static_cast<unsigned>(bytes - here));
  std::memcpy(code_at_ + (start - kCode), whole, bytes);
  end_ = end;
}

bool GuestRunner::code_intact(absl::Span<const uint8_t> code, uint64_t end) const {
  return std::memcmp(code_at_ + (end - code.size() - kCode), code.data(), code.size()) == 0;
}

void GuestRunner::write_memory(const Image& image) {
  std::memcpy(data_, image.data(), 3 * kPage);
  std::memcpy(stack_, image.data() + 3 * kPage, kPage);
}

void GuestRunner::write_bytes(uint64_t address, absl::Span<const uint8_t> bytes) {
  std::memcpy(address >= kStack ? stack_ + (address - kStack) : data_ + (address - kData),
              bytes.data(), bytes.size());
}

void GuestRunner::read_memory(Image& image) const {
  std::memcpy(image.data(), data_, 3 * kPage);
  std::memcpy(image.data() + 3 * kPage, stack_, kPage);
}

Stop GuestRunner::run(Mode mode, State& state) {
  Cpu& c = machine_.cpu();
  std::copy(state.gpr.begin(), state.gpr.end(), c.gpr.begin());
  c.set_rflags(state.rflags | flag::kIF);
  c.rip = state.rip;
  const FxImage& in = state.fx;
  std::memcpy(c.state.xmm.data(), in.xmm, sizeof in.xmm);
  c.state.mxcsr = in.mxcsr;
  X87State& x = c.state.x87;
  x.control = in.control;
  x.status = in.status;
  x.tags = in.tags;
  for (unsigned i = 0; i < 8; ++i) std::memcpy(x.r[(x.top() + i) & 7].data(), in.st[i], 10);

  machine_.run(kBudget);

  std::copy_n(c.gpr.begin(), 16, state.gpr.begin());
  state.rflags = (c.rflags() & (flag::kArithmetic | flag::kDF)) | flag::kOne;
  state.rip = c.rip;
  FxImage& out = state.fx;
  std::memcpy(out.xmm, c.state.xmm.data(), mode == Mode::k64 ? 256 : 128);
  out.mxcsr = c.state.mxcsr;
  out.control = x.control;
  out.status = x.status;
  out.tags = x.tags;
  for (unsigned i = 0; i < 8; ++i) std::memcpy(out.st[i], x.r[(x.top() + i) & 7].data(), 10);

  switch (c.exit.reason) {
    case ExitReason::kFault: {
      const Fault& f = c.exit.fault;
      if (f.vector == kPageFault && c.rip == kExit) return {};
      return {f.vector, f.has_error ? f.error & 0xffff : 0, f.vector == kPageFault ? f.cr2 : 0};
    }
    case ExitReason::kInstruction:
      if (c.rip == end_) return {};
      return {Stop::kSensitive, 0, 0};
    case ExitReason::kBudget: return {Stop::kEndless, 0, 0};
    default: return {Stop::kOther, 0, 0};
  }
}

}  // namespace gnomon::vmm::native
