// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "tests/native_cpu/flat_machine.h"

// Accesses at the edges of what there is: the end of canonical space, displacements of all lengths,
// and SMAP.

namespace gnomon::vmm {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint64_t kCanonicalEnd = 0x8000'0000'0000;

// The fault of one instruction with this in RDI, RSI, RBP and RSP; nothing else may have changed.
Fault fault_of(const Bytes& code, uint64_t address) {
  FlatMachine m(CodeKind::kLong64);
  m.load(code);
  for (const unsigned r : {kRdi, kRsi, kRbp, kRsp}) m.cpu().gpr[r] = address;
  m.cpu().gpr[kRcx] = 3;
  const CpuState before = m.cpu().snapshot();
  EXPECT_EQ(m.run(1), ExitReason::kFault);
  EXPECT_EQ(m.cpu().snapshot(), before);
  return m.cpu().exit.fault;
}

TEST(MemoryPath, AnAccessAcrossTheEndOfCanonicalSpaceIsNoPageFault) {
  const struct {
    Bytes code;
    unsigned bytes;
    unsigned vector;
  } kCases[] = {
      {{0x48, 0x8b, 0x07}, 8, kGeneralProtection},        // mov rax, [rdi]
      {{0x48, 0x89, 0x07}, 8, kGeneralProtection},        // mov [rdi], rax
      {{0x66, 0x01, 0x07}, 2, kGeneralProtection},        // add [rdi], ax
      {{0xff, 0x45, 0x00}, 4, kStackFault},               // inc dword [rbp]
      {{0x58}, 8, kStackFault},                           // pop rax
      {{0xc3}, 8, kStackFault},                           // ret
      {{0x0f, 0x10, 0x07}, 16, kGeneralProtection},       // movups xmm0, [rdi]
      {{0x0f, 0x11, 0x45, 0x00}, 16, kStackFault},        // movups [rbp], xmm0
      {{0xdb, 0x3f}, 10, kGeneralProtection},             // fstp tword [rdi]
      {{0xdb, 0x2f}, 10, kGeneralProtection},             // fld tword [rdi]
      {{0xdd, 0x37}, 108, kGeneralProtection},            // fnsave [rdi]
      {{0xdd, 0x27}, 108, kGeneralProtection},            // frstor [rdi]
      {{0xf3, 0x48, 0xab}, 8, kGeneralProtection},        // rep stosq
      {{0xf3, 0x48, 0xad}, 8, kGeneralProtection},        // rep lodsq
      {{0x48, 0x0f, 0xb1, 0x0f}, 8, kGeneralProtection},  // cmpxchg [rdi], rcx
      {{0x0f, 0xc7, 0x0f}, 8, kGeneralProtection},        // cmpxchg8b [rdi]
  };
  for (const auto& c : kCases) {
    for (const unsigned beyond : {1u, c.bytes - 1}) {
      const Fault f = fault_of(c.code, kCanonicalEnd - c.bytes + beyond);
      EXPECT_EQ(unsigned{f.vector}, c.vector) << unsigned{c.code[0]} << " " << beyond;
      EXPECT_EQ(f.error, 0u);
    }
    // The last bytes that are there raise the page fault, of what is not mapped.
    EXPECT_EQ(unsigned{fault_of(c.code, kCanonicalEnd - c.bytes).vector}, unsigned{kPageFault})
        << unsigned{c.code[0]};
  }
}

TEST(MemoryPath, DisplacementsCloseTo2To31CountFromTheInstruction) {
  const int64_t kMost = 0x7fff'ffff;
  for (const int64_t disp : {kMost, kMost - 1, kMost - 4095, kMost - 4096, kMost - 4097, -kMost - 1,
                             -kMost, int64_t{0x1000}}) {
    for (const unsigned before : {0u, 1u, 50u}) {
      for (const bool crosses : {false, true}) {
        FlatMachine m(CodeKind::kLong64);
        // nop...; lea rax, [rip + disp]; mov eax, [rip + disp]; mov edx, [rip + disp]
        const uint64_t start = FlatMachine::kCode + (crosses ? 0x1000 - before - 3 : 0);
        Bytes code(before, 0x90);
        const auto append = [&](std::initializer_list<uint8_t> opcode) {
          code.insert(code.end(), opcode);
          for (int i = 0; i < 4; ++i) code.push_back(static_cast<uint8_t>(disp >> 8 * i));
        };
        append({0x48, 0x8d, 0x05});
        const uint64_t lea_end = start + code.size();
        append({0x8b, 0x15});
        const uint64_t mov_end = start + code.size();
        for (size_t i = 0; i < code.size(); ++i) *m.ram(start + i) = code[i];
        m.cpu().rip = start;
        EXPECT_EQ(m.run(before + 1), ExitReason::kBudget);
        EXPECT_EQ(m.cpu().gpr[kRax], lea_end + static_cast<uint64_t>(disp))
            << disp << " " << before;
        const ExitReason why = m.run(1);
        if (disp == 0x1000) {
          EXPECT_EQ(why, ExitReason::kBudget);
          continue;
        }
        ASSERT_EQ(why, ExitReason::kFault);
        const uint64_t wanted = mov_end + static_cast<uint64_t>(disp);
        if (m.cpu().exit.fault.vector == kPageFault) EXPECT_EQ(m.cpu().exit.fault.cr2, wanted);
      }
    }
  }
}

TEST(MemoryPath, ChangesOfAcForgetNothing) {
  FlatMachine m(CodeKind::kLong64);
  Cpu& cpu = m.cpu();
  const Controls c = cpu.controls();
  ASSERT_TRUE(cpu.memory.write_controls(c.cr0, c.cr4 | cr4::kSMAP, c.efer));
  // The code's own page must not be the user's for the supervisor to run it, which SMEP would ask;
  // SMAP does not.
  m.load(Bytes{0x8b, 0x07, 0x89, 0x07});  // mov eax, [rdi]; mov [rdi], eax
  cpu.gpr[kRdi] = FlatMachine::kData;
  const auto run = [&](bool ac) {
    cpu.rip = FlatMachine::kCode;
    cpu.set_rflags(ac ? flag::kAC : 0);
    return m.run(2);
  };
  EXPECT_EQ(run(false), ExitReason::kFault);
  EXPECT_EQ(unsigned{cpu.exit.fault.vector}, unsigned{kPageFault});
  EXPECT_EQ(run(true), ExitReason::kBudget);
  const auto before = cpu.memory.references;
  for (int i = 0; i < 100; ++i) {
    cpu.set_rflags(0);
    EXPECT_EQ(run(true), ExitReason::kBudget);
  }
  EXPECT_EQ(cpu.memory.references, before) << "the software TLB was emptied";
  EXPECT_EQ(run(false), ExitReason::kFault);
  // Without SMAP there is no difference.
  ASSERT_TRUE(cpu.memory.write_controls(c.cr0, c.cr4, c.efer));
  EXPECT_EQ(run(false), ExitReason::kBudget);
}

// A backend that makes every store itself, and refuses those from an address on.
class RefusingBackend final : public Backend {
 public:
  uint64_t refused_from = 0;
  explicit RefusingBackend(P2m& p2m) : p2m_(p2m) {}
  absl::string_view name() const override { return "refusing"; }
  void attach(VcpuState&) override {}
  void detach(VcpuState&) override {}
  Translation miss(VcpuState&, Gva va, Access) override {
    Translation t;
    t.outcome = Outcome::kTranslated;
    t.cacheable = t.dirty = t.trapped = true;
    t.gpa = Gpa(va.value());
    t.hpa = Hpa(p2m_.lookup(t.gpa).frame().value() + va.value() % 4096);
    return t;
  }
  void controls_changed(VcpuState&, const PagingRules&) override {}
  void cr3_loaded(VcpuState&, bool) override {}
  void invlpg(VcpuState&, Gva) override {}
  void invpcid(VcpuState&, InvpcidType, uint16_t, Gva) override {}
  StoreResult write_physical(VcpuState&, Gpa at, uint64_t value, unsigned size) override {
    if (at.value() + size > refused_from) return StoreResult::kRefused;
    std::memcpy(host(at), &value, size);
    return StoreResult::kDone;
  }
  bool read_physical(VcpuState&, Gpa at, unsigned size, uint64_t& value) override {
    value = 0;
    std::memcpy(&value, host(at), size);
    return true;
  }
  bool validates_tables() const override { return true; }
  uint64_t table_bytes() const override { return 0; }
  const Counters& counters() const override { return counters_; }
  void drop_caches() override {}
  std::vector<AuditFinding> audit() const override { return {}; }
  void before_p2m_change(Gpa, uint64_t, Change) override {}

 private:
  uint8_t* host(Gpa at) {
    return p2m_.host().at<uint8_t>(p2m_.lookup(at).frame()) + at.value() % 4096;
  }
  P2m& p2m_;
  Counters counters_;
};

class NoDevices : public DevicePort {
  uint64_t device_read(Gpa, unsigned) override { return 0; }
  void device_write(Gpa, unsigned, uint64_t) override {}
};

TEST(MemoryPath, AStoreThatIsRefusedInPartChangesNothing) {
  auto host = HostMemory::create(16u << 20).value();
  P2m p2m(*host);
  SlotOptions slot;
  slot.lazy = false;
  ASSERT_TRUE(p2m.add_slot(Gpa(0), 0x10000, slot).ok());
  RefusingBackend backend(p2m);
  Vcpu<Backend> mmu(backend, p2m);
  NoDevices devices;
  CodeCache code;
  Cpu cpu(0, mmu, p2m, devices, &code);
  code.attach(cpu.memory);
  Interp interp(code);
  CpuState s;
  for (Segment& g : s.segments)
    g = {8, seg::kP | seg::kS | seg::kWritable | seg::kDB | seg::kG, 0xffff'ffff, 0};
  s.segments[kCs] = {16, seg::kP | seg::kS | seg::kCode | seg::kReadable | seg::kDB | seg::kG,
                     0xffff'ffff, 0};
  ASSERT_TRUE(mmu.write_controls(cr0::kPE | 0x10, 0x600, 0));
  const auto frame = [&](uint64_t at) {
    return p2m.host().at<uint8_t>(p2m.lookup(Gpa(at)).frame());
  };
  const struct {
    Bytes code;
    unsigned bytes;
  } kCases[] = {
      {{0x0f, 0xc7, 0x0f}, 8},   // cmpxchg8b [edi]
      {{0x0f, 0x11, 0x07}, 16},  // movups [edi], xmm0
      {{0x89, 0x07}, 4},         // mov [edi], eax
      {{0x01, 0x07}, 4},         // add [edi], eax
      {{0xdb, 0x3f}, 10},        // fstp tword [edi]
      {{0xdd, 0x37}, 108},       // fnsave [edi]
  };
  const auto expect_nothing = [&](const Bytes& one, uint64_t at, uint64_t refused_from) {
    backend.refused_from = refused_from;
    std::memset(frame(0x2000), 0x77, 4096);
    std::memset(frame(0x3000), 0x77, 4096);
    std::memcpy(frame(0x1000), one.data(), one.size());
    code.code_written(frame(0x1000), 16);
    cpu.restore(s);
    cpu.rip = 0x1000;
    cpu.gpr[kRdi] = at;
    const CpuState was = cpu.snapshot();
    interp.run(cpu, cpu.instructions + 1);
    EXPECT_EQ(cpu.exit.reason, ExitReason::kFault);
    EXPECT_EQ(unsigned{cpu.exit.fault.vector}, unsigned{kGeneralProtection});
    EXPECT_EQ(cpu.snapshot(), was);
    for (const uint64_t page : {0x2000, 0x3000}) {
      const auto* const bytes = frame(page);
      EXPECT_EQ(std::count(bytes, bytes + 4096, 0x77), 4096) << unsigned{one[1]} << " at " << at;
    }
  };
  for (const auto& c : kCases) {
    for (const unsigned before : {1u, 3u, 7u, 9u}) {
      if (before < c.bytes) expect_nothing(c.code, 0x3000 - before, 0x3000);
    }
    if (c.bytes > 8) expect_nothing(c.code, 0x3000, 0x3008);
  }
}

}  // namespace
}  // namespace gnomon::vmm
