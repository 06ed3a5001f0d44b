// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/operands.h"

// ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NEG, NOT. With LOCK they do the same: no
// other processor runs in between.

namespace gnomon::vmm {
namespace {

struct Stores {
  static constexpr bool kStores = true;
};
struct Compares {
  static constexpr bool kStores = false;
};

struct Add : Stores {
  template <class T>
  static T compute(LazyFlags& flags, T a, T b) {
    const T r = static_cast<T>(a + b);
    flags.add(a, b, r);
    return r;
  }
};
struct Adc : Stores {
  template <class T>
  static T compute(LazyFlags& flags, T a, T b) {
    const T r = static_cast<T>(a + b + flags.cf());
    flags.add(a, b, r);
    return r;
  }
};
template <class Base>
struct Subtract : Base {
  template <class T>
  static T compute(LazyFlags& flags, T a, T b) {
    const T r = static_cast<T>(a - b);
    flags.sub(a, b, r);
    return r;
  }
};
struct Sbb : Stores {
  template <class T>
  static T compute(LazyFlags& flags, T a, T b) {
    const T r = static_cast<T>(a - b - flags.cf());
    flags.sub(a, b, r);
    return r;
  }
};
struct Or : Stores {
  template <class T>
  static T compute(LazyFlags& flags, T a, T b) {
    const T r = a | b;
    flags.logic(r);
    return r;
  }
};
struct Xor : Stores {
  template <class T>
  static T compute(LazyFlags& flags, T a, T b) {
    const T r = a ^ b;
    flags.logic(r);
    return r;
  }
};
template <class Base>
struct Conjunction : Base {
  template <class T>
  static T compute(LazyFlags& flags, T a, T b) {
    const T r = a & b;
    flags.logic(r);
    return r;
  }
};

// INC and DEC leave CF. `overflow` has OF in the top bit of T.
template <class T>
void step_flags(LazyFlags& flags, T a, T r, T overflow) {
  constexpr uint64_t kTop = uint64_t{1} << 63;
  const uint64_t before = flags.carries;
  flags.result = LazyFlags::widened(r);
  flags.carries = (before & kTop) | ((before ^ uint64_t{overflow} << LazyFlags::kUp<T>)&kTop) >> 1;
  flags.aux = (a ^ r) & 0x10;
}
struct Inc : Stores {
  template <class T>
  static T compute(LazyFlags& flags, T a, T) {
    const T r = static_cast<T>(a + 1);
    step_flags<T>(flags, a, r, static_cast<T>(~a & r));
    return r;
  }
};
struct Dec : Stores {
  template <class T>
  static T compute(LazyFlags& flags, T a, T) {
    const T r = static_cast<T>(a - 1);
    step_flags<T>(flags, a, r, static_cast<T>(a & ~r));
    return r;
  }
};
struct Neg : Stores {
  template <class T>
  static T compute(LazyFlags& flags, T a, T) {
    const T r = static_cast<T>(0 - a);
    flags.sub(T{0}, a, r);
    return r;
  }
};
struct Not : Stores {
  template <class T>
  static T compute(LazyFlags&, T a, T) {
    return static_cast<T>(~a);
  }
};

template <class F>
bool bind(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) { return two_operands<F, T>(d, op); });
}

template <class F>
bool bind_unary(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) { return one_operand<F, T>(d, op); });
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_ADD, bind<Add>},
    {ZYDIS_MNEMONIC_OR, bind<Or>},
    {ZYDIS_MNEMONIC_ADC, bind<Adc>},
    {ZYDIS_MNEMONIC_SBB, bind<Sbb>},
    {ZYDIS_MNEMONIC_AND, bind<Conjunction<Stores>>},
    {ZYDIS_MNEMONIC_SUB, bind<Subtract<Stores>>},
    {ZYDIS_MNEMONIC_XOR, bind<Xor>},
    {ZYDIS_MNEMONIC_CMP, bind<Subtract<Compares>>},
    {ZYDIS_MNEMONIC_TEST, bind<Conjunction<Compares>>},
    {ZYDIS_MNEMONIC_INC, bind_unary<Inc>},
    {ZYDIS_MNEMONIC_DEC, bind_unary<Dec>},
    {ZYDIS_MNEMONIC_NEG, bind_unary<Neg>},
    {ZYDIS_MNEMONIC_NOT, bind_unary<Not>},
};

}  // namespace

absl::Span<const Binding> arithmetic_bindings() { return kBindings; }

}  // namespace gnomon::vmm
