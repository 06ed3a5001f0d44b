// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "gnomon/vmm/cpu_state.h"
#include "tests/cpu_native/generator.h"
#include "tests/cpu_native/values.h"

namespace gnomon::vmm::native {
namespace {

using scenario::Random;

uint64_t pointer_value(Random& rng, Mode mode, bool wild) {
  const uint64_t kind = rng.below(100);
  uint64_t at = kData + 0x400 + rng.below(0x1800);
  if (kind < 60) at &= ~uint64_t{63};
  if (kind >= 85 && kind < 90) at = kData + kPage - rng.below(40);
  if (kind >= 90 && kind < 92) at = kData - 8 + rng.below(24);
  if (kind >= 92 && kind < 94) at = kConstant + rng.below(kPage) - 16;
  if (kind == 94) at = kHole - rng.below(40);
  if (kind == 95) at = kStack + rng.below(kPage);
  if (kind == 96) at = kHole + rng.below(kPage);
  if (kind == 97 && mode == Mode::k64)
    at = (uint64_t{1} << 48) + rng.below(64);  // far from where the host's stack lies
  if (kind == 98 && mode == Mode::k64 && wild) at = 0xffff'9000'0000'0000 + rng.below(kPage);
  if (kind == 99 && mode == Mode::k64) at |= uint64_t{1} << (48 + rng.below(16));
  return at;
}

uint64_t index_value(Random& rng) {
  const uint64_t kind = rng.below(10);
  if (kind < 6) return rng.below(16) * 8;
  if (kind < 8) return rng.below(64);
  return uint64_t{0} - rng.below(64);
}

uint64_t stack_value(Random& rng) {
  const uint64_t kind = rng.below(100);
  if (kind < 86) return kStack + 0x800 + rng.below(64) * 8;
  if (kind < 92) return kStack + 0x800 + rng.below(256);
  if (kind < 96) return kStack + rng.below(40);
  return kStack + kPage - rng.below(40);
}

uint64_t count_value(Random& rng) {
  const uint64_t kind = rng.below(100);
  if (kind < 60) return rng.below(20);
  if (kind < 80) return rng.below(2);
  if (kind < 97) return rng.below(400);
  if (kind < 99) return rng.below(20'000);
  return rng.next();
}

uint64_t value_for(Random& rng, Role role, const Snippet& s) {
  switch (role) {
    case Role::kFree: return edge_value(rng);
    case Role::kPointer: return pointer_value(rng, s.mode, true);
    case Role::kIndex: return index_value(rng);
    case Role::kStackPointer: return stack_value(rng);
    case Role::kCount: return count_value(rng);
    case Role::kCodePointer: return rng.percent(96) ? s.end : kData + rng.below(kPage);
    case Role::kBitOffset:
      return rng.percent(80) ? rng.below(4096) - 2048 : edge_value(rng) % 65536;
    case Role::kSmall: return rng.below(17) | (rng.next() & 0xff00);
  }
  return 0;
}

uint64_t address_of(const Snippet& s, const Piece& p, const ZydisDecodedOperand& o,
                    const State& state) {
  if (p.rip_relative) return p.data_target;
  const unsigned base = number_of(o.mem.base);
  const unsigned index = number_of(o.mem.index);
  uint64_t at = o.mem.disp.has_displacement ? static_cast<uint64_t>(o.mem.disp.value) : 0;
  if (base != 16) at += state.gpr[base];
  if (index != 16) at += state.gpr[index] * o.mem.scale;
  if (p.d.i.address_width == 32 || s.mode == Mode::k32) at &= 0xffff'ffff;
  return at;
}

const ZydisDecodedOperand* memory_operand(const Piece& p) {
  for (unsigned n = 0; n < p.d.i.operand_count_visible; ++n) {
    if (accesses_memory(p.d.o[n])) return &p.d.o[n];
  }
  return nullptr;
}

bool can_poke(uint64_t at, unsigned bytes) {
  return (at >= kData && at <= kData + kDataBytes - bytes) ||
         (at >= kStack && at <= kStack + kPage - bytes);
}

void poke(Input& input, uint64_t at, const void* from, unsigned bytes) {
  if (!can_poke(at, bytes)) return;
  Poke k;
  k.address = at;
  k.size = static_cast<uint8_t>(bytes);
  std::memcpy(k.bytes.data(), from, bytes);
  input.pokes.push_back(k);
}

bool avoid_cache_line(const Snippet& s, const Piece& p, Input& input, bool adjust) {
  const ZydisDecodedOperand* const o = memory_operand(p);
  if (o == nullptr) return true;
  const uint64_t over = (address_of(s, p, *o, input.state) & 63) + o->size / 8;
  if (over <= 64) return true;
  const unsigned base = number_of(o->mem.base != ZYDIS_REGISTER_NONE ? o->mem.base : o->mem.index);
  if (!adjust || base == 16) return false;
  input.state.gpr[base] -= over - 64;
  return true;
}

// A comparison that finds what it expects.
void poke_expected(Random& rng, const Snippet& s, const Piece& p, Input& input) {
  const ZydisMnemonic m = p.d.i.mnemonic;
  if (m != ZYDIS_MNEMONIC_CMPXCHG && m != ZYDIS_MNEMONIC_CMPXCHG8B &&
      m != ZYDIS_MNEMONIC_CMPXCHG16B)
    return;
  const ZydisDecodedOperand* const o = memory_operand(p);
  if (o == nullptr || rng.percent(50)) return;
  uint64_t q[2] = {input.state.gpr[kRax], input.state.gpr[kRdx]};
  unsigned bytes = o->size / 8;
  if (m == ZYDIS_MNEMONIC_CMPXCHG8B) q[0] = (q[0] & 0xffff'ffff) | q[1] << 32;
  bytes = std::min(bytes, 16u);
  poke(input, address_of(s, p, *o, input.state), q, bytes);
}

}  // namespace

bool make_input(Random& rng, const Snippet& s, Input& input) {
  State& state = input.state;
  input.pokes.clear();
  for (unsigned r = 0; r < 16; ++r) state.gpr[r] = value_for(rng, s.roles[r], s);
  bool locked = false;
  for (const Piece& p : s.pieces) {
    if (!p.locked) continue;
    locked = true;
    if (!avoid_cache_line(s, p, input, true)) return false;
  }
  for (const Piece& p : s.pieces) {
    if (locked && p.locked && !avoid_cache_line(s, p, input, false)) return false;
  }
  if (s.mode == Mode::k32) {
    for (unsigned r = 0; r < 16; ++r) state.gpr[r] = r < 8 ? state.gpr[r] & 0xffff'ffff : 0;
  }
  state.rflags = (rng.next() & flag::kArithmetic) | flag::kOne | (rng.percent(30) ? flag::kDF : 0);
  state.rip = s.start();
  for (const Piece& p : s.pieces) poke_expected(rng, s, p, input);
  if (s.pieces.empty()) return true;
  const Piece& last = s.pieces.back();
  if (last.d.i.mnemonic == ZYDIS_MNEMONIC_RET)
    poke(input, state.gpr[kRsp], &s.end, s.mode == Mode::k64 ? 8 : 4);
  if (last.d.i.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && !last.relative) {
    const ZydisDecodedOperand* const o = memory_operand(last);
    if (o != nullptr && o == &last.d.o[0]) {
      const uint64_t at = address_of(s, last, *o, state);
      if (!can_poke(at, 8))
        return image_offset(at) == kImageBytes;  // from elsewhere it would jump anywhere
      poke(input, at, &s.end, s.mode == Mode::k64 ? 8 : 4);
    }
  }
  return true;
}

}  // namespace gnomon::vmm::native
