// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu_native/generator.h"

#include <algorithm>
#include <cstring>

#include "gnomon/vmm/cpu_state.h"
#include "tests/cpu_native/values.h"

namespace gnomon::vmm::native {
namespace {

using scenario::Random;

// What is known while a snippet grows.
struct Growth {
  std::array<Role, 16> roles{};
  std::array<bool, 16> intact{};  ///< the register still holds what it was given
  bool stack = true;              ///< RSP points into the stack
  bool ends = false;              ///< nothing follows
  uint32_t undefined = 0;         ///< flags
};

bool is_locked(const Decoding& d) {
  return (d.i.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0 ||
         (d.i.mnemonic == ZYDIS_MNEMONIC_XCHG && d.o[0].type == ZYDIS_OPERAND_TYPE_MEMORY) ||
         (d.i.mnemonic == ZYDIS_MNEMONIC_XCHG && d.o[1].type == ZYDIS_OPERAND_TYPE_MEMORY);
}

bool is_bit_test(ZydisMnemonic m) {
  return m == ZYDIS_MNEMONIC_BT || m == ZYDIS_MNEMONIC_BTS || m == ZYDIS_MNEMONIC_BTR ||
         m == ZYDIS_MNEMONIC_BTC;
}

bool repeats(const Decoding& d) {
  return (d.i.attributes &
          (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) != 0;
}

bool writes_memory(const Decoding& d) {
  for (unsigned n = 0; n < d.i.operand_count; ++n) {
    if (accesses_memory(d.o[n]) && (d.o[n].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0)
      return true;
  }
  return false;
}

class Grower {
 public:
  Grower(Random& rng, const GeneratorOptions& options, Snippet& s)
      : rng_(rng), options_(options), s_(s) {
    g_.intact.fill(true);
    g_.roles[kRsp] = Role::kStackPointer;
  }

  bool try_template();
  bool try_random();
  bool admit(Piece p);
  const Growth& growth() const { return g_; }

 private:
  bool wants(unsigned reg, Role role) {
    if (reg >= 16 || !g_.intact[reg]) return false;
    if (g_.roles[reg] == Role::kFree) g_.roles[reg] = role;
    return g_.roles[reg] == role;
  }
  bool wild() { return options_.wild && rng_.percent(2); }
  bool place_memory(Piece& p, const ZydisDecodedOperand& o);
  bool place_memories(Piece& p);
  bool place_branch(Piece& p);
  bool place_special(Piece& p);
  bool decode_and_admit(const uint8_t* bytes);
  void set_disp(Piece& p, int64_t value);
  void set_imm(Piece& p, unsigned which, uint64_t value);
  uint64_t data_target(const Piece& p);

  Random& rng_;
  const GeneratorOptions& options_;
  Snippet& s_;
  Growth g_;
};

void Grower::set_disp(Piece& p, int64_t value) {
  auto& raw = p.d.i.raw.disp;
  std::memcpy(p.bytes.data() + raw.offset, &value, raw.size / 8);
  raw.value = value;
  for (ZydisDecodedOperand& o : p.d.o) {
    if (o.type == ZYDIS_OPERAND_TYPE_MEMORY && o.mem.disp.has_displacement)
      o.mem.disp.value = value;
  }
}

void Grower::set_imm(Piece& p, unsigned which, uint64_t value) {
  auto& raw = p.d.i.raw.imm[which];
  std::memcpy(p.bytes.data() + raw.offset, &value, raw.size / 8);
  raw.value.u = value;
  unsigned seen = 0;
  for (ZydisDecodedOperand& o : p.d.o) {
    if (o.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && seen++ == which) o.imm.value.u = value;
  }
}

uint64_t Grower::data_target(const Piece& p) {
  const uint64_t kind = rng_.below(20);
  uint64_t at = kData + rng_.below(kDataBytes - 64);
  if (kind == 0) at = kConstant + rng_.below(kPage);
  if (kind == 1) at = kData + kPage - rng_.below(20);
  if (kind == 2) at = kHole - rng_.below(20);
  if (kind < 15 || p.locked) at &= ~uint64_t{15};
  if (p.locked) at &= ~uint64_t{63};
  return at;
}

bool Grower::place_memory(Piece& p, const ZydisDecodedOperand& o) {
  const auto& raw = p.d.i.raw.disp;
  const bool visible = o.visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN;
  if (o.mem.base == ZYDIS_REGISTER_RIP || o.mem.base == ZYDIS_REGISTER_EIP) {
    p.rip_relative = true;
    p.data_target = data_target(p);
    return true;
  }
  if (p.d.i.address_width == 16) return visible && wild();
  const unsigned base = number_of(o.mem.base);
  const unsigned index = number_of(o.mem.index);
  if (base == 16 && index == 16) {
    if (raw.size < 32) return false;
    set_disp(p, static_cast<int64_t>(data_target(p)));
    return true;
  }
  if (base == kRsp) {
    if (!g_.stack) return wild() && !p.locked;
    if (p.locked) return false;
  } else if (base != 16) {
    if (!wants(base, Role::kPointer)) return wild() && !p.locked;
  }
  if (index != 16) {
    if (base == 16) {
      if (o.mem.scale != 1 || !wants(index, Role::kPointer)) return wild() && !p.locked;
    } else if (!wants(index, Role::kIndex)) {
      return wild() && !p.locked;
    }
  }
  if (visible && raw.size == 32) {
    int64_t disp = static_cast<int64_t>(rng_.below(1024)) - 512;
    if (rng_.percent(60)) disp &= ~int64_t{15};
    if (options_.wild && rng_.percent(1)) disp = static_cast<int32_t>(rng_.next());
    set_disp(p, disp);
  } else if (visible && raw.size == 8 && rng_.percent(50)) {
    set_disp(p, raw.value & ~int64_t{15});
  }
  return true;
}

bool Grower::place_memories(Piece& p) {
  for (unsigned n = 0; n < p.d.i.operand_count; ++n) {
    if (accesses_memory(p.d.o[n]) && !place_memory(p, p.d.o[n])) return false;
  }
  return true;
}

bool Grower::place_branch(Piece& p) {
  const Decoding& d = p.d;
  const bool wide_prefix = (d.i.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) != 0;
  const bool is_ret = d.i.mnemonic == ZYDIS_MNEMONIC_RET;
  if (d.i.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE && !is_ret) return true;
  // Vendors disagree on the size of such a branch in 64-bit mode; in 32-bit mode it goes where
  // nothing is.
  if (wide_prefix && (s_.mode == Mode::k64 || rng_.percent(90))) return false;
  if (d.i.raw.imm[0].is_relative != 0) {
    p.relative = true;
    p.target = static_cast<uint8_t>(s_.pieces.size() + 1 + rng_.below(3));
    if (d.i.mnemonic == ZYDIS_MNEMONIC_JMP && rng_.percent(80))
      p.target = static_cast<uint8_t>(s_.pieces.size() + 2);
    return true;
  }
  g_.ends = true;
  const bool from_memory = is_ret || d.o[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
  for (const Piece& earlier : s_.pieces) {
    if (from_memory && writes_memory(earlier.d)) return false;  // it could change the target
  }
  if (is_ret) {
    if (d.i.raw.imm[0].size != 0) set_imm(p, 0, rng_.below(64));
    return g_.intact[kRsp];
  }
  if (d.o[0].type == ZYDIS_OPERAND_TYPE_REGISTER) {
    const unsigned r = number_of(d.o[0].reg.value);
    return r != kRsp && wants(r, Role::kCodePointer);
  }
  // The target is put into memory, at an address that must be known.
  return d.o[0].type == ZYDIS_OPERAND_TYPE_MEMORY && d.i.address_width != 16;
}

bool Grower::place_special(Piece& p) {
  const Decoding& d = p.d;
  const ZydisMnemonic m = d.i.mnemonic;
  if (repeats(d) && !wants(kRcx, Role::kCount)) return false;
  if (is_bit_test(m) && d.o[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
      d.o[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
    if (p.locked || !wants(number_of(d.o[1].reg.value), Role::kBitOffset)) return false;
  }
  if (m == ZYDIS_MNEMONIC_SHLD || m == ZYDIS_MNEMONIC_SHRD) {
    // Beyond the width the result is undefined.
    if (d.o[0].size == 16) {
      if (d.o[2].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        set_imm(p, 0, rng_.below(17));
      } else if (!wants(kRcx, Role::kSmall)) {
        return false;
      }
    }
  }
  // They show condition codes that vendors set differently, or hide an exception that would tell.
  const bool no_wait =
      m == ZYDIS_MNEMONIC_FNSTSW || m == ZYDIS_MNEMONIC_FNINIT || m == ZYDIS_MNEMONIC_FNCLEX;
  if (no_wait && !s_.pieces.empty()) return false;
  // Which comes first, an x87 exception that waits or the segment's?
  if (family_of(d) == Family::kX87 && d.o[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
      d.o[0].mem.segment == ZYDIS_REGISTER_CS) {
    return false;
  }
  if (m == ZYDIS_MNEMONIC_BSWAP && d.o[0].size == 16) return false;
  if (m == ZYDIS_MNEMONIC_ENTER) {
    set_imm(p, 0, rng_.percent(95) ? rng_.below(128) : rng_.below(0x2000));
    set_imm(p, 1, rng_.percent(60) ? 0 : rng_.below(rng_.percent(80) ? 4 : 256));
    if (!g_.stack || !wants(kRbp, Role::kPointer)) return false;
  }
  if (m == ZYDIS_MNEMONIC_LEAVE) {
    if (!wants(kRbp, Role::kPointer)) return false;
    g_.stack = true;
  }
  return true;
}

bool Grower::admit(Piece p) {
  if (!is_tested(p.d)) return false;
  const FlagEffects e = flag_effects(p.d, -1);
  if ((e.reads & g_.undefined) != 0) return false;
  const Growth before = g_;
  p.locked = is_locked(p.d);
  if (!place_branch(p) || !place_memories(p) || !place_special(p)) {
    g_ = before;
    return false;
  }
  g_.undefined = (g_.undefined & ~e.writes) | e.undefined;
  for (unsigned n = 0; n < p.d.i.operand_count; ++n) {
    const ZydisDecodedOperand& o = p.d.o[n];
    if (o.type != ZYDIS_OPERAND_TYPE_REGISTER || (o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) == 0)
      continue;
    const unsigned r = number_of(o.reg.value);
    if (r == 16) continue;
    g_.intact[r] = false;
    if (r == kRsp && o.visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN) g_.stack = false;
  }
  s_.pieces.push_back(p);
  s_.roles = g_.roles;
  return true;
}

bool Grower::decode_and_admit(const uint8_t* bytes) {
  Piece p;
  if (!decode(s_.mode, bytes, 15, p.d)) return false;
  p.length = p.d.i.length;
  std::memcpy(p.bytes.data(), bytes, p.length);
  return admit(p);
}

void fill_tail(Random& rng, uint8_t* to, unsigned bytes) {
  for (unsigned i = 0; i < bytes; i += 8) {
    const uint64_t v = rng.percent(50) ? edge_value(rng) : rng.next();
    std::memcpy(to + i, &v, std::min(8u, bytes - i));
  }
}

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

}  // namespace

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
