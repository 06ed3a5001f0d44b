// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_X87_HOST_H_
#define VMM_CPU_X87_HOST_H_

#include <array>
#include <cstdint>

// The host's x87 instructions, on operands in memory and under the guest's control word. Needs an
// x86 host; nothing else in the x87 unit does.
//
// Exceptions cannot reach the host: all but overflow and underflow are masked; those two are as the
// guest has them, because they change the result. Unmasked, they only set flags until the next
// instruction that waits, and before that each of the functions below clears the flags (FNCLEX does
// not wait).

namespace gnomon::vmm {

using Real80 = std::array<uint8_t, 10>;

namespace host87 {

// The control word to run with, for the guest's.
inline uint16_t control_for(uint16_t guest) { return guest | 0x27; }

#define GNOMON_ENTER "fnstcw %[old]\n\tfnclex\n\tfldcw %[cw]\n\t"
#define GNOMON_LEAVE "\n\tfnstsw %[sw]\n\tfnclex\n\tfldcw %[old]\n\t"

/// `F::run(a, b, control)`: the instruction F with ST0 = a and another operand b; a becomes the
/// result. Answers the status word.
#define GNOMON_BINARY_FORM(type, text)                                       \
  static uint16_t run(Real80& a, const type& b, uint16_t guest) {            \
    uint16_t old, sw;                                                        \
    const uint16_t cw = control_for(guest);                                  \
    asm volatile(GNOMON_ENTER "fldt %[a]\n\t" text GNOMON_LEAVE "fstpt %[a]" \
                 : [a] "+m"(a), [old] "=m"(old), [sw] "=m"(sw)               \
                 : [b] "m"(b), [cw] "m"(cw)                                  \
                 : "st", "st(1)");                                           \
    return sw;                                                               \
  }
// In a register: pushed below ST0. `drop` is what takes it away afterwards.
#define GNOMON_ON_STACK(text, drop)                                                            \
  static uint16_t run(Real80& a, const Real80& b, uint16_t guest) {                            \
    uint16_t old, sw;                                                                          \
    const uint16_t cw = control_for(guest);                                                    \
    asm volatile(GNOMON_ENTER "fldt %[b]\n\tfldt %[a]\n\t" text GNOMON_LEAVE "fstpt %[a]" drop \
                 : [a] "+m"(a), [old] "=m"(old), [sw] "=m"(sw)                                 \
                 : [b] "m"(b), [cw] "m"(cw)                                                    \
                 : "st", "st(1)");                                                             \
    return sw;                                                                                 \
  }
#define GNOMON_BINARY_ST(text) GNOMON_ON_STACK(text, "\n\tfstp %%st(0)")
#define GNOMON_ARITHMETIC(Name, text)               \
  struct Name {                                     \
    static constexpr uint16_t kCodes = 0x0200;      \
    GNOMON_BINARY_ST("f" text " %%st(1), %%st")     \
    GNOMON_BINARY_FORM(uint32_t, "f" text "s %[b]") \
    GNOMON_BINARY_FORM(uint64_t, "f" text "l %[b]") \
    GNOMON_BINARY_FORM(int16_t, "fi" text "s %[b]") \
    GNOMON_BINARY_FORM(int32_t, "fi" text "l %[b]") \
  }
GNOMON_ARITHMETIC(Add, "add");
GNOMON_ARITHMETIC(Mul, "mul");
GNOMON_ARITHMETIC(Sub, "sub");
GNOMON_ARITHMETIC(Subr, "subr");
GNOMON_ARITHMETIC(Div, "div");
GNOMON_ARITHMETIC(Divr, "divr");
/// Comparisons: only the status counts.
struct Com {
  GNOMON_BINARY_ST("fcom %%st(1)")
  GNOMON_BINARY_FORM(uint32_t, "fcoms %[b]")
  GNOMON_BINARY_FORM(uint64_t, "fcoml %[b]")
  GNOMON_BINARY_FORM(int16_t, "ficoms %[b]")
  GNOMON_BINARY_FORM(int32_t, "ficoml %[b]")
};
struct Ucom {
  GNOMON_BINARY_ST("fucom %%st(1)")
};
/// Of ST0 and ST1, the result in ST0.
struct Scale {
  static constexpr uint16_t kCodes = 0x0200;
  GNOMON_BINARY_ST("fscale")
};
struct Prem {
  static constexpr uint16_t kCodes = 0x4700;
  GNOMON_BINARY_ST("fprem")
};
struct Prem1 {
  static constexpr uint16_t kCodes = 0x4700;
  GNOMON_BINARY_ST("fprem1")
};
/// Of ST0 = a and ST1 = b, which pop: the result becomes the new ST0.
#define GNOMON_POPPING(Name, text) \
  struct Name {                    \
    GNOMON_ON_STACK(text, "")      \
  }
GNOMON_POPPING(Patan, "fpatan");
GNOMON_POPPING(Yl2x, "fyl2x");
GNOMON_POPPING(Yl2xp1, "fyl2xp1");

/// Of ST0 alone.
#define GNOMON_UNARY(Name, text, codes)                                        \
  struct Name {                                                                \
    static constexpr uint16_t kCodes = codes;                                  \
    static uint16_t run(Real80& a, uint16_t guest) {                           \
      uint16_t old, sw;                                                        \
      const uint16_t cw = control_for(guest);                                  \
      asm volatile(GNOMON_ENTER "fldt %[a]\n\t" text GNOMON_LEAVE "fstpt %[a]" \
                   : [a] "+m"(a), [old] "=m"(old), [sw] "=m"(sw)               \
                   : [cw] "m"(cw)                                              \
                   : "st");                                                    \
      return sw;                                                               \
    }                                                                          \
  }
GNOMON_UNARY(Sqrt, "fsqrt", 0x0200);
GNOMON_UNARY(Rndint, "frndint", 0x0200);
GNOMON_UNARY(F2xm1, "f2xm1", 0x0200);
GNOMON_UNARY(Sin, "fsin", 0x0600);
GNOMON_UNARY(Cos, "fcos", 0x0600);
GNOMON_UNARY(Tst, "ftst", 0x4700);
GNOMON_UNARY(Xam, "fxam", 0x4700);

/// Of ST0 alone; pushes: `a` becomes ST1 and `pushed` ST0, unless C2 is set. All of the stack is
/// used, and left empty.
#define GNOMON_PUSHING(Name, text)                                                           \
  struct Name {                                                                              \
    static uint16_t run(Real80& a, Real80& pushed, uint16_t guest) {                         \
      uint16_t old, sw;                                                                      \
      const uint16_t cw = control_for(guest);                                                \
      asm volatile(                                                                          \
          GNOMON_ENTER                                                                       \
          "fldt %[a]\n\t" text                                                               \
          "\n\tfnstsw %[sw]\n\tfnclex\n\tfstpt %[p]\n\tfstpt %[a]\n\tfninit\n\tfldcw %[old]" \
          : [a] "+m"(a), [p] "=m"(pushed), [old] "=m"(old), [sw] "=m"(sw)                    \
          : [cw] "m"(cw)                                                                     \
          : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");            \
      return sw;                                                                             \
    }                                                                                        \
  }
GNOMON_PUSHING(Ptan, "fptan");
GNOMON_PUSHING(Sincos, "fsincos");
GNOMON_PUSHING(Xtract, "fxtract");

/// Loads and constants: `value` becomes what they push.
#define GNOMON_LOAD(Name, type, text)                                      \
  struct Name {                                                            \
    using Type = type;                                                     \
    static uint16_t run(Real80& value, const type& from, uint16_t guest) { \
      uint16_t old, sw;                                                    \
      const uint16_t cw = control_for(guest);                              \
      asm volatile(GNOMON_ENTER text " %[b]" GNOMON_LEAVE "fstpt %[a]"     \
                   : [a] "=m"(value), [old] "=m"(old), [sw] "=m"(sw)       \
                   : [b] "m"(from), [cw] "m"(cw)                           \
                   : "st");                                                \
      return sw;                                                           \
    }                                                                      \
  }
GNOMON_LOAD(LoadSingle, uint32_t, "flds");
GNOMON_LOAD(LoadDouble, uint64_t, "fldl");
GNOMON_LOAD(LoadInt16, uint16_t, "filds");
GNOMON_LOAD(LoadInt32, uint32_t, "fildl");
GNOMON_LOAD(LoadInt64, uint64_t, "fildq");
GNOMON_LOAD(LoadDecimal, Real80, "fbld");

#define GNOMON_CONSTANT(Name, text)                                  \
  struct Name {                                                      \
    static void run(Real80& value, uint16_t guest) {                 \
      uint16_t old, sw;                                              \
      const uint16_t cw = control_for(guest);                        \
      asm volatile(GNOMON_ENTER text GNOMON_LEAVE "fstpt %[a]"       \
                   : [a] "=m"(value), [old] "=m"(old), [sw] "=m"(sw) \
                   : [cw] "m"(cw)                                    \
                   : "st");                                          \
    }                                                                \
  }
GNOMON_CONSTANT(One, "fld1");
GNOMON_CONSTANT(Log2Ten, "fldl2t");
GNOMON_CONSTANT(Log2E, "fldl2e");
GNOMON_CONSTANT(Pi, "fldpi");
GNOMON_CONSTANT(Log10Two, "fldlg2");
GNOMON_CONSTANT(LnTwo, "fldln2");
GNOMON_CONSTANT(Zero, "fldz");

/// Stores: `to` becomes what they store.
#define GNOMON_STORE(Name, type, text)                                                   \
  struct Name {                                                                          \
    using Type = type;                                                                   \
    static uint16_t run(type& to, const Real80& value, uint16_t guest) {                 \
      uint16_t old, sw;                                                                  \
      const uint16_t cw = control_for(guest);                                            \
      asm volatile(GNOMON_ENTER "fldt %[b]\n\t" text " %[a]" GNOMON_LEAVE "fstp %%st(0)" \
                   : [a] "+m"(to), [old] "=m"(old), [sw] "=m"(sw)                        \
                   : [b] "m"(value), [cw] "m"(cw)                                        \
                   : "st");                                                              \
      return sw;                                                                         \
    }                                                                                    \
  }
/// Those that only exist with a pop: neither overflow nor underflow can stop them.
#define GNOMON_STORE_POP(Name, type, text)                                \
  struct Name {                                                           \
    using Type = type;                                                    \
    static uint16_t run(type& to, const Real80& value, uint16_t guest) {  \
      uint16_t old, sw;                                                   \
      const uint16_t cw = control_for(guest);                             \
      asm volatile(GNOMON_ENTER "fldt %[b]\n\t" text " %[a]" GNOMON_LEAVE \
                   : [a] "+m"(to), [old] "=m"(old), [sw] "=m"(sw)         \
                   : [b] "m"(value), [cw] "m"(cw)                         \
                   : "st");                                               \
      return sw;                                                          \
    }                                                                     \
  }
GNOMON_STORE(StoreSingle, uint32_t, "fsts");
GNOMON_STORE(StoreDouble, uint64_t, "fstl");
GNOMON_STORE(StoreInt16, uint16_t, "fists");
GNOMON_STORE(StoreInt32, uint32_t, "fistl");
GNOMON_STORE_POP(StoreInt64, uint64_t, "fistpq");
GNOMON_STORE_POP(StoreDecimal, Real80, "fbstp");

#undef GNOMON_ENTER
#undef GNOMON_LEAVE
#undef GNOMON_BINARY_FORM
#undef GNOMON_ON_STACK
#undef GNOMON_BINARY_ST
#undef GNOMON_ARITHMETIC
#undef GNOMON_POPPING
#undef GNOMON_UNARY
#undef GNOMON_PUSHING
#undef GNOMON_LOAD
#undef GNOMON_CONSTANT
#undef GNOMON_STORE
#undef GNOMON_STORE_POP

}  // namespace host87
}  // namespace gnomon::vmm

#endif  // VMM_CPU_X87_HOST_H_
