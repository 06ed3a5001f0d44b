// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu_native/generator.h"

#include <algorithm>
#include <cstring>

#include "gnomon/vmm/cpu_state.h"
#include "tests/cpu_native/grower.h"
#include "tests/cpu_native/values.h"

namespace gnomon::vmm::native {
namespace {

using scenario::Random;

void fill_tail(Random& rng, uint8_t* to, unsigned bytes) {
  for (unsigned i = 0; i < bytes; i += 8) {
    const uint64_t v = rng.percent(50) ? edge_value(rng) : rng.next();
    std::memcpy(to + i, &v, std::min(8u, bytes - i));
  }
}

}  // namespace

bool Grower::try_template() {
  const auto& entries = catalogue(s_.mode);
  // Integer instructions are most of what programs are.
  const uint64_t turn = rng_.below(10);
  const Family family = turn < 6 ? Family::kInteger : turn < 8 ? Family::kSse : Family::kX87;
  const Entry* entry = &rng_.pick(entries);
  for (int i = 0; i < 20 && entry->family != family; ++i) entry = &rng_.pick(entries);
  const Template& t = rng_.pick(entry->templates);
  const bool lock = t.memory && entry->family == Family::kInteger && rng_.percent(8);

  uint8_t b[48] = {};
  unsigned n = 0;
  if (rng_.percent(2)) b[n++] = std::array<uint8_t, 4>{0x26, 0x2e, 0x36, 0x3e}[rng_.below(4)];
  if (lock) b[n++] = 0xf0;
  if (rng_.percent(3)) b[n++] = 0x67;
  if (t.prefix != 0x66 && rng_.percent(entry->family == Family::kInteger ? 20 : 2)) b[n++] = 0x66;
  if (t.prefix != 0) b[n++] = t.prefix;
  if (s_.mode == Mode::k64 && rng_.percent(50))
    b[n++] = static_cast<uint8_t>(0x40 | rng_.below(16));
  if (t.map != 0) b[n++] = 0x0f;
  if (t.map == 2) b[n++] = 0x38;
  if (t.map == 3) b[n++] = 0x3a;
  b[n++] = t.opcode;
  if (t.has_modrm) {
    uint8_t modrm = rng_.pick(t.modrm);
    if (t.memory) modrm = static_cast<uint8_t>((modrm & 0x38) | rng_.below(3) << 6 | rng_.below(8));
    b[n++] = modrm;
    b[n++] = static_cast<uint8_t>(rng_.next());  // SIB, if there is one
  }
  fill_tail(rng_, b + n, 16);
  return decode_and_admit(b);
}

bool Grower::try_random() {
  uint8_t b[16];
  fill_tail(rng_, b, 16);
  uint64_t v = rng_.next();
  std::memcpy(b, &v, 8);
  if (s_.mode == Mode::k64 && rng_.percent(40)) b[0] = static_cast<uint8_t>(0x40 | rng_.below(16));
  if (rng_.percent(30)) b[rng_.below(3)] = 0x0f;
  return decode_and_admit(b);
}

Snippet generate(Random& rng, const GeneratorOptions& options) {
  for (;;) {
    Snippet s;
    s.mode = options.mode;
    // Some cross from one page into the next.
    s.end = rng.percent(6) ? kCode + kPage + rng.below(12) : kCode + 0x400 + rng.below(8) * 0x100;
    const size_t wanted = rng.percent(40) ? 1 : 2 + rng.below(kMaxPieces - 1);
    Grower grower(rng, options, s);
    for (int tries = 0; s.pieces.size() < wanted && tries < 60 && !grower.growth().ends; ++tries) {
      if (options.random_bytes) {
        grower.try_random();
      } else {
        grower.try_template();
      }
    }
    if (s.pieces.empty()) continue;
    bool sound = true;
    undefined_flags(s, -1, sound);
    if (!sound) continue;
    assemble(s);
    return s;
  }
}

bool append(Snippet& s, const uint8_t* bytes, unsigned available) {
  Piece p;
  if (s.pieces.size() == kMaxPieces || !decode(s.mode, bytes, available, p.d)) return false;
  p.length = p.d.i.length;
  std::memcpy(p.bytes.data(), bytes, p.length);
  p.locked = is_locked(p.d);
  for (unsigned n = 0; n < p.d.i.operand_count; ++n) {
    const ZydisDecodedOperand& o = p.d.o[n];
    if (!accesses_memory(o)) continue;
    const unsigned base = number_of(o.mem.base);
    const unsigned index = number_of(o.mem.index);
    if (base < 16 && s.roles[base] == Role::kFree)
      s.roles[base] = base == kRsp ? Role::kStackPointer : Role::kPointer;
    if (index < 16 && s.roles[index] == Role::kFree) s.roles[index] = Role::kIndex;
  }
  s.roles[kRsp] = Role::kStackPointer;
  if (repeats(p.d)) s.roles[kRcx] = Role::kCount;
  s.pieces.push_back(p);
  return true;
}

}  // namespace gnomon::vmm::native
