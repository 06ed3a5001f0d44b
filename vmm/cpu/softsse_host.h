// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_SOFTSSE_HOST_H_
#define VMM_CPU_SOFTSSE_HOST_H_

#include <Zydis/Mnemonic.h>
#include <emmintrin.h>

#include <cstdint>

#include "gnomon/vmm/cpu_state.h"

// The host's vector instructions, each by the name it has in the guest: the result is the host's,
// bit for bit, and the same on all hosts, as the manual leaves nothing open. Needs an x86-64 host;
// nothing else in the vector unit does.

namespace gnomon::vmm {

using Vector128 = __m128i;

namespace host {

inline Vector128 load(const Xmm& x) {
  return _mm_load_si128(reinterpret_cast<const __m128i*>(x.q.data()));
}
inline void store(Xmm& x, Vector128 v) {
  _mm_store_si128(reinterpret_cast<__m128i*>(x.q.data()), v);
}
inline Vector128 make(uint64_t low, uint64_t high = 0) {
  return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
}
inline uint64_t low(Vector128 v) { return static_cast<uint64_t>(_mm_cvtsi128_si64(v)); }
inline uint64_t high(Vector128 v) { return low(_mm_unpackhi_epi64(v, v)); }

// Volatile, as are the instructions that set its flags: the compiler keeps them in order.
inline uint32_t mxcsr() {
  uint32_t value;
  asm volatile("stmxcsr %0" : "=m"(value));
  return value;
}
inline void set_mxcsr(uint32_t value) { asm volatile("ldmxcsr %0" : : "m"(value)); }

/// `Instruction<m>::run(a, b)`: the destination after the instruction, where `a` is it before and
/// `b` the source.
template <ZydisMnemonic mnemonic>
struct Instruction;

#define GNOMON_FLOAT(name, text)                       \
  template <>                                          \
  struct Instruction<ZYDIS_MNEMONIC_##name> {          \
    static Vector128 run(Vector128 a, Vector128 b) {   \
      asm volatile(text " %1, %0" : "+x"(a) : "x"(b)); \
      return a;                                        \
    }                                                  \
  }
#define GNOMON_INTEGER(name, text)                   \
  template <>                                        \
  struct Instruction<ZYDIS_MNEMONIC_##name> {        \
    static Vector128 run(Vector128 a, Vector128 b) { \
      asm(text " %1, %0" : "+x"(a) : "x"(b));        \
      return a;                                      \
    }                                                \
  }
#define GNOMON_FLOAT_4(name, text)   \
  GNOMON_FLOAT(name##PS, text "ps"); \
  GNOMON_FLOAT(name##SS, text "ss"); \
  GNOMON_FLOAT(name##PD, text "pd"); \
  GNOMON_FLOAT(name##SD, text "sd")

GNOMON_FLOAT_4(ADD, "add");
GNOMON_FLOAT_4(SUB, "sub");
GNOMON_FLOAT_4(MUL, "mul");
GNOMON_FLOAT_4(DIV, "div");
GNOMON_FLOAT_4(MIN, "min");
GNOMON_FLOAT_4(MAX, "max");
GNOMON_FLOAT_4(SQRT, "sqrt");
GNOMON_FLOAT(CVTPS2PD, "cvtps2pd");
GNOMON_FLOAT(CVTPD2PS, "cvtpd2ps");
GNOMON_FLOAT(CVTSS2SD, "cvtss2sd");
GNOMON_FLOAT(CVTSD2SS, "cvtsd2ss");
GNOMON_FLOAT(CVTDQ2PS, "cvtdq2ps");
GNOMON_FLOAT(CVTDQ2PD, "cvtdq2pd");
GNOMON_FLOAT(CVTPS2DQ, "cvtps2dq");
GNOMON_FLOAT(CVTPD2DQ, "cvtpd2dq");
GNOMON_FLOAT(CVTTPS2DQ, "cvttps2dq");
GNOMON_FLOAT(CVTTPD2DQ, "cvttpd2dq");

#define GNOMON_INTEGER_3(name, text) \
  GNOMON_INTEGER(name##B, text "b"); \
  GNOMON_INTEGER(name##W, text "w"); \
  GNOMON_INTEGER(name##D, text "d")
#define GNOMON_INTEGER_SHIFT(name, text) \
  GNOMON_INTEGER(name##W, text "w");     \
  GNOMON_INTEGER(name##D, text "d");     \
  GNOMON_INTEGER(name##Q, text "q")
GNOMON_INTEGER_3(PADD, "padd");
GNOMON_INTEGER_3(PSUB, "psub");
GNOMON_INTEGER_3(PCMPEQ, "pcmpeq");
GNOMON_INTEGER_3(PCMPGT, "pcmpgt");
GNOMON_INTEGER_SHIFT(PSLL, "psll");
GNOMON_INTEGER_SHIFT(PSRL, "psrl");
GNOMON_INTEGER(PSRAW, "psraw");
GNOMON_INTEGER(PSRAD, "psrad");
GNOMON_INTEGER(PADDQ, "paddq");
GNOMON_INTEGER(PSUBQ, "psubq");
GNOMON_INTEGER(PADDSB, "paddsb");
GNOMON_INTEGER(PADDSW, "paddsw");
GNOMON_INTEGER(PADDUSB, "paddusb");
GNOMON_INTEGER(PADDUSW, "paddusw");
GNOMON_INTEGER(PSUBSB, "psubsb");
GNOMON_INTEGER(PSUBSW, "psubsw");
GNOMON_INTEGER(PSUBUSB, "psubusb");
GNOMON_INTEGER(PSUBUSW, "psubusw");
GNOMON_INTEGER(PMULLW, "pmullw");
GNOMON_INTEGER(PMULHW, "pmulhw");
GNOMON_INTEGER(PMULHUW, "pmulhuw");
GNOMON_INTEGER(PMULUDQ, "pmuludq");
GNOMON_INTEGER(PMADDWD, "pmaddwd");
GNOMON_INTEGER(PSADBW, "psadbw");
GNOMON_INTEGER(PAVGB, "pavgb");
GNOMON_INTEGER(PAVGW, "pavgw");
GNOMON_INTEGER(PMINUB, "pminub");
GNOMON_INTEGER(PMINSW, "pminsw");
GNOMON_INTEGER(PMAXUB, "pmaxub");
GNOMON_INTEGER(PMAXSW, "pmaxsw");
GNOMON_INTEGER(PAND, "pand");
GNOMON_INTEGER(PANDN, "pandn");
GNOMON_INTEGER(POR, "por");
GNOMON_INTEGER(PXOR, "pxor");
GNOMON_INTEGER(ANDPS, "andps");
GNOMON_INTEGER(ANDNPS, "andnps");
GNOMON_INTEGER(ORPS, "orps");
GNOMON_INTEGER(XORPS, "xorps");
GNOMON_INTEGER(ANDPD, "andpd");
GNOMON_INTEGER(ANDNPD, "andnpd");
GNOMON_INTEGER(ORPD, "orpd");
GNOMON_INTEGER(XORPD, "xorpd");
GNOMON_INTEGER(PACKSSWB, "packsswb");
GNOMON_INTEGER(PACKSSDW, "packssdw");
GNOMON_INTEGER(PACKUSWB, "packuswb");
GNOMON_INTEGER(PUNPCKLBW, "punpcklbw");
GNOMON_INTEGER(PUNPCKLWD, "punpcklwd");
GNOMON_INTEGER(PUNPCKLDQ, "punpckldq");
GNOMON_INTEGER(PUNPCKLQDQ, "punpcklqdq");
GNOMON_INTEGER(PUNPCKHBW, "punpckhbw");
GNOMON_INTEGER(PUNPCKHWD, "punpckhwd");
GNOMON_INTEGER(PUNPCKHDQ, "punpckhdq");
GNOMON_INTEGER(PUNPCKHQDQ, "punpckhqdq");
GNOMON_INTEGER(UNPCKLPS, "unpcklps");
GNOMON_INTEGER(UNPCKHPS, "unpckhps");
GNOMON_INTEGER(UNPCKLPD, "unpcklpd");
GNOMON_INTEGER(UNPCKHPD, "unpckhpd");

#undef GNOMON_FLOAT
#undef GNOMON_FLOAT_4
#undef GNOMON_INTEGER
#undef GNOMON_INTEGER_3
#undef GNOMON_INTEGER_SHIFT

/// CMPPS, CMPSS, CMPPD and CMPSD with a predicate of 0 to 7.
template <ZydisMnemonic mnemonic, unsigned predicate>
struct Compare;
#define GNOMON_COMPARE(name, text)                                         \
  template <unsigned predicate>                                            \
  struct Compare<ZYDIS_MNEMONIC_##name, predicate> {                       \
    static Vector128 run(Vector128 a, Vector128 b) {                       \
      asm volatile(text " %2, %1, %0" : "+x"(a) : "x"(b), "i"(predicate)); \
      return a;                                                            \
    }                                                                      \
  }
GNOMON_COMPARE(CMPPS, "cmpps");
GNOMON_COMPARE(CMPSS, "cmpss");
GNOMON_COMPARE(CMPPD, "cmppd");
GNOMON_COMPARE(CMPSD, "cmpsd");
#undef GNOMON_COMPARE

/// COMISS and relatives: the flags ZF, PF and CF, as in RFLAGS.
template <ZydisMnemonic mnemonic>
struct Flags;
#define GNOMON_FLAGS(name, text)                                                             \
  template <>                                                                                \
  struct Flags<ZYDIS_MNEMONIC_##name> {                                                      \
    static uint64_t run(Vector128 a, Vector128 b) {                                          \
      bool zf, pf, cf;                                                                       \
      asm volatile(text " %4, %3" : "=@ccz"(zf), "=@ccp"(pf), "=@ccc"(cf) : "x"(a), "x"(b)); \
      return (zf ? flag::kZF : 0) | (pf ? flag::kPF : 0) | (cf ? flag::kCF : 0);             \
    }                                                                                        \
  }
GNOMON_FLAGS(COMISS, "comiss");
GNOMON_FLAGS(UCOMISS, "ucomiss");
GNOMON_FLAGS(COMISD, "comisd");
GNOMON_FLAGS(UCOMISD, "ucomisd");
#undef GNOMON_FLAGS

/// CVTSI2SS and CVTSI2SD: `run(a, value)`; T is int32_t or int64_t.
template <ZydisMnemonic mnemonic, class T>
struct FromInteger;
/// CVTSS2SI and relatives: `run(b)`.
template <ZydisMnemonic mnemonic, class T>
struct ToInteger;
#define GNOMON_FROM(name, type, text)                      \
  template <>                                              \
  struct FromInteger<ZYDIS_MNEMONIC_##name, type> {        \
    static Vector128 run(Vector128 a, type value) {        \
      asm volatile(text " %1, %0" : "+x"(a) : "r"(value)); \
      return a;                                            \
    }                                                      \
  }
#define GNOMON_TO(name, text)                              \
  template <class T>                                       \
  struct ToInteger<ZYDIS_MNEMONIC_##name, T> {             \
    static T run(Vector128 b) {                            \
      T value;                                             \
      asm volatile(text " %1, %0" : "=r"(value) : "x"(b)); \
      return value;                                        \
    }                                                      \
  }
GNOMON_FROM(CVTSI2SS, uint32_t, "cvtsi2ssl");
GNOMON_FROM(CVTSI2SS, uint64_t, "cvtsi2ssq");
GNOMON_FROM(CVTSI2SD, uint32_t, "cvtsi2sdl");
GNOMON_FROM(CVTSI2SD, uint64_t, "cvtsi2sdq");
GNOMON_TO(CVTSS2SI, "cvtss2si");
GNOMON_TO(CVTTSS2SI, "cvttss2si");
GNOMON_TO(CVTSD2SI, "cvtsd2si");
GNOMON_TO(CVTTSD2SI, "cvttsd2si");
#undef GNOMON_FROM
#undef GNOMON_TO

}  // namespace host
}  // namespace gnomon::vmm

#endif  // VMM_CPU_SOFTSSE_HOST_H_
