// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu_native/grower.h"

#include <cstring>

namespace gnomon::vmm::native {
namespace {

bool is_bit_test(ZydisMnemonic m) {
  return m == ZYDIS_MNEMONIC_BT || m == ZYDIS_MNEMONIC_BTS || m == ZYDIS_MNEMONIC_BTR ||
         m == ZYDIS_MNEMONIC_BTC;
}

bool writes_memory(const Decoding& d) {
  for (unsigned n = 0; n < d.i.operand_count; ++n) {
    if (accesses_memory(d.o[n]) && (d.o[n].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0)
      return true;
  }
  return false;
}

}  // namespace

bool is_locked(const Decoding& d) {
  return (d.i.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0 ||
         (d.i.mnemonic == ZYDIS_MNEMONIC_XCHG && d.o[0].type == ZYDIS_OPERAND_TYPE_MEMORY) ||
         (d.i.mnemonic == ZYDIS_MNEMONIC_XCHG && d.o[1].type == ZYDIS_OPERAND_TYPE_MEMORY);
}

bool repeats(const Decoding& d) {
  return (d.i.attributes &
          (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) != 0;
}

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

}  // namespace gnomon::vmm::native
