// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/decode.h"

// MOVS, CMPS, SCAS, LODS, STOS, and their repetition.
//
//  1. A repeated instruction ends its block, and each of its iterations counts as one instruction
//     (one that has nothing to do as one, too). So it stops exactly where the executor's budget
//     ends, with RIP still its own, and goes on there later.
//  2. A fault leaves the registers as after the iterations that were complete; so do the flags of
//     CMPS and SCAS, which a processor would set back to what they were before. That way it is not
//     visible where a budget ended.
//  3. Iterations are made many at a time (`Piece`) where both pages are plain memory that the
//     software TLB knows; that is not visible either.

namespace gnomon::vmm {
namespace {

// Source and destination segments are checked if r1 and r2 say so; `segment` is the source's.
struct Addresses {
  uint64_t source;  // offsets
  uint64_t destination;
};

uint64_t masked_into(uint64_t old, uint64_t value, uint64_t mask) {
  return mask == 0xffff ? (old & ~mask) | (value & mask) : value & mask;
}

template <class T>
bool load_source(Cpu& cpu, const Op* op, uint64_t offset, T& value) {
  if (op->r1 != 0 && !may_access(cpu, op->segment, offset, sizeof(T), false)) [[unlikely]] {
    fault(cpu, op, segment_fault(op->segment));
    return false;
  }
  if (cpu.memory.load(cpu.linear(op->segment, offset), value)) [[likely]]
    return true;
  memory_fault(cpu, op);
  return false;
}
template <class T>
bool load_destination(Cpu& cpu, const Op* op, uint64_t offset, T& value) {
  if (op->r2 != 0 && !may_access(cpu, kEs, offset, sizeof(T), false)) [[unlikely]] {
    fault(cpu, op, segment_fault(kEs));
    return false;
  }
  if (cpu.memory.load(cpu.linear(kEs, offset), value)) [[likely]]
    return true;
  memory_fault(cpu, op, false);
  return false;
}
template <class T>
bool store_destination(Cpu& cpu, const Op* op, uint64_t offset, T value) {
  if (op->r2 != 0 && !may_access(cpu, kEs, offset, sizeof(T), true)) [[unlikely]] {
    fault(cpu, op, segment_fault(kEs));
    return false;
  }
  if (cpu.memory.store(cpu.linear(kEs, offset), value)) [[likely]]
    return true;
  memory_fault(cpu, op, false);
  return false;
}

// Bytes from `linear` (offset in its segment: `offset`) to the end of its page, or to where the
// offset wraps.
uint64_t room(uint64_t linear, uint64_t offset, uint64_t mask) {
  const uint64_t in_page = 4096 - linear % 4096;
  return mask == ~uint64_t{0} ? in_page : std::min(in_page, mask - offset + 1);
}

// What the instructions do. `step` makes one iteration; false: it met a fault, which has been
// noted, and did nothing. `piece` makes up to `most` iterations upwards at once, and says how many
// it could.
struct Movs {
  static constexpr bool kSource = true, kDestination = true, kCompares = false, kPieces = true;
  template <class T>
  static bool step(Cpu& cpu, const Op* op, const Addresses& at) {
    T value;
    return load_source(cpu, op, at.source, value) &&
           store_destination(cpu, op, at.destination, value);
  }
  template <class T>
  static uint64_t piece(Cpu& cpu, const Op* op, const Addresses& at, uint64_t most) {
    const uint64_t from = cpu.linear(op->segment, at.source);
    const uint64_t to = cpu.linear(kEs, at.destination);
    const uint64_t fits = std::min(room(from, at.source, op->address_mask),
                                   room(to, at.destination, op->address_mask));
    const uint64_t n = std::min(most, fits / sizeof(T));
    const auto bytes = static_cast<unsigned>(n * sizeof(T));
    if (n == 0) return 0;
    if (op->r1 != 0 && !may_access(cpu, op->segment, at.source, bytes, false)) return 0;
    if (op->r2 != 0 && !may_access(cpu, kEs, at.destination, bytes, true)) return 0;
    const uint8_t* in = cpu.memory.plain_load(from, bytes);
    uint8_t* out = cpu.memory.plain_store(to, bytes);
    if (in == nullptr || out == nullptr) return 0;
    if (out <= in || out >= in + bytes) {
      std::memmove(out, in, bytes);
      return n;
    }
    // What is stored is loaded again later.
    for (uint64_t i = 0; i < bytes; i += sizeof(T)) {
      T value;
      std::memcpy(&value, in + i, sizeof(T));
      std::memcpy(out + i, &value, sizeof(T));
    }
    return n;
  }
};

struct Stos {
  static constexpr bool kSource = false, kDestination = true, kCompares = false, kPieces = true;
  template <class T>
  static bool step(Cpu& cpu, const Op* op, const Addresses& at) {
    return store_destination(cpu, op, at.destination, static_cast<T>(cpu.gpr[kRax]));
  }
  template <class T>
  static uint64_t piece(Cpu& cpu, const Op* op, const Addresses& at, uint64_t most) {
    const uint64_t to = cpu.linear(kEs, at.destination);
    const uint64_t n = std::min(most, room(to, at.destination, op->address_mask) / sizeof(T));
    const auto bytes = static_cast<unsigned>(n * sizeof(T));
    if (n == 0 || (op->r2 != 0 && !may_access(cpu, kEs, at.destination, bytes, true))) return 0;
    uint8_t* out = cpu.memory.plain_store(to, bytes);
    if (out == nullptr) return 0;
    const T value = static_cast<T>(cpu.gpr[kRax]);
    if constexpr (sizeof(T) == 1) {
      std::memset(out, value, bytes);
    } else {
      for (uint64_t i = 0; i < bytes; i += sizeof(T)) std::memcpy(out + i, &value, sizeof(T));
    }
    return n;
  }
};

struct Lods {
  static constexpr bool kSource = true, kDestination = false, kCompares = false, kPieces = false;
  template <class T>
  static bool step(Cpu& cpu, const Op* op, const Addresses& at) {
    T value;
    if (!load_source(cpu, op, at.source, value)) return false;
    cpu.set_reg<T>(8 * kRax, value);
    return true;
  }
};

struct Scas {
  static constexpr bool kSource = false, kDestination = true, kCompares = true, kPieces = false;
  template <class T>
  static bool step(Cpu& cpu, const Op* op, const Addresses& at) {
    T b;
    if (!load_destination(cpu, op, at.destination, b)) return false;
    const T a = static_cast<T>(cpu.gpr[kRax]);
    cpu.flags.sub(a, b, static_cast<T>(a - b));
    return true;
  }
};

struct Cmps {
  static constexpr bool kSource = true, kDestination = true, kCompares = true, kPieces = false;
  template <class T>
  static bool step(Cpu& cpu, const Op* op, const Addresses& at) {
    T a;
    T b;
    if (!load_source(cpu, op, at.source, a) || !load_destination(cpu, op, at.destination, b))
      return false;
    cpu.flags.sub(a, b, static_cast<T>(a - b));
    return true;
  }
};

template <class F>
void advance(Cpu& cpu, Addresses& at, uint64_t by, uint64_t mask) {
  if constexpr (F::kSource) {
    at.source = (at.source + by) & mask;
    cpu.gpr[kRsi] = masked_into(cpu.gpr[kRsi], at.source, mask);
  }
  if constexpr (F::kDestination) {
    at.destination = (at.destination + by) & mask;
    cpu.gpr[kRdi] = masked_into(cpu.gpr[kRdi], at.destination, mask);
  }
}

template <class T>
uint64_t stride(const Cpu& cpu) {
  return (cpu.state.rflags & flag::kDF) != 0 ? uint64_t{0} - sizeof(T) : sizeof(T);
}

template <class F, class T>
void once(Cpu& cpu, const Op* op) {
  const uint64_t mask = op->address_mask;
  Addresses at{cpu.gpr[kRsi] & mask, cpu.gpr[kRdi] & mask};
  if (!F::template step<T>(cpu, op, at)) return;
  advance<F>(cpu, at, stride<T>(cpu), mask);
  return next(cpu, op);
}

template <class F, class T>
void repeat(Cpu& cpu, const Op* op) {
  const uint64_t mask = op->address_mask;
  uint64_t count = cpu.gpr[kRcx] & mask;
  if (count == 0) return leave(cpu, op, rip_after(cpu, op) & cpu.linear_mask);
  // So many iterations may be made now. One, if the VMM waits: it looks after each.
  uint64_t left = std::min(count, cpu.until - (cpu.instructions + op->number));
  if (cpu.attention || (cpu.state.rflags & flag::kTF) != 0) left = 1;
  const uint64_t by = stride<T>(cpu);
  const bool stop_if_zero = (op->flags & op_flag::kRepne) != 0;
  Addresses at{cpu.gpr[kRsi] & mask, cpu.gpr[kRdi] & mask};
  bool finished = false;
  while (!finished) {
    uint64_t n = 0;
    if constexpr (F::kPieces) {
      if (by == sizeof(T)) n = F::template piece<T>(cpu, op, at, left);
    }
    if (n == 0) {
      if (!F::template step<T>(cpu, op, at)) return;
      n = 1;
    }
    count -= n;
    left -= n;
    cpu.instructions += n;
    cpu.gpr[kRcx] = masked_into(cpu.gpr[kRcx], count, mask);
    advance<F>(cpu, at, n * by, mask);
    finished = count == 0;
    if constexpr (F::kCompares) finished = finished || cpu.flags.zf() == stop_if_zero;
    // A stale op (not this handler's any more) has overwritten itself: what is there now goes on.
    if (!finished && (left == 0 || cpu.attention || op->run != repeat<F, T>)) {
      cpu.instructions += op->number;
      return leave_to(cpu, rip_of(cpu, op));
    }
  }
  --cpu.instructions;  // which `leave` counts
  return leave(cpu, op, rip_after(cpu, op) & cpu.linear_mask);
}

// The source's segment: DS or what a prefix says, in the form in which other memory operands have
// it.
void find_source(const Decoded& d, Op& op) {
  const bool code64 = (d.mode & code_mode::kBits) == code_mode::k64;
  op.segment = kDs;
  for (unsigned n = 0; n < d.i.operand_count; ++n) {
    if (!d.is_memory(n)) continue;
    const auto id = static_cast<unsigned>(ZydisRegisterGetId(d.operand(n).mem.base));
    if (id == kRsi) op.segment = static_cast<uint8_t>(ZydisRegisterGetId(d.operand(n).mem.segment));
  }
  const bool own_base = op.segment == kFs || op.segment == kGs;
  if (code64 && !own_base) op.segment = kNoSegment;
  const bool flat = (d.mode & code_mode::kFlat) != 0;
  op.r1 = !flat || (!code64 && (own_base || op.segment == kCs));
  op.r2 = !flat;
}

// The last of the prefixes F2 and F3; either repeats what does not compare.
void find_repetition(const Decoded& d, Op& op) {
  op.flags &= static_cast<uint8_t>(~(op_flag::kRep | op_flag::kRepne | op_flag::kMemory));
  for (unsigned n = 0; n < d.i.raw.prefix_count; ++n) {
    const uint8_t prefix = d.i.raw.prefixes[n].value;
    if (prefix != 0xf2 && prefix != 0xf3) continue;
    op.flags &= static_cast<uint8_t>(~(op_flag::kRep | op_flag::kRepne));
    op.flags |= prefix == 0xf3 ? op_flag::kRep : op_flag::kRepne;
  }
}

template <class F>
bool bind(const Decoded& d, Op& op) {
  if (d.i.meta.category != ZYDIS_CATEGORY_STRINGOP) return false;  // MOVSD and CMPSD on vectors
  find_source(d, op);
  find_repetition(d, op);
  const bool repeated = (op.flags & (op_flag::kRep | op_flag::kRepne)) != 0;
  if (repeated) op.flags |= op_flag::kEnds;
  return by_size(d.i.operand_width / 8, op,
                 [&]<class T>(T) -> Handler { return repeated ? repeat<F, T> : once<F, T>; });
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_MOVSB, bind<Movs>}, {ZYDIS_MNEMONIC_MOVSW, bind<Movs>},
    {ZYDIS_MNEMONIC_MOVSD, bind<Movs>}, {ZYDIS_MNEMONIC_MOVSQ, bind<Movs>},
    {ZYDIS_MNEMONIC_CMPSB, bind<Cmps>}, {ZYDIS_MNEMONIC_CMPSW, bind<Cmps>},
    {ZYDIS_MNEMONIC_CMPSD, bind<Cmps>}, {ZYDIS_MNEMONIC_CMPSQ, bind<Cmps>},
    {ZYDIS_MNEMONIC_SCASB, bind<Scas>}, {ZYDIS_MNEMONIC_SCASW, bind<Scas>},
    {ZYDIS_MNEMONIC_SCASD, bind<Scas>}, {ZYDIS_MNEMONIC_SCASQ, bind<Scas>},
    {ZYDIS_MNEMONIC_LODSB, bind<Lods>}, {ZYDIS_MNEMONIC_LODSW, bind<Lods>},
    {ZYDIS_MNEMONIC_LODSD, bind<Lods>}, {ZYDIS_MNEMONIC_LODSQ, bind<Lods>},
    {ZYDIS_MNEMONIC_STOSB, bind<Stos>}, {ZYDIS_MNEMONIC_STOSW, bind<Stos>},
    {ZYDIS_MNEMONIC_STOSD, bind<Stos>}, {ZYDIS_MNEMONIC_STOSQ, bind<Stos>},
};

}  // namespace

absl::Span<const Binding> string_bindings() { return kBindings; }

}  // namespace gnomon::vmm
