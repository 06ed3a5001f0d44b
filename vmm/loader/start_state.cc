// SPDX-License-Identifier: Apache-2.0
#include "vmm/loader/start_state.h"

#include <vector>

#include "vmm/loader/image_bytes.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kTableBytes = 0x1000;
constexpr uint64_t kExtensionType = 1u << 4;  // CR0.ET: always 1 since the 486

constexpr uint16_t kCodeAccess = seg::kP | seg::kS | seg::kCode | seg::kReadable | seg::kAccessed;
constexpr uint16_t kDataAccess = seg::kP | seg::kS | seg::kWritable | seg::kAccessed;
constexpr uint16_t kFlatCode32 = kCodeAccess | seg::kG | seg::kDB;
constexpr uint16_t kFlatCode64 = kCodeAccess | seg::kG | seg::kL;
constexpr uint16_t kFlatData = kDataAccess | seg::kG | seg::kDB;

/// A descriptor of base 0 and limit 2^32 - 1 (SDM vol. 3, 3.4.5): limit in bits 0 to 15 and 48 to
/// 51, attributes in bits 40 to 47 and 52 to 55.
constexpr uint64_t flat_descriptor(uint16_t attributes) {
  return 0xffff | uint64_t{0xf} << 48 | uint64_t{attributes} << 40;
}

// The task and local-table registers as a reset leaves them (SDM vol. 3, table 10-1).
void set_system_segments(CpuState& cpu) {
  cpu.tr = {.selector = 0, .attributes = seg::kP | 0xb, .limit = 0xffff, .base = 0};
  cpu.ldtr = {.selector = 0, .attributes = seg::kP | 0x2, .limit = 0xffff, .base = 0};
}

absl::Status start_flat(uint64_t entry, uint16_t code, FlatSelectors selectors,
                        Placement& placement, LoadedGuest& guest) {
  CpuState& cpu = guest.cpu;
  const absl::StatusOr<uint64_t> gdt =
      placement.take_table(kTableBytes, kGdtPlace, "the descriptor table");
  if (!gdt.ok()) return gdt.status();
  const absl::StatusOr<uint64_t> stack = placement.take_table(kTableBytes, kStackPlace, "a stack");
  if (!stack.ok()) return stack.status();

  std::vector<uint8_t> table(selectors.data + size_t{8});
  set_number<uint64_t>(table, selectors.code, flat_descriptor(code));
  set_number<uint64_t>(table, selectors.data, flat_descriptor(kFlatData));
  if (const absl::Status s = placement.store(*gdt, table); !s.ok()) return s;

  cpu.gdtr = {.base = *gdt, .limit = static_cast<uint16_t>(table.size() - 1)};
  cpu.idtr = {.base = 0, .limit = 0};
  cpu.segments.fill(
      {.selector = selectors.data, .attributes = kFlatData, .limit = 0xffffffff, .base = 0});
  cpu.segments[kCs] = {
      .selector = selectors.code, .attributes = code, .limit = 0xffffffff, .base = 0};
  set_system_segments(cpu);
  cpu.rip = entry;
  cpu.gpr[kRsp] = *stack + kTableBytes - 16;
  cpu.rflags = flag::kOne;
  guest.controls.cr0 = cr0::kPE | kExtensionType;
  return absl::OkStatus();
}

}  // namespace

absl::Status start_flat32(uint64_t entry, Placement& placement, LoadedGuest& guest,
                          FlatSelectors selectors) {
  return start_flat(entry, kFlatCode32, selectors, placement, guest);
}

absl::Status start_long64(uint64_t entry, Placement& placement, LoadedGuest& guest) {
  constexpr unsigned kDirectories = 4;  // of 1 GiB each
  constexpr uint64_t kEntries = 512;
  constexpr uint64_t kPresentWritable = 3;
  constexpr uint64_t kLarge = 1u << 7;
  constexpr uint64_t kAllTables = (2 + kDirectories) * kTableBytes;
  const absl::StatusOr<uint64_t> root =
      placement.take_table(kAllTables, kPageTablesPlace, "page tables");
  if (!root.ok()) return root.status();

  std::vector<uint8_t> tables(kAllTables);
  set_number<uint64_t>(tables, 0, (*root + kTableBytes) | kPresentWritable);
  for (uint64_t d = 0; d < kDirectories; ++d) {
    set_number<uint64_t>(tables, kTableBytes + 8 * d,
                         (*root + (2 + d) * kTableBytes) | kPresentWritable);
  }
  for (uint64_t i = 0; i < kDirectories * kEntries; ++i) {
    set_number<uint64_t>(tables, 2 * kTableBytes + 8 * i,
                         (i << shift_of(PageSize::k2M)) | kPresentWritable | kLarge);
  }
  if (const absl::Status s = placement.store(*root, tables); !s.ok()) return s;
  if (const absl::Status s = start_flat(entry, kFlatCode64, kLinuxSelectors, placement, guest);
      !s.ok()) {
    return s;
  }
  guest.controls.cr0 |= cr0::kPG;
  guest.controls.cr3 = *root;
  guest.controls.cr4 = cr4::kPAE;
  guest.controls.efer = efer::kLME;
  return absl::OkStatus();
}

void start_real(uint16_t entry, uint16_t stack, LoadedGuest& guest) {
  CpuState& cpu = guest.cpu;
  cpu.segments.fill({.selector = 0, .attributes = kDataAccess, .limit = 0xffff, .base = 0});
  cpu.segments[kCs].attributes = kCodeAccess;
  set_system_segments(cpu);
  cpu.gdtr = {.base = 0, .limit = 0xffff};
  cpu.idtr = {.base = 0, .limit = 0x3ff};
  cpu.rip = entry;
  cpu.gpr[kRsp] = stack;
  cpu.rflags = flag::kOne | flag::kIF;
  guest.controls.cr0 = kExtensionType;
}

}  // namespace gnomon::vmm
