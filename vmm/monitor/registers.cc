// SPDX-License-Identifier: Apache-2.0
// `info registers`, in QEMU's layout: the short one outside 64-bit code.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/memory/bytes.h"
#include "vmm/cpu/cpu.h"
#include "vmm/monitor/context.h"

namespace gnomon::vmm {
namespace {

struct GprPlace {
  absl::string_view name;
  unsigned number;
};
constexpr GprPlace kGprs[] = {{"AX", kRax}, {"BX", kRbx}, {"CX", kRcx}, {"DX", kRdx},
                              {"SI", kRsi}, {"DI", kRdi}, {"BP", kRbp}, {"SP", kRsp}};

struct FlagPlace {
  uint64_t bit;
  char letter;
};
constexpr FlagPlace kFlags[] = {{flag::kDF, 'D'}, {flag::kOF, 'O'}, {flag::kSF, 'S'},
                                {flag::kZF, 'Z'}, {flag::kAF, 'A'}, {flag::kPF, 'P'},
                                {flag::kCF, 'C'}};
constexpr absl::string_view kSegmentNames[] = {"ES", "CS", "SS", "DS", "FS", "GS"};

std::string address(uint64_t value, bool wide) {
  return wide ? absl::StrFormat("%016x", value) : absl::StrFormat("%08x", value & 0xffff'ffff);
}

std::string general_registers(const Cpu& cpu, const CpuState& s) {
  const bool wide = cpu.code64();
  const absl::string_view prefix = wide ? "R" : "E";
  std::string text;
  for (unsigned i = 0; i < 8; ++i) {
    absl::StrAppend(&text, prefix, kGprs[i].name, "=", address(s.gpr[kGprs[i].number], wide),
                    i % 4 == 3 ? "\n" : " ");
  }
  for (unsigned r = 8; wide && r < 16; ++r) {
    absl::StrAppendFormat(&text, "R%-2d=%016x%s", r, s.gpr[r], r % 4 == 3 ? "\n" : " ");
  }
  std::string flags;
  for (const FlagPlace& f : kFlags) flags += (s.rflags & f.bit) != 0 ? f.letter : '-';
  absl::StrAppendFormat(&text, "%sIP=%s %sFL=%08x [%s] CPL=%d II=%d HLT=%d\n", prefix,
                        address(s.rip, wide), prefix, s.rflags, flags, s.cpl, s.interrupt_shadow,
                        s.halted);
  return text;
}

// As bytes 4 to 7 of a descriptor, without its base.
uint32_t descriptor_flags(const Segment& s) {
  const uint32_t limit = (s.attributes & seg::kG) != 0 ? s.limit >> 12 : s.limit;
  return uint32_t{s.attributes} << 8 | (limit & 0xf'0000);
}

std::string segment(absl::string_view name, const Segment& s, bool wide, bool code_or_data) {
  std::string text = absl::StrFormat("%-3s=%04x %s %08x %08x", name, s.selector,
                                     address(s.base, wide), s.limit, descriptor_flags(s));
  const uint16_t a = s.attributes;
  if (!s.present()) return text + "\n";
  absl::StrAppendFormat(&text, " DPL=%d ", s.dpl());
  if (!code_or_data) {
    absl::StrAppend(&text, name == "LDT" ? "LDT" : (a & 8) != 0 ? "TSS32" : "TSS16");
    if (name == "TR" && (a & 2) != 0) absl::StrAppend(&text, "-busy");
  } else if ((a & seg::kCode) != 0) {
    absl::StrAppend(&text,
                    (a & seg::kL) != 0    ? "CS64"
                    : (a & seg::kDB) != 0 ? "CS32"
                                          : "CS16",
                    " [", (a & seg::kConforming) != 0 ? "C" : "-",
                    (a & seg::kReadable) != 0 ? "R" : "-", (a & seg::kAccessed) != 0 ? "A" : "-",
                    "]");
  } else {
    absl::StrAppend(&text, (a & seg::kDB) != 0 ? "DS  " : "DS16", " [",
                    (a & seg::kExpandDown) != 0 ? "E" : "-", (a & seg::kWritable) != 0 ? "W" : "-",
                    (a & seg::kAccessed) != 0 ? "A" : "-", "]");
  }
  return text + "\n";
}

std::string vector_registers(const Cpu& cpu, const CpuState& s) {
  std::string text = absl::StrFormat("FCW=%04x FSW=%04x [ST=%d] FTW=%02x MXCSR=%08x\n",
                                     s.x87.control, s.x87.status, s.x87.top(), s.x87.tags, s.mxcsr);
  for (unsigned i = 0; i < 8; ++i) {
    absl::StrAppendFormat(&text, "FPR%d=%016x %04x%s", i, load_bytes(s.x87.r[i].data(), 8),
                          load_bytes(s.x87.r[i].data() + 8, 2), i % 2 == 1 ? "\n" : " ");
  }
  for (unsigned i = 0; i < (cpu.code64() ? 16u : 8u); ++i) {
    absl::StrAppendFormat(&text, "XMM%02d=%016x %016x%s", i, s.xmm[i].q[1], s.xmm[i].q[0],
                          i % 2 == 1 ? "\n" : " ");
  }
  return text;
}

}  // namespace

std::string registers_like_qemu(MonitorContext& context, unsigned number) {
  const Cpu& cpu = context.machine.cpu(number);
  const CpuState s = cpu.snapshot();
  const Controls& c = cpu.controls();
  const bool wide = cpu.long_mode();
  std::string text = general_registers(cpu, s);
  for (unsigned i = 0; i < kSegmentRegisters; ++i) {
    text += segment(kSegmentNames[i], s.segments[i], wide, /*code_or_data=*/true);
  }
  text += segment("LDT", s.ldtr, wide, false);
  text += segment("TR", s.tr, wide, false);
  for (const auto& [name, table] : {std::pair{"GDT", s.gdtr}, {"IDT", s.idtr}}) {
    absl::StrAppendFormat(&text, "%s=     %s %08x\n", name, address(table.base, wide), table.limit);
  }
  absl::StrAppendFormat(&text, "CR0=%08x CR2=%s CR3=%s CR4=%08x\n", c.cr0, address(s.cr2, wide),
                        address(c.cr3, wide), c.cr4);
  for (unsigned i = 0; i < 4; ++i) {
    absl::StrAppendFormat(&text, "DR%d=%s%s", i, address(s.dr[i], wide), i == 3 ? "\n" : " ");
  }
  absl::StrAppendFormat(&text, "DR6=%s DR7=%s\nEFER=%016x\n", address(s.dr[6], wide),
                        address(s.dr[7], wide), c.efer);
  return text + vector_registers(cpu, s);
}

}  // namespace gnomon::vmm
