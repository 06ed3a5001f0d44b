// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu_native/snippet.h"

#include <cstring>

#include "gnomon/vmm/cpu_state.h"

namespace gnomon::vmm::native {
namespace {

constexpr uint32_t kAll = flag::kArithmetic;
constexpr uint32_t kCF = flag::kCF, kOF = flag::kOF, kAF = flag::kAF;
constexpr uint32_t kResult = flag::kSF | flag::kZF | flag::kPF;

bool is_shift(ZydisMnemonic m) {
  switch (m) {
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD: return true;
    default: return false;
  }
}

bool is_rotate(ZydisMnemonic m) {
  switch (m) {
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR: return true;
    default: return false;
  }
}

// SDM vol. 2, "Flags affected" of the shifts and rotates.
FlagEffects shift_effects(const Decoding& d, int cl) {
  const unsigned width = d.o[0].size;
  const ZydisMnemonic m = d.i.mnemonic;
  const bool rotate = is_rotate(m);
  const ZydisDecodedOperand& by = d.o[d.i.operand_count_visible - 1];
  int count = cl;
  if (by.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) count = static_cast<int>(by.imm.value.u & 0xff);
  FlagEffects e;
  if (m == ZYDIS_MNEMONIC_RCL || m == ZYDIS_MNEMONIC_RCR) e.reads = kCF;
  if (count < 0) {
    e.undefined = kOF | (rotate ? 0 : kAF);
    if (!rotate && m != ZYDIS_MNEMONIC_SAR && width < 32) e.undefined |= kCF;
    return e;
  }
  count &= width == 64 ? 63 : 31;
  if (count == 0) return e;
  if (count != 1) e.undefined |= kOF;
  if (rotate) {
    // A rotation by a multiple of the width may leave CF.
    e.writes = m == ZYDIS_MNEMONIC_ROL || m == ZYDIS_MNEMONIC_ROR ? kCF : 0;
    if (count == 1) e.writes = kCF | kOF;
    return e;
  }
  e.writes = kResult | kCF | (count == 1 ? kOF : 0);
  e.undefined |= kAF;
  const bool whole = static_cast<unsigned>(count) >= width;
  if (whole && (m == ZYDIS_MNEMONIC_SHL || m == ZYDIS_MNEMONIC_SHR)) {
    e.undefined |= kCF;
    e.writes &= ~kCF;
  }
  return e;
}

}  // namespace

size_t Snippet::piece_at(uint64_t rip) const {
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (starts[i] == rip) return i;
  }
  return pieces.size();
}

std::string Snippet::text() const {
  std::string out;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto* const at = code.data() + (starts[i] - start());
    Decoding d;
    char head[80];
    int n =
        std::snprintf(head, sizeof head, "  %06llx ", static_cast<unsigned long long>(starts[i]));
    for (unsigned k = 0; k < pieces[i].length; ++k) {
      n += std::snprintf(head + n, sizeof head - static_cast<size_t>(n), " %02x", at[k]);
    }
    out += head;
    out.resize(out.size() + (n < 44 ? 44 - static_cast<unsigned>(n) : 1), ' ');
    out += decode(mode, at, pieces[i].length, d) ? disassemble(d, starts[i]) : "(undefined)";
    out += '\n';
  }
  return out;
}

void assemble(Snippet& s) {
  size_t bytes = 0;
  for (const Piece& p : s.pieces) bytes += p.length;
  uint64_t at = s.end - bytes;
  for (size_t i = 0; i < s.pieces.size(); ++i) {
    s.starts[i] = at;
    at += s.pieces[i].length;
  }
  s.starts[s.pieces.size()] = s.end;
  s.code.clear();
  for (size_t i = 0; i < s.pieces.size(); ++i) {
    Piece& p = s.pieces[i];
    const uint64_t after = s.starts[i + 1];
    if (p.relative) {
      const size_t target = p.target < s.pieces.size() ? p.target : s.pieces.size();
      const int64_t distance = static_cast<int64_t>(s.starts[target] - after);
      std::memcpy(p.bytes.data() + p.d.i.raw.imm[0].offset, &distance, p.d.i.raw.imm[0].size / 8);
    }
    if (p.rip_relative) {
      const auto distance = static_cast<int32_t>(p.data_target - after);
      std::memcpy(p.bytes.data() + p.d.i.raw.disp.offset, &distance, 4);
    }
    s.code.insert(s.code.end(), p.bytes.begin(), p.bytes.begin() + p.length);
  }
}

unsigned number_of(ZydisRegister r) {
  switch (ZydisRegisterGetClass(r)) {
    case ZYDIS_REGCLASS_GPR8:
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
      return static_cast<unsigned>(
          ZydisRegisterGetId(ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r)));
    default: return 16;
  }
}

FlagEffects flag_effects(const Decoding& d, int count) {
  if (is_shift(d.i.mnemonic) || is_rotate(d.i.mnemonic)) return shift_effects(d, count);
  FlagEffects e;
  if (d.i.cpu_flags == nullptr) return e;
  const ZydisAccessedFlags& f = *d.i.cpu_flags;
  e.reads = f.tested & kAll;
  e.undefined = f.undefined & kAll;
  e.writes = (f.modified | f.set_0 | f.set_1) & kAll & ~e.undefined;
  // With a count of 0 a repeated comparison leaves them.
  if ((d.i.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) !=
      0)
    e.writes = 0;
  return e;
}

std::array<uint32_t, kMaxPieces + 1> undefined_flags(const Snippet& s, int64_t rcx, bool& sound) {
  std::array<uint32_t, kMaxPieces + 1> before{};
  bool rcx_known = rcx >= 0;
  for (size_t i = 0; i < s.pieces.size(); ++i) {
    const Decoding& d = s.pieces[i].d;
    const FlagEffects e = flag_effects(d, rcx_known ? static_cast<int>(rcx & 0xff) : -1);
    if ((e.reads & before[i]) != 0) sound = false;
    const uint32_t after = (before[i] & ~e.writes) | e.undefined;
    before[i + 1] |= after;
    if (s.pieces[i].relative) {
      const size_t target = std::min<size_t>(s.pieces[i].target, s.pieces.size());
      before[target] |= after;
    }
    for (unsigned n = 0; n < d.i.operand_count; ++n) {
      if (d.o[n].type == ZYDIS_OPERAND_TYPE_REGISTER &&
          (d.o[n].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0 &&
          number_of(d.o[n].reg.value) == kRcx) {
        rcx_known = false;
      }
    }
  }
  return before;
}

}  // namespace gnomon::vmm::native
