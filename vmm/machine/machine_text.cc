// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/machine/machine_impl.h"

namespace gnomon::vmm {
namespace {

constexpr absl::string_view kGprNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr absl::string_view kSegmentNames[] = {"es", "cs", "ss", "ds", "fs", "gs"};

std::string segment_text(absl::string_view name, const Segment& s) {
  return absl::StrFormat("%-3s %04x base %016x limit %08x attributes %04x\n", name, s.selector,
                         s.base, s.limit, s.attributes);
}

}  // namespace

std::string MachineImpl::registers_text(unsigned number) const {
  const Cpu& cpu = *processors_[number]->cpu;
  const CpuState s = cpu.snapshot();
  const Controls& c = cpu.controls();
  std::string text;
  for (unsigned r = 0; r < 16; ++r) {
    absl::StrAppendFormat(&text, "%-3s %016x%s", kGprNames[r], s.gpr[r], r % 4 == 3 ? "\n" : "  ");
  }
  absl::StrAppendFormat(&text, "rip %016x  rflags %08x  cpl %d%s\n", s.rip, s.rflags, s.cpl,
                        s.halted              ? "  halted"
                        : s.waits_for_startup ? "  waits for start-up"
                                              : "");
  for (unsigned i = 0; i < kSegmentRegisters; ++i) {
    text += segment_text(kSegmentNames[i], s.segments[i]);
  }
  text += segment_text("ldt", s.ldtr);
  text += segment_text("tr", s.tr);
  absl::StrAppendFormat(&text, "gdt %016x limit %04x  idt %016x limit %04x\n", s.gdtr.base,
                        s.gdtr.limit, s.idtr.base, s.idtr.limit);
  absl::StrAppendFormat(&text, "cr0 %08x  cr2 %016x  cr3 %016x  cr4 %08x  cr8 %x  efer %x\n", c.cr0,
                        s.cr2, c.cr3, c.cr4, s.cr8, c.efer);
  return text;
}

std::vector<ExitCount> MachineImpl::exit_counts() const {
  ExitCounts sum;
  for (const auto& p : processors_) sum += p->cpu->exits;
  std::vector<ExitCount> rows;
  for (const ExitClassInfo& row : exit_class_table()) {
    rows.push_back({row.name, row.description, sum[row.id]});
  }
  return rows;
}

}  // namespace gnomon::vmm
