// SPDX-License-Identifier: Apache-2.0
//
// The processor's registers and privileged instructions, one function each, for both sizes of code.
#ifndef GUESTS_COMMON_CPU_H_
#define GUESTS_COMMON_CPU_H_

#include <stdbool.h>
#include <stdint.h>

// CR0, CR4, flags: bits that the guests use.
enum {
  kCr0Protection = 1 << 0,
  kCr0Emulation = 1 << 2,
  kCr0TaskSwitched = 1 << 3,
  kCr0WriteProtect = 1 << 16,
  kCr0AlignmentMask = 1 << 18,
  kCr4PageSizeExtension = 1 << 4,
  kCr4GlobalPages = 1 << 7,
  kCr4Pcid = 1 << 17,
  kFlagsTrap = 1 << 8,
  kFlagsInterrupt = 1 << 9,
  kFlagsAlignment = 1 << 18,
  kFlagsAlwaysOne = 1 << 1,
};
#define CR0_PAGING 0x80000000u

enum { kMsrApicBase = 0x1b, kPageSize = 4096 };
#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_SFMASK 0xc0000084u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
enum { kEferSyscall = 1 << 0, kEferLongMode = 1 << 8, kEferNoExecute = 1 << 11 };

// Page-table entries: the bits that two-level and four-level tables have in common.
enum {
  kPresent = 1 << 0,
  kWritable = 1 << 1,
  kUser = 1 << 2,
  kCacheDisable = 1 << 4,
  kAccessed = 1 << 5,
  kDirty = 1 << 6,
  kLarge = 1 << 7,
  kGlobal = 1 << 8,
  kForSoftware = 1 << 9,  // one of the bits that the processor ignores
};
#define NO_EXECUTE (UINT64_C(1) << 63)

// Page-fault error code.
enum { kFaultPresent = 1, kFaultWrite = 2, kFaultUser = 4, kFaultReserved = 8, kFaultFetch = 16 };

#define GUESTS_REGISTER(name)                                       \
  static inline uintptr_t read_##name(void) {                       \
    uintptr_t value;                                                \
    __asm__ volatile("mov %%" #name ", %0" : "=r"(value));          \
    return value;                                                   \
  }                                                                 \
  static inline void write_##name(uintptr_t value) {                \
    __asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory"); \
  }
GUESTS_REGISTER(cr0)
GUESTS_REGISTER(cr2)
GUESTS_REGISTER(cr3)
GUESTS_REGISTER(cr4)
#undef GUESTS_REGISTER

static inline void invlpg(uintptr_t address) {
  __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

/// Reads what is there without seeing it. Where an entry has changed and no flush has followed, the
/// processor may show the old page or the new one.
static inline void touch(uintptr_t address) {
  __asm__ volatile("testb $0, (%0)" : : "r"(address) : "memory", "cc");
}

static inline uintptr_t read_flags(void) {
  uintptr_t flags;
  __asm__ volatile("pushf; pop %0" : "=r"(flags));
  return flags;
}

static inline void write_flags(uintptr_t flags) {
  __asm__ volatile("push %0; popf" : : "r"(flags) : "memory", "cc");
}

static inline uint64_t read_msr(uint32_t number) {
  uint32_t low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
  return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t number, uint64_t value) {
  __asm__ volatile("wrmsr" : : "c"(number), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

typedef struct Cpuid {
  uint32_t eax, ebx, ecx, edx;
} Cpuid;

static inline Cpuid cpuid(uint32_t leaf, uint32_t subleaf) {
  Cpuid r;
  __asm__ volatile("cpuid"
                   : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                   : "a"(leaf), "c"(subleaf));
  return r;
}

#endif  // GUESTS_COMMON_CPU_H_
