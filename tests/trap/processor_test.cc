// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/trap/machine.h"

// Model-specific registers, CPUID, ports, and the rest.

namespace gnomon::vmm {
namespace {

struct Answer {
  std::string what;
  uint64_t value = 0;
};
Answer read_msr(TrapMachine& m, uint32_t index) {
  m.cpu().gpr[kRcx] = index;
  const std::string what = m.emulate_bytes({0x0f, 0x32});
  return {what, m.cpu().gpr[kRax] | m.cpu().gpr[kRdx] << 32};
}

TEST(Msr, StorageAndReservedBits) {
  TrapMachine m(Mode::k64);
  struct Row {
    uint32_t index;
    uint64_t good, bad;  // bad 0: every value is good
  };
  constexpr uint64_t kBad = uint64_t{1} << 50;
  const Row rows[] = {{0x1b, 0xfee00900, 0xff},
                      {0x174, 0x1234, kBad},
                      {0x175, 0xffff'8000'0000'0000, kBad},
                      {0x176, 0x1000, kBad},
                      {0x1a0, 1, 2},
                      {0x200, 0x8000'0006, 0x8000'0002},
                      {0x201, 0x3f'8000'0800, 1},
                      {0x20f, 0x800, kBad},
                      {0x250, 0x0606'0606'0606'0606, 7},
                      {0x258, 0, 2},
                      {0x259, 0x0505'0505'0505'0505, 3},
                      {0x26f, 0x0401, 8},
                      {0x277, 0x0007'0406'0007'0406, 2},
                      {0x2ff, 0xc06, 0x1000},
                      {0xc0000081, ~uint64_t{0}, 0},
                      {0xc0000082, 0x1000, kBad},
                      {0xc0000083, 0x1000, kBad},
                      {0xc0000084, 0x700, kBad},
                      {0xc0000100, 0x1000, kBad},
                      {0xc0000101, ~uint64_t{0}, kBad},
                      {0xc0000102, 0x2000, kBad},
                      {0xc0000103, 7, kBad}};
  for (const Row& row : rows) {
    EXPECT_EQ(m.write_msr(row.index, row.good), "done") << row.index;
    EXPECT_EQ(read_msr(m, row.index).value, row.good) << row.index;
    if (row.bad == 0) continue;
    EXPECT_EQ(m.write_msr(row.index, row.bad), "#GP(0)") << row.index;
    EXPECT_EQ(read_msr(m, row.index).value, row.good) << row.index;
  }
  EXPECT_EQ(m.cpu().bases[kGs], ~uint64_t{0});
  for (const uint32_t index : {0x0u, 0x11u, 0x179u, 0x210u, 0x251u, 0x267u, 0x270u, 0x6e0u, 0x80fu,
                               0xc0000085u, 0xc0010015u, 0xffffffffu}) {
    EXPECT_EQ(read_msr(m, index).what, "#GP(0)") << index;
    EXPECT_EQ(m.write_msr(index, 0), "#GP(0)") << index;
  }
  for (const uint32_t index : {0x17u, 0x8bu, 0xceu, 0xfeu, 0x10au})
    EXPECT_EQ(read_msr(m, index).what, "done") << index;
  EXPECT_EQ(m.write_msr(0x8b, 0), "done");
}

TEST(Msr, Time) {
  TrapMachine m(Mode::k64);
  EXPECT_EQ(m.write_msr(0x10, 5'000'000), "done");
  EXPECT_EQ(read_msr(m, 0x10).value, 5'000'001u) << "one instruction later";
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x31}), "done");
  EXPECT_EQ(m.cpu().gpr[kRax], 5'000'002u);
  EXPECT_EQ(m.write_msr(0xc0000103, 77), "done");
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xf9}), "done");
  EXPECT_EQ(m.cpu().gpr[kRcx], 77u);
  EXPECT_EQ(m.emulate_bytes({0xf3, 0x0f, 0xc7, 0xf8}), "done");  // rdpid
  EXPECT_EQ(m.cpu().gpr[kRax], 77u);
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x33}), "#GP(0)");  // rdpmc
  m.enter(3);
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x31}), "done");
  m.cpu().mmu().write_controls(m.cpu().controls().cr0, m.cpu().controls().cr4 | 4,
                               m.cpu().controls().efer);
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x31}), "#GP(0)") << "CR4.TSD";
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xf9}), "#GP(0)");
}

TEST(Cpuid, SaysWhatThereIs) {
  TrapMachine m(Mode::k64);
  const auto ask = [&](uint32_t leaf, uint32_t sub = 0) {
    m.cpu().gpr[kRax] = leaf;
    m.cpu().gpr[kRcx] = sub;
    EXPECT_EQ(m.emulate_bytes({0x0f, 0xa2}), "done");
    std::array<uint32_t, 4> r;
    for (const auto& [i, reg] : {std::pair{0, kRax}, {1, kRbx}, {2, kRcx}, {3, kRdx}}) {
      r[i] = static_cast<uint32_t>(m.cpu().gpr[reg]);
    }
    return r;
  };
  const auto text = [](const std::array<uint32_t, 4>& r, std::initializer_list<int> order) {
    std::string s;
    for (const int i : order) s.append(reinterpret_cast<const char*>(&r[i]), 4);
    return s;
  };
  EXPECT_EQ(text(ask(0), {1, 3, 2}), "GenuineIntel");
  EXPECT_EQ(text(ask(0x40000000), {1, 2, 3}), "GnomonGnomon");
  const std::string brand = text(ask(0x80000002), {0, 1, 2, 3}) +
                            text(ask(0x80000003), {0, 1, 2, 3}) +
                            text(ask(0x80000004), {0, 1, 2, 3});
  EXPECT_EQ(std::string(brand.c_str()), "Gnomon virtual processor");
  EXPECT_EQ(ask(1)[0], 0x6fbu);
  EXPECT_EQ(ask(1)[3] >> 9 & 1, 1u);
  m.board_.base = 0;
  EXPECT_EQ(ask(1)[3] >> 9 & 1, 0u) << "no APIC on this board";
  EXPECT_EQ(ask(1)[2] >> 31, 1u);
  EXPECT_EQ(ask(0x80000008)[0], 46u | 48u << 8);
  EXPECT_EQ(uint64_t{ask(0x15)[2]} * ask(0x15)[1] / ask(0x15)[0], 1'000'000'000u);
  EXPECT_EQ(ask(7, 1), (std::array<uint32_t, 4>{}));
  EXPECT_EQ(ask(0x1234'5678), ask(0x16));
  // What is offered by CPUID can be switched on, and what is not cannot.
  const auto offers = [&](uint64_t bit) {
    return m.cpu().mmu().write_controls(m.cpu().controls().cr0, m.cpu().controls().cr4 | bit,
                                        m.cpu().controls().efer);
  };
  EXPECT_EQ(ask(7)[2] >> 4 & 1, 0u);
  EXPECT_TRUE(offers(cr4::kPKE));
  EXPECT_EQ(ask(7)[2] >> 4 & 1, 1u) << "OSPKE";
  for (const auto& bytes : std::vector<std::vector<uint8_t>>{
           {0x0f, 0x01, 0xc8}, {0x0f, 0x01, 0xc9}, {0x0f, 0x01, 0xd0}, {0x0f, 0x01, 0xd1}}) {
    EXPECT_EQ(m.emulate_bytes(bytes), "#UD") << "MONITOR, MWAIT, XGETBV, XSETBV";
  }
}

TEST(Processor, KeysHypercallsAndBases) {
  TrapMachine m(Mode::k64);
  m.cpu().gpr[kRcx] = m.cpu().gpr[kRdx] = 0;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xee}), "#UD") << "CR4.PKE";
  m.cpu().mmu().write_controls(m.cpu().controls().cr0,
                               m.cpu().controls().cr4 | cr4::kPKE | 1u << 16,
                               m.cpu().controls().efer);
  m.cpu().gpr[kRax] = 0x55;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xef}), "done");
  EXPECT_EQ(m.cpu().controls().pkru, 0x55u);
  m.cpu().gpr[kRcx] = 1;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xef}), "#GP(0)");
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xc1}), "done");  // vmcall
  EXPECT_EQ(m.cpu().gpr[kRax], 42u);
  m.hypercalls = false;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xd9}), "#UD");  // vmmcall
  m.cpu().gpr[kRax] = 0x1234'5678'9000;
  EXPECT_EQ(m.emulate_bytes({0xf3, 0x48, 0x0f, 0xae, 0xd8}), "done");  // wrgsbase rax
  m.cpu().state.msrs.kernel_gs_base = 0x42;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xf8}), "done");  // swapgs
  EXPECT_EQ(m.cpu().bases[kGs], 0x42u);
  EXPECT_EQ(m.cpu().state.msrs.kernel_gs_base, 0x1234'5678'9000u);
  EXPECT_EQ(m.emulate_bytes({0xf3, 0x48, 0x0f, 0xae, 0xc9}), "done");  // rdgsbase rcx
  EXPECT_EQ(m.cpu().gpr[kRcx], 0x42u);
  m.cpu().gpr[kRax] = uint64_t{1} << 60;
  EXPECT_EQ(m.emulate_bytes({0xf3, 0x48, 0x0f, 0xae, 0xd0}), "#GP(0)");  // wrfsbase rax
}

TEST(Processor, CachesAreOfTheKernel) {
  for (const Mode mode : {Mode::kReal, Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    for (unsigned cpl = 0; cpl < (mode == Mode::kReal ? 1u : 4u); ++cpl) {
      if (mode != Mode::kReal) m.enter(cpl);
      const uint64_t rip = m.cpu().rip;
      EXPECT_EQ(m.emulate_bytes({0x0f, 0x09}), cpl == 0 ? "done" : "#GP(0)");  // wbinvd
      EXPECT_EQ(m.emulate_bytes({0x0f, 0x08}), cpl == 0 ? "done" : "#GP(0)");  // invd
      EXPECT_EQ(m.cpu().rip, cpl == 0 ? rip + 4 : rip);
    }
    EXPECT_EQ(m.cpu().exits[ExitClass::kCache], mode == Mode::kReal ? 2u : 8u);
  }
}

TEST(Ports, BitmapByBit) {
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    m.cpu().state.tr.limit = 0x68 + 8192;
    for (unsigned i = 0; i <= 8192; ++i) *m.ram(TrapMachine::kTask + 0x68 + i) = 0xff;
    *m.ram(TrapMachine::kTask + 0x68 + 0x60 / 8) = 0xf0;  // ports 60H to 63H
    m.enter(3);
    for (unsigned port = 0x58; port < 0x70; ++port) {
      m.cpu().gpr[kRdx] = port;
      for (const auto& [bytes, size] : std::vector<std::pair<std::vector<uint8_t>, unsigned>>{
               {{0xec}, 1}, {{0x66, 0xed}, 2}, {{0xed}, 4}}) {
        const bool allowed = port >= 0x60 && port + size <= 0x64;
        EXPECT_EQ(m.emulate_bytes(bytes), allowed ? "done" : "#GP(0)") << port << " " << size;
      }
    }
    m.cpu().gpr[kRdx] = 0x60;
    m.cpu().state.tr.limit = 0x67;
    EXPECT_EQ(m.emulate_bytes({0xec}), "#GP(0)") << "beyond the limit";
    m.cpu().set_rflags(flag::kOne | flag::kIOPL);
    EXPECT_EQ(m.emulate_bytes({0xec}), "done") << "IOPL";
    m.cpu().set_rflags(flag::kOne);
    m.cpu().state.tr.attributes = seg::kP | 3;
    m.cpu().state.tr.limit = 0xffff;
    EXPECT_EQ(m.emulate_bytes({0xec}), "#GP(0)") << "a 16-bit TSS has no map";
  }
}

TEST(Ports, WidthsAndStrings) {
  TrapMachine m(Mode::k32);
  m.cpu().gpr[kRax] = 0xaaaa'bbbb;
  EXPECT_EQ(m.emulate_bytes({0xe4, 0x10}), "done");  // in al, 10h
  EXPECT_EQ(m.cpu().gpr[kRax], 0xaaaa'bb98u);
  m.cpu().gpr[kRdx] = 0x3f8;
  EXPECT_EQ(m.emulate_bytes({0x66, 0xef}), "done");  // out dx, ax
  EXPECT_EQ(m.written.back(), uint64_t{0x3f8} << 32 | 0xbb98);
  EXPECT_EQ(m.emulate_bytes({0xe7, 0x80}), "done");  // out 80h, eax
  EXPECT_EQ(m.written.back(), uint64_t{0x80} << 32 | 0xaaaa'bb98);
  // rep insd: in chunks, each an instruction for the clock.
  m.cpu().gpr[kRdi] = TrapMachine::kData;
  m.cpu().gpr[kRcx] = 200;
  const uint64_t rip = m.cpu().rip;
  EXPECT_EQ(m.emulate_bytes({0xf3, 0x6d}), "done");
  EXPECT_EQ(m.cpu().rip, rip);
  EXPECT_GT(m.cpu().gpr[kRcx], 0u);
  while (m.cpu().gpr[kRcx] != 0) ASSERT_EQ(m.emulate_bytes({0xf3, 0x6d}), "done");
  EXPECT_EQ(m.cpu().rip, rip + 2);
  EXPECT_EQ(m.cpu().gpr[kRdi], TrapMachine::kData + 800);
  EXPECT_EQ(m.word(TrapMachine::kData + 796, 4), 0x5566'7788u + 0x3f8);
  // Downward, from memory.
  m.cpu().set_rflags(flag::kOne | flag::kDF);
  m.cpu().gpr[kRsi] = TrapMachine::kData;
  m.written.clear();
  EXPECT_EQ(m.emulate_bytes({0x6f}), "done");
  EXPECT_EQ(m.cpu().gpr[kRsi], TrapMachine::kData - 4);
  EXPECT_EQ(m.written.size(), 1u);
  m.cpu().gpr[kRcx] = 0;
  EXPECT_EQ(m.emulate_bytes({0xf3, 0x6f}), "done");
  EXPECT_EQ(m.written.size(), 1u);
  // What cannot be stored is not read from the device.
  m.cpu().state.segments[kEs] = {};
  EXPECT_EQ(m.emulate_bytes({0x6d}), "#GP(0)");
}

TEST(Ports, AFaultLeavesTheRestOfAString) {
  TrapMachine m(Mode::k64);
  m.set_word(TrapMachine::kTables + 0x2008, 0);  // the second 2 MiB
  m.cpu().memory.flush();
  m.cpu().gpr[kRdi] = 0x20'0000 - 8;
  m.cpu().gpr[kRcx] = 10;
  EXPECT_EQ(m.emulate_bytes({0xf3, 0x6d}), "#PF(2)");
  EXPECT_EQ(m.cpu().gpr[kRcx], 8u);
  EXPECT_EQ(m.cpu().gpr[kRdi], 0x20'0000u);
  EXPECT_EQ(m.cpu().exit.fault.cr2, 0x20'0000u);
}

}  // namespace
}  // namespace gnomon::vmm
