// SPDX-License-Identifier: Apache-2.0
// `info shadow`: what the backend keeps in place of the guest's tables, and for an address both
// walks side by side: the guest's, which the guest believes in, and the hardware's, which decides.
#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "mmu/shadow/spte.h"
#include "vmm/cpu/cpu.h"
#include "vmm/monitor/context.h"

namespace gnomon::vmm {
namespace {

/// One reference of a walk.
struct Step {
  std::string where;  ///< address of the entry; empty: none at this level
  uint64_t entry = 0;
  std::string what;  ///< rights, or why the walk ends there
};
using Steps = std::array<Step, 6>;  // by level

std::string rights_text(uint64_t entry, bool leaf) {
  std::string text = "r";
  text += (entry & pte::kWritable) != 0 ? 'w' : '-';
  text += (entry & pte::kUser) != 0 ? 'u' : '-';
  if ((entry & pte::kAccessed) != 0) text += 'A';
  if (leaf && (entry & pte::kDirty) != 0) text += 'D';
  return text;
}

struct WalkText {
  Steps steps;
  std::string end;
  unsigned top = 0;
};

// Bytes between the entries of a level are those of the format.
template <class Format>
uint64_t entry_at(uint64_t table, Gva va, unsigned level) {
  return table + Format::index(va, level) * sizeof(typename Format::Entry);
}

WalkText guest_walk(const GuestView& view, uint64_t linear) {
  WalkText text;
  const Walk<Gpa> w = view.walk(linear);
  const PagingMode mode = view.rules().mode;
  for (unsigned level = w.start_level; level >= w.level && level != 0; --level) {
    const uint64_t table = w.table[level].value();
    const Gva va(linear);
    const uint64_t at = mode == PagingMode::kLegacy32 ? entry_at<Legacy32Format>(table, va, level)
                        : mode == PagingMode::kPae    ? entry_at<PaeFormat>(table, va, level)
                                                      : entry_at<Long5>(table, va, level);
    Step& step = text.steps[level];
    step.where = absl::StrFormat("gpa %#010x", at);
    if (w.status == WalkStatus::kNoMemory && level == w.level) {
      step.what = "not in RAM";
      continue;
    }
    step.entry = w.entry[level];
    const bool faults = w.status == WalkStatus::kFault && level == w.level;
    step.what = !faults                               ? rights_text(step.entry, level == w.level)
                : (w.error_code & pf::kReserved) != 0 ? "reserved bit"
                                                      : "not present";
  }
  text.top = w.start_level;
  if (w.ok()) {
    text.end = absl::StrFormat("gpa %#010x, %s page", w.address.value(),
                               mode == PagingMode::kOff ? "no" : name_of(w.size));
  } else {
    text.end = w.status == WalkStatus::kFault ? "page fault" : "no memory";
  }
  return text;
}

WalkText shadow_walk(MonitorContext& context, Hpa root, uint64_t linear, unsigned levels) {
  WalkText text;
  text.top = levels;
  const HostMemory& host = context.machine.p2m().host();
  Hpa table = root.page_base();
  for (unsigned level = levels; level != 0; --level) {
    Step& step = text.steps[level];
    const Hpa at(entry_at<Long5>(table.value(), Gva(linear), level));
    step.where = absl::StrFormat("hpa %#010x", at.value());
    if (!host.contains(at, 8)) {
      step.what = "?";
      text.end = "an entry outside host memory";
      return text;
    }
    const uint64_t e = step.entry = shadow::load_spte(*host.at<uint64_t>(at));
    const bool leaf = level == 1 || (e & pte::kLarge) != 0;
    if (!shadow::is_present(e)) {
      step.what = "not present";
      text.end = "not filled: the next access exits to the VMM";
    } else if (shadow::is_mmio(e)) {
      step.what = "device";
      text.end = "marked as a device's page";
    } else if (shadow::is_switch(e)) {
      step.what = "switch";
      text.end = "goes on in the guest's table, in nested mode";
    } else {
      step.what = rights_text(e, leaf);
      table = Hpa(e & pte::kFrameMask);
      if (!leaf) continue;
      const PageSize size = Long4::leaf_size(level);
      text.end = absl::StrFormat("hpa %#010x, %s page",
                                 Hpa(Long4::leaf_base(e, level)).with_offset(size, linear).value(),
                                 name_of(size));
    }
    return text;
  }
  return text;
}

std::string cell(const Step& s) {
  if (s.where.empty()) return "";
  return absl::StrFormat("%s: %016x %s", s.where, s.entry, s.what);
}

std::string summary(MonitorContext& context, absl::string_view backend) {
  const Counters c = context.machine.counters();
  const uint64_t created = c[Counter::kShadowPagesCreated], gone = c[Counter::kShadowPagesZapped];
  std::string text =
      absl::StrFormat("%s: %d bytes of tables", backend, context.machine.backend().table_bytes());
  // A vtlb counts no pages: it throws all of them away at once.
  if (created != 0)
    absl::StrAppendFormat(&text, ", %d shadow pages (%d made, %d thrown away)", created - gone,
                          created, gone);
  absl::StrAppendFormat(&text,
                        "\nfilled %d entries in %d hidden faults; %d traps of table writes, %d "
                        "table pages out of sync so far\n",
                        c[Counter::kShadowFills], c[Counter::kHiddenFaults],
                        c[Counter::kExitTableWrite], c[Counter::kUnsync]);
  return text;
}

}  // namespace

absl::StatusOr<std::string> shadow_text(MonitorContext& context, absl::string_view arguments) {
  Machine& machine = context.machine;
  const absl::string_view backend = machine.backend().name();
  Cpu& cpu = machine.cpu(context.cpu);
  const std::optional<Hpa> root = machine.backend().shadow_root(cpu.mmu().state());
  if (!root) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the backend ", backend, " keeps no shadow tables: the processor walks the guest's own"));
  }
  if (arguments.empty()) return summary(context, backend);
  const auto linear = evaluate(context, arguments);
  if (!linear.ok()) return linear.status();
  const GuestView view = context.view();
  const PagingMode mode = view.rules().mode;
  const WalkText guest = guest_walk(view, *linear);
  WalkText hardware;
  if (*root == Hpa()) {
    hardware.end = "no root yet: the next access exits to the VMM";
  } else if ((root->value() & 1) != 0) {
    hardware.end = "walks the guest's own tables, in nested mode";
  } else {
    hardware = shadow_walk(context, *root, *linear, mode == PagingMode::kLevel5 ? 5 : 4);
  }
  std::string text = absl::StrFormat("%#x on processor %d, guest paging: %s\n", *linear,
                                     context.cpu, name_of(mode));
  absl::StrAppendFormat(&text, "level  %-50s %s\n", "the guest's walk", "the processor's walk");
  for (unsigned level = std::max(guest.top, hardware.top); level != 0; --level) {
    const std::string left = cell(guest.steps[level]), right = cell(hardware.steps[level]);
    if (left.empty() && right.empty()) continue;
    absl::StrAppendFormat(&text, "%5d  %-50s %s\n", level, left, right);
  }
  absl::StrAppendFormat(&text, "  end  %-50s %s\n", guest.end, hardware.end);
  return text;
}

}  // namespace gnomon::vmm
