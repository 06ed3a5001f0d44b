// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/native_cpu/flat_machine.h"
#include "tests/scenario/random.h"

// String instructions against a model that goes byte by byte, with every width, direction, overlap,
// budget, and pages that are not there.

namespace gnomon::vmm {
namespace {

using Bytes = std::vector<uint8_t>;
constexpr uint64_t kArea = FlatMachine::kData;  // four small pages
constexpr uint64_t kAreaBytes = 4 * 4096;
constexpr uint64_t kTable = FlatMachine::kRamBytes - (1u << 20) + 0x3000;
constexpr uint64_t kDirectory = FlatMachine::kRamBytes - (1u << 20) + 0x2000;

void put(FlatMachine& m, uint64_t at, uint64_t value) { std::memcpy(m.ram(at), &value, 8); }

// The area in 4 KiB pages, of which `absent` (4: none) is not there.
void map_area(FlatMachine& m, unsigned absent) {
  for (uint64_t i = 0; i < 512; ++i)
    put(m, kTable + 8 * i, (kArea + (i << 12)) | (i == absent ? 6 : 7));
  put(m, kDirectory + 8 * (kArea >> 21), kTable | 7);
  m.cpu().memory.flush();
}

struct Model {
  std::array<uint64_t, 18> gpr;
  uint64_t flags;
  uint64_t iterations = 0;
  bool faulted = false;
  Bytes area;
};

struct Form {
  char what;  // m, c, s (store), l, a (scan)
  unsigned size;
  uint8_t repeat;  // 0, f2, f3
  bool address32;
  bool down;
};

uint64_t read(const Bytes& area, uint64_t at, unsigned size) {
  uint64_t v = 0;
  std::memcpy(&v, area.data() + (at - kArea), size);
  return v;
}
bool present(uint64_t at, unsigned size, unsigned absent) {
  return (at - kArea) / 4096 != absent && (at + size - 1 - kArea) / 4096 != absent;
}

// All of it, or until a fault.
void run_model(Model& m, const Form& f, unsigned absent) {
  const uint64_t by = f.down ? uint64_t{0} - f.size : f.size;
  const uint64_t mask = f.size == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * f.size) - 1;
  for (;;) {
    if (f.repeat != 0 && m.gpr[kRcx] == 0) break;
    const uint64_t si = m.gpr[kRsi];
    const uint64_t di = m.gpr[kRdi];
    const bool source = f.what == 'm' || f.what == 'c' || f.what == 'l';
    const bool destination = f.what != 'l';
    if ((source && !present(si, f.size, absent)) || (destination && !present(di, f.size, absent))) {
      m.faulted = true;
      return;
    }
    uint64_t a = m.gpr[kRax] & mask;
    if (source) a = read(m.area, si, f.size);
    if (f.what == 'm' || f.what == 's') std::memcpy(m.area.data() + (di - kArea), &a, f.size);
    if (f.what == 'l') m.gpr[kRax] = f.size >= 4 ? a : (m.gpr[kRax] & ~mask) | a;
    bool equal = false;
    if (f.what == 'c' || f.what == 'a') {
      const uint64_t b = read(m.area, di, f.size);
      const uint64_t r = (a - b) & mask;
      equal = r == 0;
      const uint64_t top = mask ^ mask >> 1;
      const bool odd = __builtin_popcount(static_cast<unsigned>(r & 0xff)) % 2 != 0;
      m.flags = (a < b ? flag::kCF : 0) | (odd ? 0 : flag::kPF) | ((a ^ b ^ r) & 0x10) |
                (equal ? flag::kZF : 0) | ((r & top) != 0 ? flag::kSF : 0) |
                (((a ^ b) & (a ^ r) & top) != 0 ? flag::kOF : 0);
    }
    if (source) m.gpr[kRsi] += by;
    if (destination) m.gpr[kRdi] += by;
    ++m.iterations;
    if (f.repeat == 0) break;
    --m.gpr[kRcx];
    const bool compares = f.what == 'c' || f.what == 'a';
    if (compares && equal == (f.repeat == 0xf2)) break;
  }
}

Bytes encode(const Form& f) {
  Bytes code;
  if (f.address32) code.push_back(0x67);
  if (f.size == 2) code.push_back(0x66);
  if (f.repeat != 0) code.push_back(f.repeat);
  if (f.size == 8) code.push_back(0x48);
  const uint8_t base = f.what == 'm'   ? 0xa4
                       : f.what == 'c' ? 0xa6
                       : f.what == 's' ? 0xaa
                       : f.what == 'l' ? 0xac
                                       : 0xae;
  code.push_back(static_cast<uint8_t>(base + (f.size > 1)));
  code.push_back(0x0f);
  code.push_back(0x0b);
  return code;
}

TEST(Strings, AgreeWithAModelThatGoesByteByByte) {
  scenario::Random random(7);
  FlatMachine m(CodeKind::kLong64);
  for (int round = 0; round < 6000; ++round) {
    const unsigned absent = random.percent(40) ? static_cast<unsigned>(random.below(4)) : 4;
    map_area(m, absent);
    const Form f{"mcsla"[random.below(5)], 1u << random.below(4),
                 std::array<uint8_t, 3>{0, 0xf2, 0xf3}[random.below(3)], random.percent(30),
                 random.percent(40)};
    Model model;
    model.area.resize(kAreaBytes);
    const uint64_t kinds = random.percent(50) ? 2 : 256;
    const uint64_t odd = random.below(kAreaBytes);
    for (uint64_t i = 0; i < kAreaBytes; ++i) {
      model.area[i] = kinds == 2 ? (i == odd) : static_cast<uint8_t>(random.next());
    }
    const uint64_t count = random.below(2) == 0 ? random.below(20) : random.below(700);
    // So that nothing leaves the area: all counts end in its middle half.
    const uint64_t middle = kArea + kAreaBytes / 4 + 1400;
    CpuState s = m.cpu().snapshot();
    for (uint64_t& r : s.gpr) r = random.next();
    s.gpr[kRsp] = FlatMachine::kStack;
    s.gpr[kRcx] = count;
    s.gpr[kRsi] = middle + random.below(4000);
    s.gpr[kRdi] =
        random.percent(40) ? s.gpr[kRsi] + random.below(24) - 12 : middle + random.below(4000);
    if (kinds == 2) s.gpr[kRax] = 0;
    s.rflags = flag::kOne | (random.next() & flag::kArithmetic) | (f.down ? flag::kDF : 0);
    m.load(encode(f));
    s.rip = FlatMachine::kCode;
    m.cpu().restore(s);
    std::copy(s.gpr.begin(), s.gpr.end(), model.gpr.begin());
    model.flags = s.rflags & flag::kArithmetic;
    std::memcpy(m.ram(kArea), model.area.data(), kAreaBytes);
    run_model(model, f, absent);

    const uint64_t before = m.cpu().instructions;
    const uint64_t piece = random.percent(50) ? 1'000'000 : 1 + random.below(50);
    ExitReason reason = ExitReason::kBudget;
    while ((reason = m.run(piece)) == ExitReason::kBudget) {
      ASSERT_LE(m.cpu().instructions - before, model.iterations + 1);
    }
    const std::string what =
        std::string(1, f.what) + std::to_string(f.size) + " round " + std::to_string(round);
    ASSERT_EQ(reason, ExitReason::kFault) << what;
    EXPECT_EQ(m.cpu().exit.fault.vector, model.faulted ? kPageFault : kInvalidOpcode) << what;
    EXPECT_EQ(m.cpu().rip, FlatMachine::kCode + (model.faulted ? 0 : encode(f).size() - 2)) << what;
    const uint64_t nothing = !model.faulted && model.iterations == 0;  // counts as one instruction
    EXPECT_EQ(m.cpu().instructions - before, model.iterations + nothing) << what;
    for (unsigned i = 0; i < 16; ++i) {
      ASSERT_EQ(m.cpu().gpr[i], f.address32 && (i == kRcx || i == kRsi || i == kRdi)
                                    ? model.gpr[i] & 0xffff'ffff
                                    : model.gpr[i])
          << what << " register " << i;
    }
    EXPECT_EQ(m.cpu().rflags() & flag::kArithmetic, model.flags) << what;
    ASSERT_EQ(std::memcmp(m.ram(kArea), model.area.data(), kAreaBytes), 0) << what;
  }
}

TEST(Strings, SixteenBitRegistersWrapAndKeepTheirUpperHalves) {
  FlatMachine m(CodeKind::kReal16);
  m.load(Bytes{0xf3, 0xaa, 0x0f, 0x0b});  // rep stosb
  m.cpu().gpr[kRcx] = 0xdead'0010;
  m.cpu().gpr[kRdi] = 0xbeef'fff8;
  m.cpu().gpr[kRax] = 0x77;
  m.cpu().state.segments[kEs].base = 0x20000;
  m.cpu().mode_changed();
  EXPECT_EQ(m.run(100), ExitReason::kFault);
  EXPECT_EQ(m.cpu().exit.fault.vector, kInvalidOpcode);
  EXPECT_EQ(m.cpu().gpr[kRcx], 0xdead'0000u);
  EXPECT_EQ(m.cpu().gpr[kRdi], 0xbeef'0008u);
  EXPECT_EQ(*m.ram(0x2ffff), 0x77);
  EXPECT_EQ(*m.ram(0x20007), 0x77);
  EXPECT_EQ(*m.ram(0x20008), 0);
}

TEST(Strings, SourceSegmentsAreOverridden) {
  FlatMachine m(CodeKind::kLong64);
  m.load(Bytes{0x65, 0xac, 0x3e, 0xac, 0x0f, 0x0b});  // lodsb gs:, lodsb ds:
  m.cpu().state.segments[kGs].base = 0x1000;
  m.cpu().mode_changed();
  m.cpu().gpr[kRsi] = 0x5000;
  *m.ram(0x6000) = 0x42;
  *m.ram(0x5001) = 0x43;
  EXPECT_EQ(m.run(1), ExitReason::kBudget);
  EXPECT_EQ(m.cpu().gpr[kRax], 0x42u);
  EXPECT_EQ(m.run(1), ExitReason::kBudget);
  EXPECT_EQ(m.cpu().gpr[kRax], 0x43u);
}

TEST(Strings, AWaitingVmmIsServedAfterOneIteration) {
  FlatMachine m(CodeKind::kLong64);
  m.load(Bytes{0x83, 0xc0, 0x01, 0xf3, 0xaa, 0x0f, 0x0b});  // add eax, 1; rep stosb
  m.cpu().gpr[kRcx] = 10;
  m.cpu().gpr[kRdi] = kArea;
  EXPECT_EQ(m.run(1), ExitReason::kBudget);
  m.cpu().attention = true;
  EXPECT_EQ(m.run(100), ExitReason::kAttention);  // before anything
  EXPECT_EQ(m.cpu().gpr[kRcx], 10u);
}

TEST(Strings, AWaitingVmmDoesNotHideTheTrapOfAStep) {
  FlatMachine m(CodeKind::kFlat32);
  m.load(Bytes{0xf3, 0xaa, 0x0f, 0x0b});  // rep stosb
  m.cpu().gpr[kRcx] = 10;
  m.cpu().gpr[kRdi] = FlatMachine::kDevice;
  m.cpu().set_rflags(m.cpu().rflags() | flag::kTF);
  m.let_device_want_attention();
  EXPECT_EQ(m.run(100), ExitReason::kTrap);
  EXPECT_EQ(m.cpu().gpr[kRcx], 9u);
  EXPECT_TRUE(m.cpu().attention);
}

}  // namespace
}  // namespace gnomon::vmm
