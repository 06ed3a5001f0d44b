// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu_native/compare.h"

#include <cstring>

#include "absl/strings/str_format.h"
#include "gnomon/vmm/cpu_state.h"

namespace gnomon::vmm::native {
namespace {

constexpr const char* kNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                  "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

// The kernel says that what users may never have is present, whether it is or not.
constexpr uint64_t kUserEnd = 0x7fff'ffff'f000;
uint32_t error_of(const Stop& s) {
  if (s.vector < 8 || s.vector == 9 || s.vector > 14) return 0;
  return s.vector == 14 && s.cr2 >= kUserEnd ? s.error & ~1u : s.error;
}

bool same_stop(const Result& a, const Result& b) {
  if (a.stop.vector != b.stop.vector) return false;
  if (a.stop.vector == Stop::kEnd) return true;
  if (a.state.rip != b.state.rip || error_of(a.stop) != error_of(b.stop)) return false;
  return a.stop.vector != 14 || a.stop.cr2 == b.stop.cr2;
}

unsigned registers(const Snippet& s) { return s.mode == Mode::k64 ? 16 : 8; }
uint64_t mask(const Snippet& s) { return s.mode == Mode::k64 ? ~uint64_t{0} : 0xffff'ffff; }

bool same_gpr(const Snippet& s, const Result& a, const Result& b, unsigned r) {
  return ((a.state.gpr[r] ^ b.state.gpr[r]) & mask(s)) == 0;
}

uint64_t compared_flags(uint32_t undefined) {
  return (flag::kArithmetic | flag::kDF) & ~uint64_t{undefined};
}

std::string hex(const uint8_t* bytes, unsigned count) {
  std::string out;
  for (unsigned i = count; i-- > 0;) absl::StrAppendFormat(&out, "%02x", bytes[i]);
  return out;
}

std::string text_of(const Result& r) {
  if (r.stop.vector == Stop::kEnd) return "end";
  if (r.stop.vector == Stop::kSensitive) return absl::StrFormat("to the VMM at %x", r.state.rip);
  if (r.stop.vector == Stop::kEndless) return absl::StrFormat("does not end, at %x", r.state.rip);
  if (r.stop.vector == Stop::kOther)
    return absl::StrFormat("stopped for another reason at %x", r.state.rip);
  return absl::StrFormat("vector %d error %x cr2 %x rip %x", r.stop.vector, error_of(r.stop),
                         r.stop.vector == 14 ? r.stop.cr2 : 0, r.state.rip);
}

// The bit of MXCSR that lets vector operands be misaligned, which Intel's processors do not have.
constexpr uint32_t kMisaligned = 1u << 17;
constexpr uint32_t kPrecision = 1u << 5;

// MXCSR after an exception: whether it tells of a loss of precision beside an overflow is the
// implementation's.
uint32_t mxcsr_of(const Result& r) {
  return r.stop.vector == 19 ? r.state.fx.mxcsr & ~kPrecision : r.state.fx.mxcsr;
}

// Whether the registers have become MMX registers when the conversion raises its own exception.
bool is_mmx_conversion(ZydisMnemonic m) {
  switch (m) {
    case ZYDIS_MNEMONIC_CVTPD2PI:
    case ZYDIS_MNEMONIC_CVTPI2PD:
    case ZYDIS_MNEMONIC_CVTPI2PS:
    case ZYDIS_MNEMONIC_CVTPS2PI:
    case ZYDIS_MNEMONIC_CVTTPD2PI:
    case ZYDIS_MNEMONIC_CVTTPS2PI: return true;
    default: return false;
  }
}

// Accesses several places, of which any may fault first, and may have done part of its work by
// then.
bool touches_several(ZydisMnemonic m) {
  switch (m) {
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_CMPSQ:
    case ZYDIS_MNEMONIC_ENTER:
    case ZYDIS_MNEMONIC_PUSHA:
    case ZYDIS_MNEMONIC_PUSHAD:
    case ZYDIS_MNEMONIC_POPA:
    case ZYDIS_MNEMONIC_POPAD: return true;
    default: return false;
  }
}

bool is_fcomi(ZydisMnemonic m) {
  return m == ZYDIS_MNEMONIC_FCOMI || m == ZYDIS_MNEMONIC_FCOMIP || m == ZYDIS_MNEMONIC_FUCOMI ||
         m == ZYDIS_MNEMONIC_FUCOMIP;
}

// The x87 status word without condition codes that vendors set differently: all after an exception
// that is not masked (SDM vol. 1, 8.1.3), and C1 after comparisons that set EFLAGS.
uint16_t status_of(const Snippet& s, const Result& r) {
  uint16_t status = r.state.fx.status;
  if ((status & 0x80) != 0) status &= static_cast<uint16_t>(~0x4700);
  for (const Piece& p : s.pieces) {
    if (is_fcomi(p.d.i.mnemonic)) status &= static_cast<uint16_t>(~0x200);
  }
  return status;
}

}  // namespace

uint32_t undefined_after(const Snippet& s, const Input& input, const Result& host) {
  bool sound = true;
  const auto before = undefined_flags(s, static_cast<int64_t>(input.state.gpr[kRcx] & 0xff), sound);
  if (host.stop.vector == Stop::kEnd) return before[s.pieces.size()];
  if (const size_t at = s.piece_at(host.state.rip); at < s.pieces.size()) return before[at];
  uint32_t all = 0;  // it jumped out of the code
  for (const uint32_t one : before) all |= one;
  return all;
}

bool is_open(const Snippet& s, const Result& host, const Result& guest) {
  if ((host.state.fx.mxcsr & kMisaligned) != 0) return true;
  // Whether a comparison whose exception is not masked sets EFLAGS.
  for (const Piece& p : s.pieces) {
    if (is_fcomi(p.d.i.mnemonic) && (host.state.fx.status & 0x80) != 0) return true;
  }
  const auto faults_at = [&](const Result& r) {
    if ((r.stop.vector < 12 || r.stop.vector > 14) && r.stop.vector != 19)
      return ZYDIS_MNEMONIC_INVALID;
    const size_t at = s.piece_at(r.state.rip);
    return at == s.pieces.size() ? ZYDIS_MNEMONIC_INVALID : s.pieces[at].d.i.mnemonic;
  };
  const ZydisMnemonic by_host = faults_at(host);
  const ZydisMnemonic by_guest = faults_at(guest);
  for (const ZydisMnemonic m : {ZYDIS_MNEMONIC_MASKMOVDQU, ZYDIS_MNEMONIC_MASKMOVQ}) {
    if (by_host == m || by_guest == m) return true;
  }
  if (by_host == by_guest && touches_several(by_host)) return true;
  if (host.stop.vector == 19 && guest.stop.vector == 19 && is_mmx_conversion(by_host)) return true;
  // An operand that goes from the end of a segment of 4 GiB to its start (SDM vol. 3, 5.3).
  const uint64_t at = guest.stop.cr2;
  return s.mode == Mode::k32 && (host.stop.vector == 12 || host.stop.vector == 13) &&
         guest.stop.vector == 14 && (at < 512 || at >= 0xffff'fe00);
}

bool same(const Snippet& s, const Result& host, const Result& guest, uint32_t undefined) {
  if (!same_stop(host, guest)) return false;
  for (unsigned r = 0; r < registers(s); ++r) {
    if (!same_gpr(s, host, guest, r)) return false;
  }
  if (((host.state.rflags ^ guest.state.rflags) & compared_flags(undefined)) != 0) return false;
  const FxImage& a = host.state.fx;
  const FxImage& b = guest.state.fx;
  if (mxcsr_of(host) != mxcsr_of(guest) || a.control != b.control ||
      status_of(s, host) != status_of(s, guest) || a.tags != b.tags)
    return false;
  for (unsigned i = 0; i < 8; ++i) {
    if (std::memcmp(a.st[i], b.st[i], 10) != 0) return false;
  }
  return std::memcmp(a.xmm, b.xmm, registers(s) * 16) == 0;
}

std::string differences(const Snippet& s, const Result& host, const Result& guest,
                        uint32_t undefined) {
  std::string out;
  if (!same_stop(host, guest)) {
    absl::StrAppendFormat(&out, "  stop: host %s; guest %s\n", text_of(host), text_of(guest));
  } else if (host.stop.vector != Stop::kEnd) {
    absl::StrAppendFormat(&out, "  (both: %s)\n", text_of(host));
  }
  const auto number = [&](const char* name, uint64_t h, uint64_t g) {
    if (h != g) absl::StrAppendFormat(&out, "  %s: host %x guest %x\n", name, h, g);
  };
  for (unsigned r = 0; r < registers(s); ++r) {
    number(kNames[r], host.state.gpr[r] & mask(s), guest.state.gpr[r] & mask(s));
  }
  const uint64_t flags = compared_flags(undefined);
  number("flags", host.state.rflags & flags, guest.state.rflags & flags);
  const FxImage& a = host.state.fx;
  const FxImage& b = guest.state.fx;
  number("mxcsr", mxcsr_of(host), mxcsr_of(guest));
  number("fcw", a.control, b.control);
  number("fsw", status_of(s, host), status_of(s, guest));
  number("tags", a.tags, b.tags);
  for (unsigned i = 0; i < 8; ++i) {
    if (std::memcmp(a.st[i], b.st[i], 10) == 0) continue;
    absl::StrAppendFormat(&out, "  st%d: host %s guest %s\n", i, hex(a.st[i], 10),
                          hex(b.st[i], 10));
  }
  for (unsigned i = 0; i < registers(s); ++i) {
    if (std::memcmp(a.xmm[i], b.xmm[i], 16) == 0) continue;
    absl::StrAppendFormat(&out, "  xmm%d: host %s guest %s\n", i, hex(a.xmm[i], 16),
                          hex(b.xmm[i], 16));
  }
  return out;
}

std::string describe(const Snippet& s, const Input& input) {
  std::string out = " ";
  for (unsigned r = 0; r < registers(s); ++r) {
    absl::StrAppendFormat(&out, " %s=%x", kNames[r], input.state.gpr[r]);
  }
  absl::StrAppendFormat(&out, " flags=%x", input.state.rflags);
  bool x87 = false;
  bool sse = false;
  for (const Piece& p : s.pieces) {
    x87 |= family_of(p.d) == Family::kX87;
    sse |= family_of(p.d) == Family::kSse;
  }
  const FxImage& fx = input.state.fx;
  if (x87) {
    absl::StrAppendFormat(&out, "\n  fcw=%x fsw=%x tags=%x", fx.control, fx.status, fx.tags);
    for (unsigned i = 0; i < 8; ++i) absl::StrAppendFormat(&out, " st%d=%s", i, hex(fx.st[i], 10));
  }
  if (sse) {
    absl::StrAppendFormat(&out, "\n  mxcsr=%x", fx.mxcsr);
    for (unsigned i = 0; i < registers(s); ++i)
      absl::StrAppendFormat(&out, " xmm%d=%s", i, hex(fx.xmm[i], 16));
  }
  out += '\n';
  return out;
}

}  // namespace gnomon::vmm::native
