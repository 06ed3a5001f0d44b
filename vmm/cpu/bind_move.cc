// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "vmm/cpu/operands.h"

// MOV, MOVZX, MOVSX, MOVSXD, MOVNTI, LEA. What converts in place is in bind_convert.cc.

namespace gnomon::vmm {
namespace {

template <class T>
void move_register(Cpu& cpu, const Op* op) {
  cpu.set_reg<T>(op->r1, cpu.reg<T>(op->r2));
  return next(cpu, op);
}
template <class T>
void move_immediate(Cpu& cpu, const Op* op) {
  cpu.set_reg<T>(op->r1, static_cast<T>(op->imm));
  return next(cpu, op);
}

// `From` in memory or a register to `To` in a register, extended with the sign or zeros.
template <class To, class From, bool sign>
To extended(From value) {
  if constexpr (sign) return static_cast<To>(LazyFlags::widened(value));
  return static_cast<To>(value);
}
template <class To, class From, bool sign>
void extend_register(Cpu& cpu, const Op* op) {
  cpu.set_reg<To>(op->r1, extended<To, From, sign>(cpu.reg<From>(op->r2)));
  return next(cpu, op);
}
template <class To, class From, bool sign>
[[gnu::noinline, gnu::cold]] void load_slow(Cpu& cpu, const Op* op) {
  From value;
  if (!cpu.memory.load(cpu.linear_of(op), value)) return memory_fault(cpu, op);
  cpu.set_reg<To>(op->r1, extended<To, From, sign>(value));
  return next(cpu, op);
}
template <class To, class From, bool sign, Address address>
void load(Cpu& cpu, const Op* op) {
  const uint8_t* host;
  if (!cpu.memory.find_readable<From>(linear_of<address>(cpu, op), host)) [[unlikely]] {
    return load_slow<To, From, sign>(cpu, op);
  }
  cpu.set_reg<To>(op->r1, extended<To, From, sign>(value_at<From>(host)));
  return next(cpu, op);
}
template <class To, class From, bool sign>
Handler load_handler(const Decoded& d, const Op& op) {
  return by_address(d, op,
                    [&]<Address address>() -> Handler { return load<To, From, sign, address>; });
}

template <class T, Source source>
[[gnu::noinline, gnu::cold]] void store_slow(Cpu& cpu, const Op* op) {
  const T value = source_of<source, T>(cpu, op, op->r1);
  if (!cpu.memory.store(cpu.linear_of(op), value)) return memory_fault(cpu, op);
  return next(cpu, op);
}
template <class T, Source source, Address address>
void store(Cpu& cpu, const Op* op) {
  uint8_t* host;
  if (!cpu.memory.find_writable<T>(linear_of<address>(cpu, op), host)) [[unlikely]] {
    return store_slow<T, source>(cpu, op);
  }
  set_value_at<T>(host, source_of<source, T>(cpu, op, op->r1));
  return next(cpu, op);
}
template <class T, Source source>
Handler store_handler(const Decoded& d, const Op& op) {
  return by_address(d, op, [&]<Address address>() -> Handler { return store<T, source, address>; });
}

// The accumulator, with a 64-bit address in `imm`.
template <class T>
void load_absolute(Cpu& cpu, const Op* op) {
  T value;
  if (!cpu.memory.load(cpu.linear(op->segment, op->imm), value)) return memory_fault(cpu, op);
  cpu.set_reg<T>(8 * kRax, value);
  return next(cpu, op);
}
template <class T>
void store_absolute(Cpu& cpu, const Op* op) {
  const T value = cpu.reg<T>(8 * kRax);
  if (!cpu.memory.store(cpu.linear(op->segment, op->imm), value)) return memory_fault(cpu, op);
  return next(cpu, op);
}

// Selectors. Registers get them with zeros above, as wide as the operand; memory always 16 bits.
template <class T>
void read_selector(Cpu& cpu, const Op* op) {
  cpu.set_reg<T>(op->r1, cpu.state.segments[op->r2].selector);
  return next(cpu, op);
}
void store_selector(Cpu& cpu, const Op* op) {
  const uint16_t value = cpu.state.segments[op->r1].selector;
  if (!cpu.memory.store(cpu.linear_of(op), value)) return memory_fault(cpu, op);
  return next(cpu, op);
}

ZydisRegisterClass class_of(const Decoded& d, unsigned n) {
  return d.is_register(n) ? ZydisRegisterGetClass(d.operand(n).reg.value) : ZYDIS_REGCLASS_INVALID;
}

bool bind_selector(const Decoded& d, Op& op) {
  if (d.operand(1).reg.value == ZYDIS_REGISTER_CS)
    return bind_sensitive(d, op);  // shows the privilege level
  if (d.is_memory(0)) {
    op.run = store_selector;
    op.size = 2;
    return true;
  }
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    if constexpr (sizeof(T) == 1) {
      return nullptr;
    } else {
      return read_selector<T>;
    }
  });
}

bool bind_mov(const Decoded& d, Op& op) {
  if (class_of(d, 1) == ZYDIS_REGCLASS_SEGMENT) return bind_selector(d, op);
  for (const unsigned n : {0u, 1u}) {
    const ZydisRegisterClass c = class_of(d, n);
    if (c == ZYDIS_REGCLASS_SEGMENT || c == ZYDIS_REGCLASS_CONTROL || c == ZYDIS_REGCLASS_DEBUG) {
      return bind_sensitive(d, op);
    }
  }
  const bool to_memory = d.is_memory(0);
  bool absolute = false;
  if (to_memory || d.is_memory(1)) {
    const int64_t disp = d.operand(to_memory ? 0 : 1).mem.disp.value;
    absolute = d.i.address_width == 64 && op.base != kBlockStart && op.disp != disp;
    if (absolute) op.imm = static_cast<uint64_t>(disp);
  }
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    if (absolute) return to_memory ? store_absolute<T> : load_absolute<T>;
    if (to_memory && d.is_immediate(1)) return store_handler<T, Source::kImmediate>(d, op);
    if (to_memory) return store_handler<T, Source::kRegister>(d, op);
    if (d.is_memory(1)) return load_handler<T, T, false>(d, op);
    return d.is_immediate(1) ? move_immediate<T> : move_register<T>;
  });
}

bool bind_movnti(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op,
                 [&]<class T>(T) { return store_handler<T, Source::kRegister>(d, op); });
}

template <bool sign>
bool bind_extend(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class To>(To) -> Handler {
    // Zydis gives the memory form of MOVSXD with 16-bit operands 32 bits: the manual's has 16.
    Op from;
    by_size(std::min(d.bytes(1), d.bytes(0)), from, [&]<class From>(From) -> Handler {
      if constexpr (sizeof(From) > sizeof(To)) {
        return nullptr;
      } else {
        return d.is_memory(1) ? load_handler<To, From, sign>(d, op)
                              : extend_register<To, From, sign>;
      }
    });
    return from.run;
  });
}

template <class T>
void lea_any(Cpu& cpu, const Op* op) {
  cpu.set_reg<T>(op->r1, static_cast<T>(cpu.offset_of(op)));
  return next(cpu, op);
}
template <class T>
void lea_base_disp(Cpu& cpu, const Op* op) {
  cpu.set_reg<T>(op->r1, static_cast<T>(linear_of<Address::kBaseDisp>(cpu, op)));
  return next(cpu, op);
}
bool bind_lea(const Decoded& d, Op& op) {
  no_access(op);
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    return op.index == kNoRegister ? lea_base_disp<T> : lea_any<T>;
  });
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_MOV, bind_mov},
    {ZYDIS_MNEMONIC_MOVNTI, bind_movnti},
    {ZYDIS_MNEMONIC_MOVZX, bind_extend<false>},
    {ZYDIS_MNEMONIC_MOVSX, bind_extend<true>},
    {ZYDIS_MNEMONIC_MOVSXD, bind_extend<true>},
    {ZYDIS_MNEMONIC_LEA, bind_lea},
};

}  // namespace

absl::Span<const Binding> move_bindings() { return kBindings; }

}  // namespace gnomon::vmm
