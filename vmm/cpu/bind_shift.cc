// SPDX-License-Identifier: Apache-2.0
#include <bit>

#include "vmm/cpu/operands.h"

// SHL, SHR, SAR, ROL, ROR, RCL, RCR; SHLD and SHRD are in bind_double_shift.cc. OF is defined for
// shifts by one bit only; for others it is made in the same way from the result, as Intel's
// processors do. AF is left 0.

namespace gnomon::vmm {
namespace {

template <class T>
constexpr unsigned kBits = 8 * sizeof(T);
constexpr uint64_t kTop = uint64_t{1} << 63;

// Bits 63 and 62 of a value of which the top bit is bit 63: the top two bits of T.
template <class T>
uint64_t at_top(T value) {
  return uint64_t{value} << LazyFlags::kUp<T>;
}

// What each makes of `a` and a count, which is not 0 and below 32 (64-bit operands: 64).
struct Shl {
  template <class T>
  static T apply(LazyFlags& flags, T a, unsigned n) {
    const T r = static_cast<T>(uint64_t{a} << n);
    flags.logic(r);
    flags.carries = at_top(a) << (n - 1);  // the last bit out, and below it the sign of the result
    return r;
  }
};
// For right shifts: CF from bit 0, OF from bit 63.
void set_right(LazyFlags& flags, uint64_t cf, uint64_t of) {
  flags.carries = cf << 63 | ((cf << 63 ^ of) & kTop) >> 1;
}
struct Shr {
  template <class T>
  static T apply(LazyFlags& flags, T a, unsigned n) {
    const uint64_t before = uint64_t{a} >> (n - 1);
    const T r = static_cast<T>(before >> 1);
    flags.logic(r);
    set_right(flags, before, at_top(r) << 1);
    return r;
  }
};
struct Sar {
  template <class T>
  static T apply(LazyFlags& flags, T a, unsigned n) {
    const auto before = static_cast<int64_t>(LazyFlags::widened(a)) >> (n - 1);
    const T r = static_cast<T>(before >> 1);
    flags.logic(r);
    set_right(flags, static_cast<uint64_t>(before), 0);
    return r;
  }
};
struct Rol {
  template <class T>
  static T apply(LazyFlags& flags, T a, unsigned n) {
    const T r = std::rotl(a, static_cast<int>(n % kBits<T>));
    set_right(flags, r, at_top(r) ^ uint64_t{r} << 63);
    return r;
  }
};
struct Ror {
  template <class T>
  static T apply(LazyFlags& flags, T a, unsigned n) {
    const T r = std::rotr(a, static_cast<int>(n % kBits<T>));
    set_right(flags, uint64_t{r} >> (kBits<T> - 1), at_top(r) ^ at_top(r) << 1);
    return r;
  }
};
// Counts of rotations through CF are taken modulo 9 and 17 of bytes and words, although counts of
// 32 and more are cut to five bits before.
template <class T>
unsigned through_carry(unsigned n) {
  if constexpr (sizeof(T) <= 2) return n % (kBits<T> + 1);
  return n;
}
struct Rcl {
  template <class T>
  static T apply(LazyFlags& flags, T a, unsigned n) {
    n = through_carry<T>(n);
    if (n == 0) return a;
    const uint64_t out = uint64_t{a} >> (kBits<T> - n);
    const T r = static_cast<T>(uint64_t{a} << n | uint64_t{flags.cf()} << (n - 1) | out >> 1);
    set_right(flags, out, at_top(r) ^ out << 63);
    return r;
  }
};
struct Rcr {
  template <class T>
  static T apply(LazyFlags& flags, T a, unsigned n) {
    n = through_carry<T>(n);
    if (n == 0) return a;
    const uint64_t out = uint64_t{a} >> (n - 1);
    const unsigned up = kBits<T> - n;
    const T r = static_cast<T>(out >> 1 | uint64_t{flags.cf()} << up | uint64_t{a} << up << 1);
    set_right(flags, out, at_top(r) ^ at_top(r) << 1);
    return r;
  }
};

template <class T>
constexpr unsigned kCountMask = sizeof(T) == 8 ? 63 : 31;

// The count in an immediate, which bind has masked and found not to be 0.
template <class F>
struct Constant {
  static constexpr bool kStores = true;
  template <class T>
  static T compute(LazyFlags& flags, T a, T n) {
    return F::template apply<T>(flags, a, n);
  }
};
// The count in CL.
template <class F>
struct Variable {
  static constexpr bool kStores = true;
  template <class T>
  static T compute(LazyFlags& flags, T a, T n) {
    const unsigned count = static_cast<unsigned>(n) & kCountMask<T>;
    if (count == 0) return a;
    return F::template apply<T>(flags, a, count);
  }
};
// By 0: memory is written, and a 32-bit register extended, all the same.
struct Nothing {
  static constexpr bool kStores = true;
  template <class T>
  static T compute(LazyFlags&, T a, T) {
    return a;
  }
};

template <class F>
bool bind(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    if (!d.is_immediate(1)) return with_source<Variable<F>, T, Source::kRegister>(d, op);
    op.imm &= kCountMask<T>;
    if (op.imm == 0) return with_source<Nothing, T, Source::kImmediate>(d, op);
    return with_source<Constant<F>, T, Source::kImmediate>(d, op);
  });
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_SHL, bind<Shl>}, {ZYDIS_MNEMONIC_SHR, bind<Shr>},
    {ZYDIS_MNEMONIC_SAR, bind<Sar>}, {ZYDIS_MNEMONIC_ROL, bind<Rol>},
    {ZYDIS_MNEMONIC_ROR, bind<Ror>}, {ZYDIS_MNEMONIC_RCL, bind<Rcl>},
    {ZYDIS_MNEMONIC_RCR, bind<Rcr>},
};

}  // namespace

absl::Span<const Binding> shift_bindings() { return kBindings; }

}  // namespace gnomon::vmm
