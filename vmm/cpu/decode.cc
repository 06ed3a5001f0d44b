// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/decode.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "vmm/cpu/cpu.h"

namespace gnomon::vmm {
namespace {

using Bind = bool (*)(const Decoded&, Op&);

// MOVSD and CMPSD name an instruction on strings and one on vectors: who is bound later is asked
// first, and leaves `op` alone if it is not its own.
struct Binds {
  Bind last = nullptr;
  Bind before = nullptr;

  bool operator()(const Decoded& d, Op& op) const {
    return (last != nullptr && last(d, op)) || (before != nullptr && before(d, op));
  }
};

const std::vector<Binds>& bindings() {
  static const std::vector<Binds> table = [] {
    std::vector<Binds> rows(ZYDIS_MNEMONIC_MAX_VALUE + 1);
    for (const auto& part :
         {move_bindings(),         convert_bindings(),     condition_bindings(),
          hint_bindings(),         arithmetic_bindings(),  shift_bindings(),
          double_shift_bindings(), multiply_bindings(),    bit_bindings(),
          exchange_bindings(),     branch_bindings(),      stack_bindings(),
          string_bindings(),       decimal_bindings(),     x87_bindings(),
          sse_move_bindings(),     sse_float_bindings(),   sse_convert_bindings(),
          sse_integer_bindings(),  sse_shuffle_bindings(), fpu_state_bindings(),
          sensitive_bindings()}) {
      for (const Binding& b : part) rows[b.mnemonic] = {b.bind, rows[b.mnemonic].last};
    }
    return rows;
  }();
  return table;
}

const ZydisDecoder& decoder_for(uint8_t mode) {
  static const std::array<ZydisDecoder, 3> decoders = [] {
    std::array<ZydisDecoder, 3> d;
    ZydisDecoderInit(&d[code_mode::k16], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&d[code_mode::k32], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecoderInit(&d[code_mode::k64], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    // All of the space that MPX took are NOPs of the processors before it; Zydis knows of registers
    // that it does not have.
    for (ZydisDecoder& one : d) ZydisDecoderEnableMode(&one, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
    return d;
  }();
  return decoders[mode & code_mode::kBits];
}

// A general register of any width as its byte offset in the register file; others as their number.
uint8_t register_operand(ZydisRegister r) {
  const auto id = static_cast<uint8_t>(ZydisRegisterGetId(r));
  switch (ZydisRegisterGetClass(r)) {
    case ZYDIS_REGCLASS_GPR8:
      if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH) {
        return static_cast<uint8_t>(8 * (r - ZYDIS_REGISTER_AH) + 1);
      }
      if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B) {
        return static_cast<uint8_t>(8 * (r - ZYDIS_REGISTER_SPL + kRsp));
      }
      return static_cast<uint8_t>(8 * (r - ZYDIS_REGISTER_AL));
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64: return static_cast<uint8_t>(8 * id);
    default: return id;
  }
}

uint8_t address_register(ZydisRegister r) {
  if (r == ZYDIS_REGISTER_NONE) return kNoRegister;
  return static_cast<uint8_t>(ZydisRegisterGetId(r));
}

uint8_t segment_number(ZydisRegister r) {
  switch (r) {
    case ZYDIS_REGISTER_ES: return kEs;
    case ZYDIS_REGISTER_CS: return kCs;
    case ZYDIS_REGISTER_SS: return kSs;
    case ZYDIS_REGISTER_DS: return kDs;
    case ZYDIS_REGISTER_FS: return kFs;
    case ZYDIS_REGISTER_GS: return kGs;
    default: return kNoSegment;
  }
}

uint64_t mask_of_bits(unsigned bits) {
  return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
}

void fill_memory(const Decoded& d, const ZydisDecodedOperand& o, Op& op) {
  op.flags |= op_flag::kMemory;
  op.segment = segment_number(o.mem.segment);
  if ((d.mode & code_mode::kBits) == code_mode::k64 && op.segment < kFs) {
    // Bases are 0, but the stack segment's faults are #SS.
    if (op.segment != kSs) op.segment = kNoSegment;
  }
  op.address_mask = mask_of_bits(d.i.address_width);
  op.scale = o.mem.scale == 8 ? 3 : o.mem.scale == 4 ? 2 : o.mem.scale == 2 ? 1 : 0;
  op.disp = static_cast<int32_t>(o.mem.disp.has_displacement ? o.mem.disp.value : 0);
  op.index = address_register(o.mem.index);
  if (o.mem.base == ZYDIS_REGISTER_RIP || o.mem.base == ZYDIS_REGISTER_EIP) {
    // Who makes the block adds where the instruction ends, less than a page from its start. So that
    // the sum always fits, a page of a displacement close to 2^31 is added by way of the index,
    // which such an operand does not have.
    op.base = kBlockStart;
    constexpr int32_t kPageBytes = 4096;
    if (op.disp > std::numeric_limits<int32_t>::max() - kPageBytes) {
      op.disp -= kPageBytes;
      op.index = kPageStep;
    }
  } else {
    op.base = address_register(o.mem.base);
  }
  // Zydis 4.0 sees a base where there is none, in 64-bit code with 32-bit addresses and REX.B.
  const auto& raw = d.i.raw;
  if (raw.modrm.mod == 0 && raw.modrm.rm == 4 && raw.sib.base == 5 && d.i.address_width != 16 &&
      op.base != kBlockStart) {
    op.base = kNoRegister;
    op.disp = static_cast<int32_t>(raw.disp.value);
  }
}

void fill_operands(const Decoded& d, Op& op) {
  op.length = d.i.length;
  op.size = static_cast<uint8_t>(d.i.operand_width / 8);
  op.code = static_cast<uint16_t>(d.i.mnemonic);
  op.address_mask = mask_of_bits(d.i.address_width);
  if ((d.i.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0) op.flags |= op_flag::kLock;
  if ((d.i.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE)) != 0)
    op.flags |= op_flag::kRep;
  if ((d.i.attributes & ZYDIS_ATTRIB_HAS_REPNE) != 0) op.flags |= op_flag::kRepne;
  if ((d.i.attributes & ZYDIS_ATTRIB_HAS_REX) != 0 && d.i.raw.rex.W != 0)
    op.flags |= op_flag::kWide;
  if ((d.mode & code_mode::kFlat) == 0) op.flags |= op_flag::kChecked;
  uint8_t* const registers[] = {&op.r1, &op.r2, &op.r3};
  unsigned found = 0;
  for (unsigned n = 0; n < d.visible(); ++n) {
    const ZydisDecodedOperand& o = d.operand(n);
    if (o.type == ZYDIS_OPERAND_TYPE_MEMORY) fill_memory(d, o, op);
    if (o.type == ZYDIS_OPERAND_TYPE_REGISTER && found < 3) {
      *registers[found++] = register_operand(o.reg.value);
    }
  }
  for (unsigned n = 0; n < d.visible(); ++n) {
    const ZydisDecodedOperand& o = d.operand(n);
    if (o.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
      if (o.imm.is_relative) op.flags |= op_flag::kRelative;
      op.imm = o.imm.is_signed ? static_cast<uint64_t>(o.imm.value.s) : o.imm.value.u;
      break;
    }
  }
}

// Can the operand's access meet a limit or a right of its segment in this mode?
bool needs_check(uint8_t mode, uint8_t segment) {
  if ((mode & code_mode::kBits) == code_mode::k64 || segment == kNoSegment) return false;
  if ((mode & code_mode::kFlat) == 0) return true;
  return segment == kFs || segment == kGs || segment == kCs;
}

void add_check(const Decoded& d, DecodedOp& out) {
  out.checked = true;
  out.check.run = handlers::check_segment;
  for (unsigned n = 0; n < d.visible(); ++n) {
    if (!d.is_memory(n)) continue;
    out.check.size = static_cast<uint8_t>(std::clamp(d.bytes(n), 1u, 255u));
    out.check.r1 = (d.operand(n).actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
  }
}

// How many bytes it takes to see that what begins here is no instruction: any of them may be
// changed to make it one.
unsigned bytes_of_undefined(const uint8_t* bytes, unsigned available, uint8_t mode) {
  ZydisDecodedInstruction i;
  for (unsigned n = 1; n < available; ++n) {
    const ZyanStatus status =
        ZydisDecoderDecodeInstruction(&decoder_for(mode), nullptr, bytes, n, &i);
    if (status != ZYDIS_STATUS_NO_MORE_DATA) return n;
  }
  return available;
}

// What the decoder says of an instruction that must not have LOCK, if it has not: its length counts
// first.
ZyanStatus status_without_lock(const uint8_t* bytes, unsigned available, uint8_t mode) {
  std::array<uint8_t, ZYDIS_MAX_INSTRUCTION_LENGTH> copy;
  std::copy_n(bytes, available, copy.begin());
  constexpr std::array<uint8_t, 11> kPrefixes = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                                 0x66, 0x67, 0xf0, 0xf2, 0xf3};
  const auto is_prefix = [&](uint8_t b) {
    return std::find(kPrefixes.begin(), kPrefixes.end(), b) != kPrefixes.end();
  };
  const auto opcode = std::find_if_not(copy.begin(), copy.begin() + available, is_prefix);
  std::replace(copy.begin(), opcode, uint8_t{0xf0}, uint8_t{0x3e});
  ZydisDecodedInstruction i;
  return ZydisDecoderDecodeInstruction(&decoder_for(mode), nullptr, copy.data(), available, &i);
}

}  // namespace

unsigned decode(const uint8_t* bytes, unsigned available, uint8_t mode, DecodedOp& out) {
  out = DecodedOp{};
  Op& op = out.op;
  Decoded d;
  d.mode = mode;
  ZyanStatus status =
      ZydisDecoderDecodeFull(&decoder_for(mode), bytes, available, &d.i, d.o.data());
  const bool is_locked = status == ZYDIS_STATUS_ILLEGAL_LOCK;
  if (is_locked) status = status_without_lock(bytes, available, mode);
  if (status == ZYDIS_STATUS_NO_MORE_DATA && available < ZYDIS_MAX_INSTRUCTION_LENGTH) return 0;
  const auto faults = [&](Handler handler, unsigned length) {
    op = Op{};
    op.run = handler;
    op.flags = op_flag::kEnds;
    op.length = static_cast<uint8_t>(length);
    return length;
  };
  if (status == ZYDIS_STATUS_NO_MORE_DATA || status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG) {
    return faults(handlers::too_long, available);
  }
  if (is_locked || !ZYAN_SUCCESS(status))
    return faults(handlers::undefined, bytes_of_undefined(bytes, available, mode));
  if (d.i.mnemonic == ZYDIS_MNEMONIC_PAUSE && d.i.raw.rex.B != 0) {
    // Zydis 4.0 says PAUSE; processors exchange RAX and R8. The same without the F3, which becomes
    // a prefix that 64-bit mode ignores.
    std::array<uint8_t, ZYDIS_MAX_INSTRUCTION_LENGTH> copy;
    std::replace_copy(bytes, bytes + d.i.length, copy.begin(), uint8_t{0xf3}, uint8_t{0x3e});
    ZydisDecoderDecodeFull(&decoder_for(mode), copy.data(), d.i.length, &d.i, d.o.data());
  }
  fill_operands(d, op);
  if (!bindings()[d.i.mnemonic](d, op)) return faults(handlers::undefined, d.i.length);
  if ((op.flags & op_flag::kMemory) != 0 && needs_check(mode, op.segment)) add_check(d, out);
  return d.i.length;
}

}  // namespace gnomon::vmm
