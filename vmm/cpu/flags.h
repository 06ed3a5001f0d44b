// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_FLAGS_H_
#define VMM_CPU_FLAGS_H_

#include <cstdint>
#include <type_traits>

#include "gnomon/vmm/cpu_state.h"

namespace gnomon::vmm {

/// The six arithmetic flags, kept as what they are computed from: most are never asked for.
/// `result` is the result, sign-extended to 64 bits; `carries` the carries (borrows) out of each
/// bit, shifted so that those out of the operand's top bit stand in bit 63; bit 4 of `aux` is AF.
/// So that any set of flags can be held, bit 63 of `aux` inverts SF, and bits 8 to 15 are xored
/// with the byte that PF counts.
struct LazyFlags {
  uint64_t result = 1;
  uint64_t carries = 0;
  uint64_t aux = 0;

  bool cf() const { return carries >> 63; }
  bool of() const { return (carries ^ carries << 1) >> 63; }
  bool zf() const { return result == 0; }
  bool sf() const { return (result ^ aux) >> 63; }
  bool af() const { return aux >> 4 & 1; }
  bool pf() const {
    uint64_t x = (result ^ aux >> 8) & 0xff;
    x ^= x >> 4;
    return 0x9669 >> (x & 15) & 1;
  }

  /// As bits of RFLAGS.
  uint64_t get() const {
    return (cf() ? flag::kCF : 0) | (pf() ? flag::kPF : 0) | (af() ? flag::kAF : 0) |
           (zf() ? flag::kZF : 0) | (sf() ? flag::kSF : 0) | (of() ? flag::kOF : 0);
  }
  void set(uint64_t rflags) {
    result = (rflags & flag::kZF) != 0 ? 0 : 1;
    aux = rflags & flag::kAF;
    if ((rflags & flag::kSF) != 0) aux |= uint64_t{1} << 63;
    // The byte 0 has even parity (PF = 1), the byte 1 odd.
    const bool even = result == 0;
    if (even != ((rflags & flag::kPF) != 0)) aux |= uint64_t{1} << 8;
    set_cf_of((rflags & flag::kCF) != 0, (rflags & flag::kOF) != 0);
  }
  void set_cf_of(bool cf, bool of) { carries = (uint64_t{cf} << 63) | (uint64_t{cf != of} << 62); }
  /// CF alone; the others stay.
  void set_cf(bool cf) { set_cf_of(cf, of()); }

  template <class T>
  static uint64_t widened(T value) {
    return static_cast<uint64_t>(static_cast<int64_t>(static_cast<std::make_signed_t<T>>(value)));
  }
  template <class T>
  static constexpr unsigned kUp = 64 - 8 * sizeof(T);

  /// After r = a + b (+ carry).
  template <class T>
  void add(T a, T b, T r) {
    result = widened(r);
    carries = uint64_t{static_cast<T>(a ^ ((a ^ b) & ~(a ^ r)))} << kUp<T>;  // majority of a, b, ~r
    aux = (a ^ b ^ r) & 0x10;
  }
  /// After r = a - b (- borrow).
  template <class T>
  void sub(T a, T b, T r) {
    result = widened(r);
    carries = uint64_t{static_cast<T>((~a & b) | ((~a | b) & r))} << kUp<T>;
    aux = (a ^ b ^ r) & 0x10;
  }
  /// After a logical operation: CF = OF = 0; AF, which is undefined, 0.
  template <class T>
  void logic(T r) {
    result = widened(r);
    carries = 0;
    aux = 0;
  }
};

/// The condition `code` (0 to 15) of Jcc, SETcc and CMOVcc (SDM vol. 1, appendix B).
template <unsigned code>
bool condition(const LazyFlags& f) {
  bool yes = false;
  if constexpr (code / 2 == 0) yes = f.of();
  if constexpr (code / 2 == 1) yes = f.cf();
  if constexpr (code / 2 == 2) yes = f.zf();
  if constexpr (code / 2 == 3) yes = f.cf() || f.zf();
  if constexpr (code / 2 == 4) yes = f.sf();
  if constexpr (code / 2 == 5) yes = f.pf();
  if constexpr (code / 2 == 6) yes = f.sf() != f.of();
  if constexpr (code / 2 == 7) yes = f.zf() || f.sf() != f.of();
  return code % 2 == 0 ? yes : !yes;
}

}  // namespace gnomon::vmm

#endif  // VMM_CPU_FLAGS_H_
