// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_VMM_CPU_STATE_H_
#define GNOMON_VMM_CPU_STATE_H_

#include <array>
#include <cstdint>

// The architectural registers of an x86 processor as its guest sees them. Those that decide about
// translation (CR0, CR3, CR4, EFER, PKRU) are in Vcpu::controls().

namespace gnomon::vmm {

enum Gpr : uint8_t {
  kRax, kRcx, kRdx, kRbx, kRsp, kRbp, kRsi, kRdi,
  kR8, kR9, kR10, kR11, kR12, kR13, kR14, kR15,
};
/// In the order of the instruction encoding.
enum SegmentRegister : uint8_t { kEs, kCs, kSs, kDs, kFs, kGs };
inline constexpr unsigned kSegmentRegisters = 6;

namespace flag {
inline constexpr uint64_t kCF = 1u << 0, kOne = 1u << 1, kPF = 1u << 2, kAF = 1u << 4, kZF = 1u << 6,
                          kSF = 1u << 7, kTF = 1u << 8, kIF = 1u << 9, kDF = 1u << 10, kOF = 1u << 11,
                          kIOPL = 3u << 12, kNT = 1u << 14, kRF = 1u << 16, kVM = 1u << 17,
                          kAC = 1u << 18, kVIF = 1u << 19, kVIP = 1u << 20, kID = 1u << 21;
inline constexpr uint64_t kArithmetic = kCF | kPF | kAF | kZF | kSF | kOF;
}  // namespace flag

/// Attributes of a cached descriptor: bytes 5 and 6 of the descriptor, without the limit's bits.
namespace seg {
inline constexpr uint16_t kTypeMask = 0xf, kAccessed = 1, kWritable = 2 /* data */, kReadable = 2 /* code */,
                          kExpandDown = 4 /* data */, kConforming = 4 /* code */, kCode = 8,
                          kS = 1u << 4 /* code or data, not system */, kP = 1u << 7, kAVL = 1u << 12,
                          kL = 1u << 13, kDB = 1u << 14, kG = 1u << 15;
inline constexpr unsigned kDplShift = 5;
}  // namespace seg

/// A segment register with its hidden part (SDM vol. 3, 3.4.3).
struct Segment {
  uint16_t selector = 0;
  uint16_t attributes = 0;  ///< seg:: bits; 0: not usable (null selector)
  uint32_t limit = 0;       ///< last byte, granularity applied
  uint64_t base = 0;

  unsigned dpl() const { return attributes >> seg::kDplShift & 3; }
  bool present() const { return (attributes & seg::kP) != 0; }
  friend bool operator==(const Segment&, const Segment&) = default;
};

/// GDTR or IDTR.
struct TableRegister {
  uint64_t base = 0;
  uint16_t limit = 0xffff;
  friend bool operator==(const TableRegister&, const TableRegister&) = default;
};

struct alignas(16) Xmm {
  std::array<uint64_t, 2> q{};
  friend bool operator==(const Xmm&, const Xmm&) = default;
};

/// x87 registers (SDM vol. 1, chapter 8). `st[i]` is physical register i, as 80 bits in 10 bytes.
struct X87State {
  std::array<std::array<uint8_t, 10>, 8> r{};
  uint16_t control = 0x037f;
  uint16_t status = 0;  ///< TOP in bits 11 to 13
  uint8_t tags = 0;     ///< abridged: bit i set = register i is not empty
  uint16_t last_opcode = 0;
  uint64_t last_ip = 0, last_data = 0;
  unsigned top() const { return status >> 11 & 7; }
  friend bool operator==(const X87State&, const X87State&) = default;
};

struct Msrs {
  uint64_t star = 0, lstar = 0, cstar = 0, sfmask = 0;
  uint64_t kernel_gs_base = 0;
  uint64_t sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0;
  uint64_t pat = 0x0007040600070406, misc_enable = 1, tsc_aux = 0;
  uint64_t tsc_offset = 0;  ///< TSC = time stamp of the machine + this
  /// Memory types: kept for the guest, without effect. Base and mask of each variable range; the fixed ranges in the
  /// order of their numbers (250H, 258H, 259H, 268H to 26FH).
  uint64_t mtrr_default = 0;
  std::array<uint64_t, 16> mtrr_variable{};
  std::array<uint64_t, 11> mtrr_fixed{};
  friend bool operator==(const Msrs&, const Msrs&) = default;
};

struct CpuState {
  std::array<uint64_t, 16> gpr{};  ///< in the order of the instruction encoding (enum Gpr)
  uint64_t rip = 0xfff0;
  uint64_t rflags = flag::kOne;
  std::array<Segment, kSegmentRegisters> segments{};
  Segment ldtr, tr;
  TableRegister gdtr, idtr;
  uint64_t cr2 = 0;
  uint8_t cr8 = 0;  ///< task priority (also bits 4..7 of the local APIC's TPR)
  std::array<uint64_t, 8> dr{0, 0, 0, 0, 0, 0, 0xffff0ff0, 0x400};
  Msrs msrs;
  std::array<Xmm, 16> xmm{};
  uint32_t mxcsr = 0x1f80;
  X87State x87;

  /// The current privilege level, kept by whoever loads CS and SS (0 in real mode, 3 in virtual-8086
  /// mode).
  uint8_t cpl = 0;
  /// Waits for an interrupt.
  bool halted = false;
  /// Waits for a start-up message (processors other than the first).
  bool waits_for_startup = false;
  /// Interrupts are held off for one instruction (after STI, MOV SS, POP SS).
  bool interrupt_shadow = false;
  /// A non-maskable interrupt is being handled: no other until IRET.
  bool nmi_blocked = false;
  bool nmi_pending = false;

  friend bool operator==(const CpuState&, const CpuState&) = default;
};

}  // namespace gnomon::vmm

#endif  // GNOMON_VMM_CPU_STATE_H_
