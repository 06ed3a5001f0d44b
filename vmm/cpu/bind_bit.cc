// SPDX-License-Identifier: Apache-2.0
#include <bit>

#include "vmm/cpu/operands.h"

// BT, BTS, BTR, BTC, BSF, BSR, POPCNT. The processor has no TZCNT and LZCNT: these are BSF and BSR
// with a prefix that means nothing.

namespace gnomon::vmm {
namespace {

template <class T>
constexpr unsigned kBits = 8 * sizeof(T);

enum class Change : uint8_t { kNone, kSet, kReset, kComplement };

template <Change change>
struct Test {
  static constexpr bool kStores = change != Change::kNone;
  template <class T>
  static T compute(LazyFlags& flags, T a, T b) {
    const T bit = static_cast<T>(T{1} << (b % kBits<T>));
    flags.set_cf((a & bit) != 0);
    if constexpr (change == Change::kSet) return a | bit;
    if constexpr (change == Change::kReset) return static_cast<T>(a & ~bit);
    if constexpr (change == Change::kComplement) return a ^ bit;
    return a;
  }
};

// The register holds a signed bit offset from the operand's address.
template <class F, class T>
void string_of_bits(Cpu& cpu, const Op* op) {
  const T b = cpu.reg<T>(op->r1);
  const auto signed_offset = static_cast<int64_t>(LazyFlags::widened(b));
  const auto bytes = static_cast<uint64_t>(signed_offset / int64_t{kBits<T>} -
                                           (signed_offset % int64_t{kBits<T>} < 0)) *
                     sizeof(T);
  const uint64_t offset = (cpu.offset_of(op) + bytes) & op->address_mask;
  if (!may_access(cpu, op->segment, offset, sizeof(T), F::kStores)) {
    return fault(cpu, op, segment_fault(op->segment));
  }
  const uint64_t at = cpu.linear(op->segment, offset);
  LazyFlags flags = cpu.flags;
  T a;
  if constexpr (F::kStores) {
    if (!cpu.memory.load_for_store(at, a)) return memory_fault(cpu, op);
    if (!cpu.memory.store(at, F::template compute<T>(flags, a, b))) return memory_fault(cpu, op);
  } else {
    if (!cpu.memory.load(at, a)) return memory_fault(cpu, op);
    F::template compute<T>(flags, a, b);
  }
  cpu.flags = flags;
  return next(cpu, op);
}

template <Change change>
bool bind_test(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    if constexpr (sizeof(T) == 1) {
      return nullptr;
    } else {
      if (d.is_immediate(1)) return with_source<Test<change>, T, Source::kImmediate>(d, op);
      if (!d.is_memory(0)) return register_other<Test<change>, T, Source::kRegister>;
      no_access(op);  // that is, not there: the handler checks the segment
      return string_of_bits<Test<change>, T>;
    }
  });
}

// Index of the lowest or highest bit. Without one the destination stays as it is, the upper half
// too.
template <class T, bool highest>
void scan(Cpu& cpu, const Op* op, T b) {
  cpu.flags.logic(b);
  if (b == 0) return;
  const int index = highest ? std::bit_width(b) - 1 : std::countr_zero(b);
  cpu.set_reg<T>(op->r1, static_cast<T>(index));
}
template <class T, bool highest>
void scan_register(Cpu& cpu, const Op* op) {
  scan<T, highest>(cpu, op, cpu.reg<T>(op->r2));
  return next(cpu, op);
}
template <class T, bool highest>
void scan_memory(Cpu& cpu, const Op* op) {
  T b;
  if (!cpu.memory.load(cpu.linear_of(op), b)) return memory_fault(cpu, op);
  scan<T, highest>(cpu, op, b);
  return next(cpu, op);
}
template <bool highest>
bool bind_scan(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    return d.is_memory(1) ? scan_memory<T, highest> : scan_register<T, highest>;
  });
}

struct Count {
  static constexpr bool kStores = true;
  template <class T>
  static T compute(LazyFlags& flags, T, T b) {
    flags.set(b == 0 ? flag::kZF : 0);
    return static_cast<T>(std::popcount(b));
  }
};
bool bind_count(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) { return into_register<Count, T>(d, op); });
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_BT, bind_test<Change::kNone>},
    {ZYDIS_MNEMONIC_BTS, bind_test<Change::kSet>},
    {ZYDIS_MNEMONIC_BTR, bind_test<Change::kReset>},
    {ZYDIS_MNEMONIC_BTC, bind_test<Change::kComplement>},
    {ZYDIS_MNEMONIC_BSF, bind_scan<false>},
    {ZYDIS_MNEMONIC_BSR, bind_scan<true>},
    {ZYDIS_MNEMONIC_TZCNT, bind_scan<false>},
    {ZYDIS_MNEMONIC_LZCNT, bind_scan<true>},
    {ZYDIS_MNEMONIC_POPCNT, bind_count},
};

}  // namespace

absl::Span<const Binding> bit_bindings() { return kBindings; }

}  // namespace gnomon::vmm
