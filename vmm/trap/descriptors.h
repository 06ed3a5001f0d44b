// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_TRAP_DESCRIPTORS_H_
#define VMM_TRAP_DESCRIPTORS_H_

#include <cstdint>

#include "vmm/trap/instruction.h"

// Segment descriptors in the guest's tables (SDM vol. 3, 3.4.5 and 3.5).

namespace gnomon::vmm::trap {

/// Types of system descriptors.
namespace system_type {
inline constexpr unsigned kTss16 = 1, kLdt = 2, kTss16Busy = 3, kCallGate16 = 4, kTaskGate = 5,
                          kInterrupt16 = 6, kTrap16 = 7, kTss32 = 9, kTss32Busy = 11,
                          kCallGate32 = 12, kInterrupt32 = 14, kTrap32 = 15;
}  // namespace system_type

struct Descriptor {
  uint64_t low = 0;
  uint64_t high = 0;     ///< of system descriptors in long mode
  uint64_t address = 0;  ///< linear

  uint16_t attributes() const { return static_cast<uint16_t>(low >> 40 & 0xf0ff); }
  unsigned type() const { return static_cast<unsigned>(low >> 40 & 15); }
  unsigned dpl() const { return static_cast<unsigned>(low >> 45 & 3); }
  bool present() const { return (attributes() & seg::kP) != 0; }
  bool system() const { return (attributes() & seg::kS) == 0; }
  bool code() const { return !system() && (type() & seg::kCode) != 0; }
  bool data() const { return !system() && (type() & seg::kCode) == 0; }
  bool conforming() const { return code() && (type() & seg::kConforming) != 0; }
  bool readable() const { return data() || (type() & seg::kReadable) != 0; }
  bool writable() const { return data() && (type() & seg::kWritable) != 0; }
  bool code64() const { return (attributes() & seg::kL) != 0; }
  uint32_t limit() const {
    const auto raw = static_cast<uint32_t>((low & 0xffff) | (low >> 32 & 0xf0000));
    return (attributes() & seg::kG) != 0 ? raw << 12 | 0xfff : raw;
  }
  /// 64 bits of system descriptors in long mode.
  uint64_t base() const { return (low >> 16 & 0xff'ffff) | (low >> 32 & 0xff00'0000) | high << 32; }
  Segment segment(uint16_t selector) const { return {selector, attributes(), limit(), base()}; }
};

inline uint32_t error_of(uint16_t selector) { return selector & 0xfffcu; }
inline bool is_null(uint16_t selector) { return (selector & 0xfffc) == 0; }

enum class Found : uint8_t {
  kYes,
  kNo,     ///< beyond the table's limit, or in an LDT that there is not
  kFault,  ///< reading it faults: Cpu::exit.fault
};
/// The descriptor of a selector that is not null: 8 bytes.
Found find_descriptor(Cpu& cpu, uint16_t selector, Descriptor& d);
/// The upper half of a system descriptor in long mode.
Found find_upper_half(Cpu& cpu, uint16_t selector, Descriptor& d);
/// As find_descriptor; if there is none, raises `vector` with the selector and `ext` as the error.
bool need_descriptor(Cpu& cpu, uint16_t selector, uint8_t vector, uint32_t ext, Descriptor& d);
/// Sets bits of the type in memory (accessed, busy).
bool mark_descriptor(Cpu& cpu, Descriptor& d, unsigned type_bits);

/// Loads ES, SS, DS, FS or GS as MOV does, with all checks (SDM vol. 2, MOV).
bool load_segment(Cpu& cpu, unsigned reg, uint16_t selector);
/// The checks of a stack segment for privilege level `cpl`. Faults: `vector` with the selector, #SS
/// if it is not present.
bool check_stack_segment(Cpu& cpu, uint16_t selector, unsigned cpl, uint8_t vector, uint32_t ext,
                         Descriptor& d);
/// A segment register in real mode.
void set_real_segment(Cpu& cpu, unsigned reg, uint16_t selector);
/// What a null selector makes of a segment register.
Segment null_segment(uint16_t selector);
/// Flat segments as SYSCALL and relatives make them.
Segment flat_code(uint16_t selector, unsigned dpl, bool code64);
Segment flat_stack(uint16_t selector, unsigned dpl);

}  // namespace gnomon::vmm::trap

#endif  // VMM_TRAP_DESCRIPTORS_H_
