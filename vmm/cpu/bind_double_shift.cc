// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/operands.h"

// SHLD and SHRD. 16-bit operands may be shifted by up to 31, of which the manual leaves all above
// 16 undefined: the destination then follows the source once more, as on Intel's processors.

namespace gnomon::vmm {
namespace {

constexpr uint64_t kTop = uint64_t{1} << 63;

// CF, and OF from the top bit of `of`.
template <class T>
void set_flags(LazyFlags& flags, T r, uint64_t cf, T of) {
  flags.logic(r);
  cf <<= 63;
  flags.carries = cf | ((cf ^ uint64_t{of} << LazyFlags::kUp<T>)&kTop) >> 1;
}

// `n` is not 0.
struct Left {
  template <class T>
  static T apply(LazyFlags& flags, T a, T b, unsigned n) {
    constexpr unsigned kBits = 8 * sizeof(T);
    T r;
    uint64_t out;
    if constexpr (sizeof(T) == 2) {
      const uint64_t all = uint64_t{a} << 32 | uint64_t{b} << 16 | a;
      r = static_cast<T>(all << n >> 32);
      out = all >> (48 - n);
    } else {
      r = a << n | b >> (kBits - n);
      out = a >> (kBits - n);
    }
    set_flags<T>(flags, r, out, static_cast<T>(r ^ static_cast<T>(out << (kBits - 1))));
    return r;
  }
};
struct Right {
  template <class T>
  static T apply(LazyFlags& flags, T a, T b, unsigned n) {
    constexpr unsigned kBits = 8 * sizeof(T);
    T r;
    uint64_t out;
    if constexpr (sizeof(T) == 2) {
      const uint64_t all = uint64_t{a} << 32 | uint64_t{b} << 16 | a;
      r = static_cast<T>(all >> n);
      out = all >> (n - 1);
    } else {
      r = a >> n | b << (kBits - n);
      out = a >> (n - 1);
    }
    set_flags<T>(flags, r, out, static_cast<T>(r ^ static_cast<T>(r << 1)));
    return r;
  }
};

template <class T, bool immediate>
unsigned count_of(const Cpu& cpu, const Op* op) {
  const uint64_t n = immediate ? op->imm : cpu.gpr[kRcx];
  return static_cast<unsigned>(n) & (sizeof(T) == 8 ? 63 : 31);
}

template <class F, class T, bool immediate>
void to_register(Cpu& cpu, const Op* op) {
  const unsigned n = count_of<T, immediate>(cpu, op);
  T r = cpu.reg<T>(op->r1);
  if (n != 0) r = F::template apply<T>(cpu.flags, r, cpu.reg<T>(op->r2), n);
  cpu.set_reg<T>(op->r1, r);
  return next(cpu, op);
}
template <class F, class T, bool immediate>
void to_memory(Cpu& cpu, const Op* op) {
  const uint64_t at = cpu.linear_of(op);
  const unsigned n = count_of<T, immediate>(cpu, op);
  LazyFlags flags = cpu.flags;
  T r;
  if (!cpu.memory.load_for_store(at, r)) return memory_fault(cpu, op);
  if (n != 0) r = F::template apply<T>(flags, r, cpu.reg<T>(op->r1), n);
  if (!cpu.memory.store(at, r)) return memory_fault(cpu, op);
  cpu.flags = flags;
  return next(cpu, op);
}

template <class F>
bool bind(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    if constexpr (sizeof(T) == 1) {
      return nullptr;
    } else {
      const bool immediate = d.is_immediate(2);
      if (d.is_memory(0)) return immediate ? to_memory<F, T, true> : to_memory<F, T, false>;
      return immediate ? to_register<F, T, true> : to_register<F, T, false>;
    }
  });
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_SHLD, bind<Left>},
    {ZYDIS_MNEMONIC_SHRD, bind<Right>},
};

}  // namespace

absl::Span<const Binding> double_shift_bindings() { return kBindings; }

}  // namespace gnomon::vmm
