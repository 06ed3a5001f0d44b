// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu_native/catalogue.h"

#include <algorithm>
#include <map>
#include <string>

namespace gnomon::vmm::native {
namespace {

const ZydisDecoder& decoder(Mode mode) {
  static const auto decoders = [] {
    std::array<ZydisDecoder, 2> d;
    ZydisDecoderInit(&d[0], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecoderInit(&d[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    // Neither the host nor the virtual processor has MPX.
    for (ZydisDecoder& one : d) ZydisDecoderEnableMode(&one, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
    return d;
  }();
  return decoders[mode == Mode::k32];
}

// What the virtual processor's CPUID offers.
bool is_offered(const Decoding& d) {
  if (d.i.meta.isa_set == ZYDIS_ISA_SET_POPCNT) return true;
  switch (d.i.meta.isa_ext) {
    case ZYDIS_ISA_EXT_BASE:
    case ZYDIS_ISA_EXT_LONGMODE:
    case ZYDIS_ISA_EXT_PAUSE:
    case ZYDIS_ISA_EXT_CLFSH:
    case ZYDIS_ISA_EXT_X87:
    case ZYDIS_ISA_EXT_MMX:
    case ZYDIS_ISA_EXT_SSE:
    case ZYDIS_ISA_EXT_SSE2: return true;
    default: return false;
  }
}

// Not for snippets: what goes to the VMM, what shows the system, and results that the manual leaves
// open.
constexpr ZydisMnemonic kExcluded[] = {
    // Flags whole, interrupts, calls of the system, ports, control registers.
    ZYDIS_MNEMONIC_PUSHF,
    ZYDIS_MNEMONIC_PUSHFD,
    ZYDIS_MNEMONIC_PUSHFQ,
    ZYDIS_MNEMONIC_POPF,
    ZYDIS_MNEMONIC_POPFD,
    ZYDIS_MNEMONIC_POPFQ,
    ZYDIS_MNEMONIC_INT,
    ZYDIS_MNEMONIC_INT1,
    ZYDIS_MNEMONIC_INT3,
    ZYDIS_MNEMONIC_INTO,
    ZYDIS_MNEMONIC_IRET,
    ZYDIS_MNEMONIC_IRETD,
    ZYDIS_MNEMONIC_IRETQ,
    ZYDIS_MNEMONIC_SYSCALL,
    ZYDIS_MNEMONIC_SYSRET,
    ZYDIS_MNEMONIC_SYSENTER,
    ZYDIS_MNEMONIC_SYSEXIT,
    ZYDIS_MNEMONIC_IN,
    ZYDIS_MNEMONIC_OUT,
    ZYDIS_MNEMONIC_INSB,
    ZYDIS_MNEMONIC_INSW,
    ZYDIS_MNEMONIC_INSD,
    ZYDIS_MNEMONIC_OUTSB,
    ZYDIS_MNEMONIC_OUTSW,
    ZYDIS_MNEMONIC_OUTSD,
    ZYDIS_MNEMONIC_CLI,
    ZYDIS_MNEMONIC_STI,
    ZYDIS_MNEMONIC_HLT,
    ZYDIS_MNEMONIC_CLTS,
    ZYDIS_MNEMONIC_LMSW,
    ZYDIS_MNEMONIC_SMSW,
    ZYDIS_MNEMONIC_CPUID,
    ZYDIS_MNEMONIC_RDTSC,
    ZYDIS_MNEMONIC_RDPMC,
    ZYDIS_MNEMONIC_RDMSR,
    ZYDIS_MNEMONIC_WRMSR,
    ZYDIS_MNEMONIC_INVD,
    ZYDIS_MNEMONIC_WBINVD,
    ZYDIS_MNEMONIC_INVLPG,
    ZYDIS_MNEMONIC_RSM,
    ZYDIS_MNEMONIC_SWAPGS,
    // Segments and their tables.
    ZYDIS_MNEMONIC_LGDT,
    ZYDIS_MNEMONIC_LIDT,
    ZYDIS_MNEMONIC_LLDT,
    ZYDIS_MNEMONIC_LTR,
    ZYDIS_MNEMONIC_SGDT,
    ZYDIS_MNEMONIC_SIDT,
    ZYDIS_MNEMONIC_SLDT,
    ZYDIS_MNEMONIC_STR,
    ZYDIS_MNEMONIC_LAR,
    ZYDIS_MNEMONIC_LSL,
    ZYDIS_MNEMONIC_VERR,
    ZYDIS_MNEMONIC_VERW,
    ZYDIS_MNEMONIC_ARPL,
    ZYDIS_MNEMONIC_LDS,
    ZYDIS_MNEMONIC_LES,
    ZYDIS_MNEMONIC_LFS,
    ZYDIS_MNEMONIC_LGS,
    ZYDIS_MNEMONIC_LSS,
    // Approximations with results of each vendor's own.
    ZYDIS_MNEMONIC_RCPPS,
    ZYDIS_MNEMONIC_RCPSS,
    ZYDIS_MNEMONIC_RSQRTPS,
    ZYDIS_MNEMONIC_RSQRTSS,
    ZYDIS_MNEMONIC_FSIN,
    ZYDIS_MNEMONIC_FCOS,
    ZYDIS_MNEMONIC_FSINCOS,
    ZYDIS_MNEMONIC_FPTAN,
    ZYDIS_MNEMONIC_FPATAN,
    ZYDIS_MNEMONIC_F2XM1,
    ZYDIS_MNEMONIC_FYL2X,
    ZYDIS_MNEMONIC_FYL2XP1,
    // They show the last x87 instruction's address, which vendors keep differently.
    ZYDIS_MNEMONIC_FNSAVE,
    ZYDIS_MNEMONIC_FNSTENV,
    ZYDIS_MNEMONIC_FXSAVE,
    ZYDIS_MNEMONIC_FXSAVE64,
    // From memory at random they load what faults at once.
    ZYDIS_MNEMONIC_FXRSTOR,
    ZYDIS_MNEMONIC_FXRSTOR64,
    ZYDIS_MNEMONIC_FRSTOR,
    ZYDIS_MNEMONIC_FLDENV,
    // Not documented: some processors take it for FSTP, some do not look whether the register is
    // empty.
    ZYDIS_MNEMONIC_FSTPNCE,
    // Undefined on purpose.
    ZYDIS_MNEMONIC_UD0,
    ZYDIS_MNEMONIC_UD1,
    ZYDIS_MNEMONIC_UD2,
    // Vendors differ on whether they exist in 64-bit mode or after a prefix.
    ZYDIS_MNEMONIC_FDISI8087_NOP,
    ZYDIS_MNEMONIC_FENI8087_NOP,
    ZYDIS_MNEMONIC_FSETPM287_NOP,
};

bool is_excluded(ZydisMnemonic mnemonic) {
  static const std::vector<bool> excluded = [] {
    std::vector<bool> rows(ZYDIS_MNEMONIC_MAX_VALUE + 1, false);
    for (const ZydisMnemonic m : kExcluded) rows[m] = true;
    return rows;
  }();
  return excluded[mnemonic];
}

constexpr uint8_t kFiller = 0x11;

unsigned put_opcode(const Template& t, uint8_t* to) {
  unsigned n = 0;
  if (t.prefix != 0) to[n++] = t.prefix;
  if (t.map != 0) to[n++] = 0x0f;
  if (t.map == 2) to[n++] = 0x38;
  if (t.map == 3) to[n++] = 0x3a;
  to[n++] = t.opcode;
  return n;
}

bool is_prefix_byte(Mode mode, uint8_t b) {
  if (mode == Mode::k64 && (b & 0xf0) == 0x40) return true;
  for (const uint8_t p : {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3}) {
    if (b == p) return true;
  }
  return b == 0x0f;
}

using Found = std::map<ZydisMnemonic, Entry>;

void add(Found& found, const Decoding& d, const Template& t, uint8_t modrm) {
  Entry& e = found[d.i.mnemonic];
  e.mnemonic = d.i.mnemonic;
  e.family = family_of(d);
  const auto same = [&](const Template& u) {
    return u.prefix == t.prefix && u.map == t.map && u.opcode == t.opcode &&
           u.has_modrm == t.has_modrm && u.memory == t.memory;
  };
  auto at = std::find_if(e.templates.begin(), e.templates.end(), same);
  if (at == e.templates.end()) at = e.templates.insert(at, t);
  at->modrm.push_back(modrm);
}

void scan_opcode(Mode mode, Template t, Found& found) {
  for (unsigned modrm = 0; modrm < 256; ++modrm) {
    const unsigned mod = modrm >> 6;
    const unsigned rm = modrm & 7;
    if (mod == 1 || mod == 2 || (mod == 0 && rm != 0)) continue;
    uint8_t bytes[16];
    std::fill_n(bytes, 16, kFiller);
    const unsigned n = put_opcode(t, bytes);
    bytes[n] = static_cast<uint8_t>(modrm);
    Decoding d;
    if (!decode(mode, bytes, 15, d) || !is_tested(d)) continue;
    t.has_modrm = (d.i.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
    // A prefix that changes nothing is the business of others.
    if (t.prefix == 0xf2 || t.prefix == 0xf3) {
      bool used = false;
      for (unsigned i = 0; i < d.i.raw.prefix_count; ++i) {
        used |= d.i.raw.prefixes[i].value == t.prefix &&
                d.i.raw.prefixes[i].type != ZYDIS_PREFIX_TYPE_IGNORED;
      }
      if (!used) continue;
    }
    t.memory = t.has_modrm && mod == 0;
    add(found, d, t, static_cast<uint8_t>(modrm));
    if (!t.has_modrm) return;
  }
}

}  // namespace

bool decode(Mode mode, const uint8_t* bytes, unsigned available, Decoding& out) {
  return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder(mode), bytes, std::min(available, 15u),
                                             &out.i, out.o.data()));
}

std::string disassemble(const Decoding& d, uint64_t at) {
  static const ZydisFormatter formatter = [] {
    ZydisFormatter f;
    ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
    return f;
  }();
  char text[256];
  ZydisFormatterFormatInstruction(&formatter, &d.i, d.o.data(), d.i.operand_count_visible, text,
                                  sizeof text, at, nullptr);
  return text;
}

absl::string_view mnemonic_name(unsigned mnemonic) {
  return ZydisMnemonicGetString(static_cast<ZydisMnemonic>(mnemonic));
}

Family family_of(const Decoding& d) {
  switch (d.i.meta.isa_ext) {
    case ZYDIS_ISA_EXT_X87: return Family::kX87;
    case ZYDIS_ISA_EXT_MMX:
    case ZYDIS_ISA_EXT_SSE:
    case ZYDIS_ISA_EXT_SSE2: return Family::kSse;
    default: return Family::kInteger;
  }
}

bool is_tested(const Decoding& d) {
  if (d.i.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) return false;
  if (!is_offered(d) || is_excluded(d.i.mnemonic)) return false;
  if ((d.i.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) != 0) return false;
  if (d.i.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) return false;
  // Some processors have no 0F 0D with a register.
  if (d.i.opcode_map == ZYDIS_OPCODE_MAP_0F && d.i.opcode == 0x0d && d.i.raw.modrm.mod == 3)
    return false;
  // Some processors read 32 bits here, some 16.
  if (d.i.mnemonic == ZYDIS_MNEMONIC_MOVSXD && d.o[0].size == 16) return false;
  // With F2 or F3 some processors take their condition from the prefix.
  if (d.i.mnemonic == ZYDIS_MNEMONIC_LOOPE || d.i.mnemonic == ZYDIS_MNEMONIC_LOOPNE) {
    for (unsigned i = 0; i < d.i.raw.prefix_count; ++i) {
      if ((d.i.raw.prefixes[i].value & 0xfe) == 0xf2) return false;
    }
  }
  // F3 REX.B 90 is PAUSE to the decoder and XCHG to processors.
  if (d.i.mnemonic == ZYDIS_MNEMONIC_PAUSE && d.i.raw.rex.B != 0) return false;
  for (unsigned n = 0; n < d.i.operand_count; ++n) {
    const ZydisDecodedOperand& o = d.o[n];
    if (o.type == ZYDIS_OPERAND_TYPE_MEMORY &&
        (o.mem.segment == ZYDIS_REGISTER_FS || o.mem.segment == ZYDIS_REGISTER_GS)) {
      return false;  // the host's thread lives there
    }
    if (o.type == ZYDIS_OPERAND_TYPE_POINTER) return false;
    if (o.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
    const ZydisRegisterClass c = ZydisRegisterGetClass(o.reg.value);
    const bool visible = n < d.i.operand_count_visible;
    if (visible &&
        (c == ZYDIS_REGCLASS_SEGMENT || c == ZYDIS_REGCLASS_CONTROL || c == ZYDIS_REGCLASS_DEBUG)) {
      return false;
    }
  }
  return true;
}

const std::vector<Entry>& catalogue(Mode mode) {
  static const auto both = [] {
    std::array<std::vector<Entry>, 2> lists;
    for (const Mode m : {Mode::k64, Mode::k32}) {
      Found found;
      for (uint8_t map = 0; map < 4; ++map) {
        for (unsigned opcode = 0; opcode < 256; ++opcode) {
          if (map == 0 && is_prefix_byte(m, static_cast<uint8_t>(opcode))) continue;
          for (const uint8_t prefix : {0x00, 0x66, 0xf2, 0xf3}) {
            Template t;
            t.prefix = prefix;
            t.map = map;
            t.opcode = static_cast<uint8_t>(opcode);
            scan_opcode(m, t, found);
          }
        }
      }
      for (auto& [mnemonic, entry] : found) lists[m == Mode::k32].push_back(std::move(entry));
    }
    return lists;
  }();
  return both[mode == Mode::k32];
}

}  // namespace gnomon::vmm::native
