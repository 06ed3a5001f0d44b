// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/operands.h"

// MUL, IMUL, DIV, IDIV. Products leave SF, ZF and PF, which are undefined, as those of the lower
// half; quotients leave the flags alone.

namespace gnomon::vmm {
namespace {

__extension__ using Wide128 = unsigned __int128;
template <class T>
struct Twice;
template <>
struct Twice<uint8_t> {
  using U = uint16_t;
};
template <>
struct Twice<uint16_t> {
  using U = uint32_t;
};
template <>
struct Twice<uint32_t> {
  using U = uint64_t;
};
template <>
struct Twice<uint64_t> {
  using U = Wide128;
};

template <class T>
constexpr unsigned kBits = 8 * sizeof(T);

template <class T>
bool negative(T value) {
  return (value >> (kBits<T> - 1)) != 0;
}

template <class T>
void product_flags(LazyFlags& flags, T low, bool overflow) {
  flags.logic(low);
  flags.carries = uint64_t{overflow} << 63;  // CF and OF
}

// The upper half of a signed product, from that of the unsigned one.
template <class T>
T signed_upper(T upper, T a, T b) {
  return static_cast<T>(upper - (negative(a) ? b : 0) - (negative(b) ? a : 0));
}
template <class T>
T upper_half(T a, T b) {
  using U = typename Twice<T>::U;
  return static_cast<T>(static_cast<U>(static_cast<U>(a) * b) >> kBits<T>);
}
template <class T>
T sign_of(T value) {
  return static_cast<T>(negative(value) ? ~T{0} : T{0});
}

// rDX:rAX, or AX of bytes.
template <class T>
T upper(const Cpu& cpu) {
  return sizeof(T) == 1 ? cpu.reg<T>(1) : cpu.reg<T>(8 * kRdx);
}
template <class T>
void set_pair(Cpu& cpu, T high, T low) {
  cpu.set_reg<T>(8 * kRax, low);
  cpu.set_reg<T>(sizeof(T) == 1 ? 1 : 8 * kRdx, high);
}

// Each works on rDX:rAX and `b`. False: #DE.
struct Mul {
  template <class T>
  static bool apply(Cpu& cpu, T b) {
    const T a = cpu.reg<T>(8 * kRax);
    const T low = static_cast<T>(uint64_t{a} * b);
    const T high = upper_half<T>(a, b);
    set_pair<T>(cpu, high, low);
    product_flags<T>(cpu.flags, low, high != 0);
    return true;
  }
};
struct Imul {
  template <class T>
  static bool apply(Cpu& cpu, T b) {
    const T a = cpu.reg<T>(8 * kRax);
    const T low = static_cast<T>(uint64_t{a} * b);
    const T high = signed_upper<T>(upper_half<T>(a, b), a, b);
    set_pair<T>(cpu, high, low);
    product_flags<T>(cpu.flags, low, high != sign_of(low));
    return true;
  }
};
struct Div {
  template <class T>
  static bool apply(Cpu& cpu, T b) {
    using U = typename Twice<T>::U;
    const T high = upper<T>(cpu);
    const T low = cpu.reg<T>(8 * kRax);
    if (high >= b) return false;  // b is 0, or the quotient too large
    if (high == 0) {
      set_pair<T>(cpu, static_cast<T>(low % b), static_cast<T>(low / b));
      return true;
    }
    const U a = static_cast<U>(static_cast<U>(high) << kBits<T> | low);
    set_pair<T>(cpu, static_cast<T>(a % b), static_cast<T>(a / b));
    return true;
  }
};
struct Idiv {
  template <class T>
  static bool apply(Cpu& cpu, T b) {
    using U = typename Twice<T>::U;
    const T high = upper<T>(cpu);
    U a = static_cast<U>(static_cast<U>(high) << kBits<T> | cpu.reg<T>(8 * kRax));
    const bool minus = negative(high);
    if (minus) a = static_cast<U>(0 - a);
    const T divisor = static_cast<T>(negative(b) ? 0 - b : b);
    if (static_cast<T>(a >> kBits<T>) >= divisor) return false;
    const T quotient = static_cast<T>(a / divisor);
    const T rest = static_cast<T>(a % divisor);
    const bool below = minus != negative(b);
    if (quotient > static_cast<T>((T{1} << (kBits<T> - 1)) - (below ? 0 : 1))) return false;
    set_pair<T>(cpu, static_cast<T>(minus ? 0 - rest : rest),
                static_cast<T>(below ? 0 - quotient : quotient));
    return true;
  }
};

template <class F, class T>
void by_register(Cpu& cpu, const Op* op) {
  if (!F::template apply<T>(cpu, cpu.reg<T>(op->r1)))
    return fault(cpu, op, Fault::plain(kDivideError));
  return next(cpu, op);
}
template <class F, class T>
void by_memory(Cpu& cpu, const Op* op) {
  T b;
  if (!cpu.memory.load(cpu.linear_of(op), b)) return memory_fault(cpu, op);
  if (!F::template apply<T>(cpu, b)) return fault(cpu, op, Fault::plain(kDivideError));
  return next(cpu, op);
}

template <class F>
bool bind(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    return d.is_memory(0) ? by_memory<F, T> : by_register<F, T>;
  });
}

// IMUL with two operands, and with three.
struct Product {
  static constexpr bool kStores = true;
  template <class T>
  static T compute(LazyFlags& flags, T a, T b) {
    const T r = static_cast<T>(uint64_t{a} * b);
    product_flags<T>(flags, r, signed_upper<T>(upper_half<T>(a, b), a, b) != sign_of(r));
    return r;
  }
};
template <class T>
void register_times_constant(Cpu& cpu, const Op* op) {
  cpu.set_reg<T>(op->r1,
                 Product::compute<T>(cpu.flags, cpu.reg<T>(op->r2), static_cast<T>(op->imm)));
  return next(cpu, op);
}
template <class T>
void memory_times_constant(Cpu& cpu, const Op* op) {
  T a;
  if (!cpu.memory.load(cpu.linear_of(op), a)) return memory_fault(cpu, op);
  cpu.set_reg<T>(op->r1, Product::compute<T>(cpu.flags, a, static_cast<T>(op->imm)));
  return next(cpu, op);
}

bool bind_imul(const Decoded& d, Op& op) {
  if (d.visible() == 1) return bind<Imul>(d, op);
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    if (d.visible() == 2) return into_register<Product, T>(d, op);
    return d.is_memory(1) ? memory_times_constant<T> : register_times_constant<T>;
  });
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_MUL, bind<Mul>},
    {ZYDIS_MNEMONIC_IMUL, bind_imul},
    {ZYDIS_MNEMONIC_DIV, bind<Div>},
    {ZYDIS_MNEMONIC_IDIV, bind<Idiv>},
};

}  // namespace

absl::Span<const Binding> multiply_bindings() { return kBindings; }

}  // namespace gnomon::vmm
