// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/fpu_state.h"

#include <cstring>

#include "vmm/cpu/softsse.h"
#include "vmm/cpu/x87.h"

namespace gnomon::vmm {
namespace {

constexpr unsigned kOpcodeBits = 0x7ff;

template <class T, class Image>
void put(Image& image, unsigned at, T value) {
  std::memcpy(image.data() + at, &value, sizeof value);
}
template <class T, class Image>
T get(const Image& image, unsigned at) {
  T value;
  std::memcpy(&value, image.data() + at, sizeof value);
  return value;
}

}  // namespace

uint16_t full_tags(const X87State& s) {
  enum : unsigned { kValid, kZero, kSpecial, kEmpty };
  unsigned tags = 0;
  for (unsigned i = 0; i < 8; ++i) {
    unsigned tag = kValid;
    const auto exponent = static_cast<unsigned>(get<uint16_t>(s.r[i], 8) & 0x7fff);
    const auto significand = get<uint64_t>(s.r[i], 0);
    if ((s.tags >> i & 1) == 0) {
      tag = kEmpty;
    } else if (exponent == 0 && significand == 0) {
      tag = kZero;
    } else if (exponent == 0 || exponent == 0x7fff || significand >> 63 == 0) {
      tag = kSpecial;
    }
    tags |= tag << 2 * i;
  }
  return static_cast<uint16_t>(tags);
}

FxImage fx_image(const CpuState& s, bool wide) {
  FxImage image{};
  const X87State& x = s.x87;
  put(image, 0, x.control);
  put(image, 2, x.status);
  put(image, 4, x.tags);
  put(image, 6, x.last_opcode);
  // Selectors read as 0, as on processors that no longer keep them.
  if (wide) {
    put(image, 8, x.last_ip);
    put(image, 16, x.last_data);
  } else {
    put(image, 8, static_cast<uint32_t>(x.last_ip));
    put(image, 16, static_cast<uint32_t>(x.last_data));
  }
  put(image, 24, s.mxcsr);
  put(image, 28, mxcsr::kDefined);
  for (unsigned i = 0; i < 8; ++i) put(image, 32 + 16 * i, x.r[x87::physical(x, i)]);
  for (unsigned i = 0; i < 16; ++i) put(image, 160 + 16 * i, s.xmm[i].q);
  return image;
}

bool load_fx_image(CpuState& s, const FxImage& image, bool wide, bool all) {
  const auto control = get<uint32_t>(image, 24);
  if ((control & ~mxcsr::kDefined) != 0) return false;
  s.mxcsr = control;
  X87State& x = s.x87;
  x.control =
      static_cast<uint16_t>((get<uint16_t>(image, 0) & x87::kControlDefined) | x87::kControlOnes);
  x.status = get<uint16_t>(image, 2);
  x87::summarize(x);
  x.tags = get<uint8_t>(image, 4);
  x.last_opcode = get<uint16_t>(image, 6) & kOpcodeBits;
  x.last_ip = wide ? get<uint64_t>(image, 8) : get<uint32_t>(image, 8);
  x.last_data = wide ? get<uint64_t>(image, 16) : get<uint32_t>(image, 16);
  for (unsigned i = 0; i < 8; ++i) x87::st(x, i) = get<Real80>(image, 32 + 16 * i);
  for (unsigned i = 0; i < (all ? 16u : 8u); ++i)
    s.xmm[i].q = get<std::array<uint64_t, 2>>(image, 160 + 16 * i);
  return true;
}

std::array<uint8_t, 28> environment_image(const X87State& s, const EnvironmentForm& form) {
  std::array<uint8_t, 28> image{};
  const auto ip = static_cast<uint32_t>(form.real ? s.last_ip + form.code_base : s.last_ip);
  const auto data = static_cast<uint32_t>(s.last_data);
  const uint32_t opcode = s.last_opcode & kOpcodeBits;
  const uint16_t words[] = {s.control, s.status, full_tags(s)};
  for (unsigned i = 0; i < 3; ++i) {
    // What lies between the words of the wide form reads as ones.
    if (form.wide) {
      put(image, 4 * i, 0xffff'0000 | words[i]);
    } else {
      put(image, 2 * i, words[i]);
    }
  }
  if (form.wide) {
    // Linear addresses are split at bit 16 in real mode; else, the opcode shares a word with the
    // selector.
    put(image, 12, form.real ? ip & 0xffff : ip);
    put(image, 16, form.real ? (ip >> 16) << 12 | opcode : opcode << 16);
    put(image, 20, form.real ? data & 0xffff : data);
    put(image, 24, form.real ? (data >> 16) << 12 : 0xffff'0000);
  } else {
    put(image, 6, static_cast<uint16_t>(ip));
    put(image, 8, static_cast<uint16_t>(form.real ? (ip >> 16) << 12 | opcode : 0));
    put(image, 10, static_cast<uint16_t>(data));
    put(image, 12, static_cast<uint16_t>(form.real ? (data >> 16) << 12 : 0));
  }
  return image;
}

void load_environment_image(X87State& s, const std::array<uint8_t, 28>& image,
                            const EnvironmentForm& form) {
  const unsigned step = form.wide ? 4 : 2;
  s.control =
      static_cast<uint16_t>((get<uint16_t>(image, 0) & x87::kControlDefined) | x87::kControlOnes);
  s.status = get<uint16_t>(image, step);
  x87::summarize(s);
  const auto tags = get<uint16_t>(image, 2 * step);
  s.tags = 0;
  for (unsigned i = 0; i < 8; ++i) {
    if ((tags >> 2 * i & 3) != 3) s.tags |= static_cast<uint8_t>(1u << i);
  }
  if (form.wide && !form.real) {
    s.last_ip = get<uint32_t>(image, 12);
    s.last_opcode = get<uint16_t>(image, 18) & kOpcodeBits;
    s.last_data = get<uint32_t>(image, 20);
  } else if (form.wide) {
    const auto high = get<uint32_t>(image, 16);
    s.last_ip = (get<uint16_t>(image, 12) | (high >> 12 & 0xffff) << 16) - form.code_base;
    s.last_opcode = high & kOpcodeBits;
    s.last_data = get<uint16_t>(image, 20) | (get<uint32_t>(image, 24) >> 12 & 0xffff) << 16;
  } else {
    const auto high = get<uint16_t>(image, 8);
    s.last_ip = get<uint16_t>(image, 6);
    s.last_data = get<uint16_t>(image, 10);
    if (form.real) {
      s.last_ip = (s.last_ip | (high >> 12u) << 16) - form.code_base;
      s.last_opcode = high & kOpcodeBits;
      s.last_data |= (get<uint16_t>(image, 12) >> 12u) << 16;
    }
  }
}

}  // namespace gnomon::vmm
