// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/sse_native.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "absl/strings/str_format.h"
#include "tests/cpu/native_code.h"

namespace gnomon::vmm {
namespace {

constexpr auto kDoubles = std::to_array<uint64_t>({
    0,
    1,
    0x000f'ffff'ffff'ffff,
    0x0010'0000'0000'0000,
    0x3ff0'0000'0000'0000,
    0x3fe0'0000'0000'0000,
    0x3ff8'0000'0000'0000,
    0x4004'0000'0000'0000,
    0x41df'ffff'ffc0'0000,
    0x41e0'0000'0000'0000,
    0x43e0'0000'0000'0000,
    0x43df'ffff'ffff'ffff,
    0x47ef'ffff'f000'0000,
    0x380f'ffff'ffff'ffff,
    0x369f'ffff'ffff'ffff,
    0x7fef'ffff'ffff'ffff,
    0x7ff0'0000'0000'0000,
    0x7ff0'0000'0000'0001,
    0x7ff8'0000'0000'0000,
    0x7ff8'0000'1234'5678,
});
constexpr auto kFloats = std::to_array<uint32_t>({
    0,
    1,
    0x007f'ffff,
    0x0080'0000,
    0x3f80'0000,
    0x3f00'0000,
    0x3fc0'0000,
    0x4020'0000,
    0x4eff'ffff,
    0x4f00'0000,
    0x5f00'0000,
    0x7f7f'ffff,
    0x7f80'0000,
    0x7f80'0001,
    0x7fc0'0000,
    0x7fc1'2345,
});

uint32_t interesting_float(scenario::Random& random) {
  uint32_t value = static_cast<uint32_t>(random.next());
  if (random.percent(40))
    value = (value & 0x807f'ffff) | static_cast<uint32_t>(120 + random.below(16)) << 23;
  if (random.percent(40)) value = (value & 0x8000'0000) | random.pick(kFloats);
  return value;
}

std::vector<uint8_t> encode(const SseOpcode& o, bool memory, unsigned r1, unsigned r2,
                            uint8_t imm) {
  std::vector<uint8_t> code;
  if (o.prefix != 0) code.push_back(o.prefix);
  const bool wide = (r1 & 16) != 0;  // REX.W
  const bool general = o.operands >= SseOpcode::kToGpr;
  const bool mmx = o.operands == SseOpcode::kMmx;
  if (general || mmx) {
    // Of general registers only those the frame knows: RAX, RCX, RDX.
    r1 &= o.operands == SseOpcode::kToGpr || o.operands == SseOpcode::kMmxToGpr ? 1 : 7;
    r2 &= o.operands == SseOpcode::kFromGpr || o.operands == SseOpcode::kGprToMmx ? 1 : 7;
  }
  const unsigned rex = 0x40u | (wide ? 8 : 0) | (r1 >> 3 & 1) << 2 | (memory ? 0 : r2 >> 3 & 1);
  if (rex != 0x40 && !mmx) code.push_back(static_cast<uint8_t>(rex));
  code.push_back(0x0f);
  code.push_back(o.opcode);
  const unsigned reg = o.forms == SseOpcode::kGroup ? o.extension : r1 & 7;
  code.push_back(static_cast<uint8_t>(memory ? 6 | reg << 3 : 0xc0 | reg << 3 | (r2 & 7)));
  if (o.immediate) code.push_back(imm);
  return code;
}

void fill(scenario::Random& random, bool floats, UnitState& s) {
  s.put<uint16_t>(0, 0x37f);
  s.put<uint16_t>(2, static_cast<uint16_t>(random.below(8) << 11));
  s.put<uint8_t>(4, static_cast<uint8_t>(random.next()));
  uint32_t control = 0x1f80;
  if (floats && random.percent(50)) {
    control |= static_cast<uint32_t>(
        random.next() & 0xe07f);  // rounding, flush to zero, denormals are zeros, flags
  }
  s.put<uint32_t>(24, control);
  for (unsigned i = 0; i < 8; ++i) {
    s.put<uint64_t>(32 + 16 * i, interesting_vector(random));
    s.put<uint16_t>(40 + 16 * i, static_cast<uint16_t>(random.next()));
  }
  for (unsigned i = 0; i < 32; ++i) s.put<uint64_t>(160 + 8 * i, interesting_vector(random));
  if (random.percent(50))
    s.put<uint64_t>(160 + 16 * random.below(16), random.below(80));  // a shift's count
  for (unsigned i = 0; i < 8; ++i) {
    const uint64_t v = interesting_vector(random);
    std::memcpy(s.memory.data() + 8 * i, &v, 8);
  }
  for (uint64_t& g : s.gpr) g = random.next();
  s.flags = random.next() & flag::kArithmetic;
}

}  // namespace

uint64_t interesting_vector(scenario::Random& random) {
  const uint64_t any = random.next();
  switch (random.below(6)) {
    case 0: return any;
    case 1: return (any & uint64_t{1} << 63) | random.pick(kDoubles);
    case 2: return (any & 0x800f'ffff'ffff'ffff) | (1015 + random.below(80)) << 52;
    case 3: return (any & 0x8000'0000'f000'0000) | random.pick(kDoubles);
    default: return interesting_float(random) | uint64_t{interesting_float(random)} << 32;
  }
}

void compare_with_host(absl::Span<const SseOpcode> opcodes, bool floats, uint64_t seed,
                       unsigned rounds) {
  NativeCode native;
  if (!native.usable()) GTEST_SKIP() << native.why();
  GuestCode guest;
  scenario::Random random(seed);
  unsigned failures = 0;
  for (const SseOpcode& o : opcodes) {
    for (unsigned variant = 0; variant < 6; ++variant) {
      const bool memory =
          o.forms == SseOpcode::kMemory || (o.forms == SseOpcode::kBoth && variant % 2 == 1);
      const auto r1 = static_cast<unsigned>(random.below(32));
      const auto r2 = static_cast<unsigned>(random.below(16));
      const auto imm = static_cast<uint8_t>(random.percent(50) ? random.next() : random.below(20));
      const auto code = encode(o, memory, r1, r2, imm);
      native.load(code);
      guest.load(code);
      for (unsigned round = 0; round < rounds; ++round) {
        UnitState before;
        fill(random, floats, before);
        UnitState expected = before;
        UnitState got = before;
        native.run(expected);
        const bool ok = guest.run(got);
        const std::string wrong = difference(expected, got);
        if (ok && wrong.empty()) continue;
        std::string bytes;
        for (const uint8_t b : code) absl::StrAppendFormat(&bytes, "%02x ", b);
        ADD_FAILURE() << bytes << (ok ? "" : "faults ")
                      << unsigned{guest.machine().cpu().exit.fault.vector} << "\nMXCSR "
                      << absl::StrFormat("%x\n", before.get<uint32_t>(24)) << wrong;
        if (++failures > 20) return;
        break;
      }
    }
  }
}

}  // namespace gnomon::vmm
