// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu_native/values.h"

#include <array>
#include <cstring>
#include <iterator>

namespace gnomon::vmm::native {
namespace {

using scenario::Random;

constexpr uint32_t kFloats[] = {
    0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
    0xffc00000, 0x7f800001, 0xffbfffff, 0x7fc01234, 0x00000001, 0x807fffff, 0x00800000,
    0x80800000, 0x7f7fffff, 0xff7fffff, 0x3f000000, 0x40490fdb, 0x4f000000, 0xcf000000,
    0x4effffff, 0x4b800000, 0x3effffff, 0x3fffffff, 0x33800000, 0x5f000000,
};
constexpr uint64_t kDoubles[] = {
    0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000,
    0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000000,
    0x7ff0000000000001, 0xfff7ffffffffffff, 0x7ff8000000001234, 0x0000000000000001,
    0x800fffffffffffff, 0x0010000000000000, 0x8010000000000000, 0x7fefffffffffffff,
    0xffefffffffffffff, 0x3fe0000000000000, 0x400921fb54442d18, 0x41e0000000000000,
    0xc1e0000000000000, 0x41dfffffffe00000, 0xc1e0000000200000, 0x43e0000000000000,
    0xc3e0000000000000, 0x4330000000000001, 0x36a0000000000000, 0x380fffffe0000000,
    0x47efffffe0000000, 0x47f0000000000000,
};

uint32_t random_float(Random& rng) {
  if (rng.percent(60)) return kFloats[rng.below(std::size(kFloats))];
  // Exponents near 1, so that sums and products are inexact rather than lost.
  const auto bits = static_cast<uint32_t>(rng.next());
  return (bits & 0x807fffff) | static_cast<uint32_t>(127 - 12 + rng.below(24)) << 23;
}

uint64_t random_double(Random& rng) {
  if (rng.percent(60)) return kDoubles[rng.below(std::size(kDoubles))];
  return (rng.next() & 0x800fffffffffffff) | (1023 - 40 + rng.below(80)) << 52;
}

// 80 bits: sign and exponent, significand.
void random_extended(Random& rng, uint8_t* to) {
  static constexpr auto kExponents = std::to_array<uint16_t>(
      {0, 0, 1, 0x3fff, 0x3fff, 0x4000, 0x401e, 0x403e, 0x403f, 0x7ffe, 0x7fff, 0x7fff});
  static constexpr auto kSignificands = std::to_array<uint64_t>(
      {0, uint64_t{1} << 63, uint64_t{1} << 63 | 1, uint64_t{3} << 62, ~uint64_t{0},
       ~uint64_t{0} >> 1, 1, uint64_t{3} << 62 | 0x1234, uint64_t{1} << 62, 0xfffffffffffff800});
  uint16_t exponent = rng.pick(kExponents);
  uint64_t significand = rng.pick(kSignificands);
  const uint64_t kind = rng.below(10);
  if (kind < 5) {
    exponent = static_cast<uint16_t>(0x3fff - 40 + rng.below(80));
    significand = rng.next() | uint64_t{1} << 63;
    if (kind == 0) significand &= ~uint64_t{0} << rng.below(64);  // few bits: exact results
    significand |= uint64_t{1} << 63;
  } else if (kind < 8) {
    significand |= exponent == 0 ? 0 : uint64_t{1} << 63;  // no unnormal number
    if (exponent == 0x3fff && rng.percent(30)) significand = uint64_t{1} << 63;
  }
  if (rng.percent(40)) exponent |= 0x8000;
  std::memcpy(to, &significand, 8);
  std::memcpy(to + 8, &exponent, 2);
}

void random_xmm(Random& rng, uint8_t* to) {
  const uint64_t kind = rng.below(4);
  uint64_t q[2];
  for (uint64_t& part : q) {
    if (kind == 0) part = random_float(rng) | uint64_t{random_float(rng)} << 32;
    if (kind == 1) part = random_double(rng);
    if (kind == 2) part = rng.next();
    if (kind == 3) {
      part = 0;
      for (unsigned i = 0; i < 4; ++i) part |= (edge_value(rng) & 0xffff) << (16 * i);
    }
  }
  std::memcpy(to, q, 16);
}

}  // namespace

uint64_t edge_value(Random& rng) {
  const unsigned width = 8u << rng.below(4);
  const uint64_t mask = ~uint64_t{0} >> (64 - width);
  uint64_t v = 0;
  switch (rng.below(12)) {
    case 0: v = 0; break;
    case 1: v = 1; break;
    case 2: v = mask; break;
    case 3: v = mask >> 1; break;
    case 4: v = (mask >> 1) + 1; break;
    case 5: v = mask - rng.below(4); break;
    case 6: v = rng.below(32); break;
    case 7: v = uint64_t{1} << rng.below(width); break;
    case 8: v = (uint64_t{1} << rng.below(width)) - 1; break;
    case 9: v = rng.below(256) * 0x0101010101010101; break;
    default: v = rng.next(); break;
  }
  v &= mask;
  if (width == 64) return v;
  if (rng.percent(30)) return v | (rng.next() & ~mask);
  if (rng.percent(30) && (v >> (width - 1)) != 0) return v | ~mask;
  return v;
}

void fill_image(Random& rng, Image& image) {
  for (unsigned at = 0; at < kImageBytes; at += 16) {
    uint8_t* const to = image.data() + at;
    random_xmm(rng, to);
    if (rng.percent(20)) random_extended(rng, to);
    if (rng.percent(15)) {
      const uint64_t q[2] = {edge_value(rng), edge_value(rng)};
      std::memcpy(to, q, 16);
    }
    // Packed decimal.
    if (rng.percent(8)) {
      for (unsigned i = 0; i < 9; ++i)
        to[i] = static_cast<uint8_t>(rng.below(10) * 16 + rng.below(10));
      to[9] = rng.percent(50) ? 0x80 : 0;
    }
  }
}

FxImage random_fx(Random& rng) {
  FxImage fx;
  for (auto& x : fx.xmm) random_xmm(rng, x);
  for (auto& s : fx.st) random_extended(rng, s);
  const auto top = static_cast<uint16_t>(rng.below(8));
  fx.status =
      static_cast<uint16_t>(top << 11 | (rng.next() & 0x4700));  // C0 to C3, no exception pending
  if (rng.percent(20)) fx.status |= rng.next() & 0x3f;           // flags of masked exceptions
  fx.tags = rng.percent(60) ? 0xff : static_cast<uint8_t>(rng.next());
  static constexpr auto kPrecisions = std::to_array<uint16_t>({0x300, 0x300, 0x300, 0x200, 0});
  fx.control = static_cast<uint16_t>(0x7f | rng.pick(kPrecisions) | rng.below(4) << 10);
  fx.mxcsr = 0x1f80 | static_cast<uint32_t>(rng.below(4) << 13);
  if (rng.percent(20)) fx.mxcsr |= rng.next() & 0x3f;
  if (rng.percent(10)) fx.mxcsr |= 0x8000;  // flush to zero
  if (rng.percent(10)) fx.mxcsr |= 0x0040;  // denormals are zeros
  if (rng.percent(12)) fx.mxcsr &= ~static_cast<uint32_t>(rng.next() & 0x1f80);
  if (rng.percent(12)) {
    fx.control = static_cast<uint16_t>(fx.control & ~(rng.next() & 0x3f));
    fx.status &= 0x4700 | 7 << 11;
  }
  return fx;
}

}  // namespace gnomon::vmm::native
