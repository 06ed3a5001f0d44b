// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/cpuid.h"

#include <cstring>

#include "absl/strings/string_view.h"
#include "vmm/trap/control_registers.h"
#include "vmm/trap/hypercalls.h"
#include "vmm/trap/instructions.h"

// CPUID (SDM vol. 2, table 3-8): exactly what there is. The processor calls itself GenuineIntel,
// family 6, model 0FH (the first with 64-bit mode of its line): kernels and memory testers then
// take the paths of Intel's processors, on which SYSCALL exists in 64-bit mode only, SYSENTER in
// all modes, and SYSRET checks RCX at level 0. Bit 31 of leaf 1 and the leaves from 4000_0000H say
// that it is a virtual one.

namespace gnomon::vmm::trap {
namespace {

constexpr uint32_t bit(unsigned n) { return uint32_t{1} << n; }

constexpr uint32_t kLastBasic = 0x16;
constexpr uint32_t kLastHypervisor = 0x4000'0010;
constexpr uint32_t kLastExtended = 0x8000'0008;
constexpr uint32_t kTscHz = 1'000'000'000;

// Leaf 1, EDX.
constexpr uint32_t kFeatures =
    bit(0) /* FPU */ | bit(2) /* DE */ | bit(3) /* PSE */ | bit(4) /* TSC */ | bit(5) /* MSR */ |
    bit(6) /* PAE */ | bit(8) /* CX8 */ | bit(11) /* SEP */ | bit(12) /* MTRR */ |
    bit(13) /* PGE */ | bit(15) /* CMOV */ | bit(16) /* PAT */ | bit(19) /* CLFSH */ |
    bit(23) /* MMX */ | bit(24) /* FXSR */ | bit(25) /* SSE */ | bit(26) /* SSE2 */;
constexpr uint32_t kPse36 = bit(17), kApic = bit(9);
// Leaf 1, ECX.
constexpr uint32_t kMoreFeatures =
    bit(13) /* CX16 */ | bit(17) /* PCID */ | bit(23) /* POPCNT */ | bit(31) /* hypervisor */;
// Leaf 7.
constexpr uint32_t kFeatures7b =
    bit(0) /* FSGSBASE */ | bit(7) /* SMEP */ | bit(10) /* INVPCID */ | bit(20) /* SMAP */;
constexpr uint32_t kFeatures7c = bit(2) /* UMIP */ | bit(3) /* PKU */ | bit(22) /* RDPID */;
constexpr uint32_t kOspke = bit(4);
constexpr uint32_t kFeatures7d = bit(29) /* ARCH_CAPABILITIES */;
// Leaf 8000_0001H.
constexpr uint32_t kExtendedC = bit(0) /* LAHF */;
constexpr uint32_t kExtendedD = bit(20) /* NX */ | bit(27) /* RDTSCP */ | bit(29) /* LM */;
constexpr uint32_t kSyscall = bit(11), kGigabytePages = bit(26);

uint32_t word(absl::string_view text, size_t number) {
  char bytes[4] = {};
  for (size_t i = 0; i < 4 && 4 * number + i < text.size(); ++i) bytes[i] = text[4 * number + i];
  uint32_t value = 0;
  std::memcpy(&value, bytes, 4);
  return value;
}

CpuidLeaf features(const Cpu& cpu, Board& board, const CpuModel& model) {
  CpuidLeaf r;
  r.eax = kSignature;
  r.ebx = cpu.id << 24 | 1u << 16 |
          64 / 8 << 8;  // APIC number, one logical processor, CLFLUSH of 64 bytes
  r.ecx = kMoreFeatures;
  r.edx = kFeatures | (model.pse36 ? kPse36 : 0) | (board.apic_base(cpu.id) >> 11 & 1 ? kApic : 0);
  return r;
}

CpuidLeaf structured_features(const Cpu& cpu) {
  const bool keys = (cpu.controls().cr4 & cr4::kPKE) != 0;
  return {0, kFeatures7b, kFeatures7c | (keys ? kOspke : 0), kFeatures7d};
}

CpuidLeaf extended_features(const Cpu& cpu, const CpuModel& model) {
  return {0, 0, kExtendedC,
          kExtendedD | (model.gb_pages ? kGigabytePages : 0) | (cpu.code64() ? kSyscall : 0)};
}

CpuidLeaf brand(unsigned part) {
  constexpr absl::string_view kBrand = "Gnomon virtual processor";
  return {word(kBrand, 4 * part), word(kBrand, 4 * part + 1), word(kBrand, 4 * part + 2),
          word(kBrand, 4 * part + 3)};
}

CpuidLeaf hypervisor(const Cpu& cpu, uint32_t leaf) {
  constexpr absl::string_view kName = "GnomonGnomon";
  if (leaf == 0x4000'0000) return {kLastHypervisor, word(kName, 0), word(kName, 1), word(kName, 2)};
  if (leaf == 0x4000'0001) return {hypercall_features(cpu), kHypercallVersion, kHypercallCount, 0};
  if (leaf == kLastHypervisor)
    return {kTscHz / 1000, kTscHz / 1000, 0, 0};  // TSC and APIC timer, in kHz
  return {};
}

}  // namespace

CpuidLeaf cpuid_leaf(const Cpu& cpu, Board& board, uint32_t leaf, uint32_t subleaf) {
  constexpr absl::string_view kVendor = "GenuineIntel";
  const CpuModel& model = cpu.memory.mmu().state().cpu;
  if (leaf >> 28 == 4) return hypervisor(cpu, leaf);
  // Beyond the last leaf, what the last basic one says.
  if (leaf > kLastExtended || (leaf > kLastBasic && leaf < 0x8000'0000)) leaf = kLastBasic;
  switch (leaf) {
    case 0: return {kLastBasic, word(kVendor, 0), word(kVendor, 2), word(kVendor, 1)};
    case 1: return features(cpu, board, model);
    case 2: return {1, 0, 0, 0};  // no caches
    case 7: return subleaf == 0 ? structured_features(cpu) : CpuidLeaf{};
    // The TSC runs at 1 / 1 of a crystal of 1 GHz, which also drives the timer of the local APIC.
    case 0x15: return {1, 1, kTscHz, 0};
    case 0x16: return {kTscHz / 1'000'000, kTscHz / 1'000'000, 100, 0};
    case 0x8000'0000: return {kLastExtended, 0, 0, 0};
    case 0x8000'0001: return extended_features(cpu, model);
    case 0x8000'0002:
    case 0x8000'0003:
    case 0x8000'0004: return brand(leaf - 0x8000'0002);
    case 0x8000'0007: return {0, 0, 0, bit(8)};  // the TSC runs at all times at the same rate
    case 0x8000'0008: return {model.maxphyaddr | 48u << 8, 0, 0, 0};
    default: return {};
  }
}

bool cpuid(Instruction& in) {
  Cpu& cpu = in.cpu;
  const CpuidLeaf r = cpuid_leaf(cpu, in.environment.board(), static_cast<uint32_t>(cpu.gpr[kRax]),
                                 static_cast<uint32_t>(cpu.gpr[kRcx]));
  cpu.gpr[kRax] = r.eax;
  cpu.gpr[kRbx] = r.ebx;
  cpu.gpr[kRcx] = r.ecx;
  cpu.gpr[kRdx] = r.edx;
  return true;
}

}  // namespace gnomon::vmm::trap
