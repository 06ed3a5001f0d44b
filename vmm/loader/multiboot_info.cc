// SPDX-License-Identifier: Apache-2.0
#include "vmm/loader/multiboot_info.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "vmm/loader/extras.h"
#include "vmm/loader/start_state.h"

namespace gnomon::vmm {
namespace {

// Flags of the structure, and where its fields are.
constexpr uint32_t kHasMemory = 1u << 0, kHasCommandLine = 1u << 2, kHasModules = 1u << 3,
                   kHasElfSections = 1u << 5, kHasMemoryMap = 1u << 6, kHasLoaderName = 1u << 9,
                   kHasFramebuffer = 1u << 12;
constexpr size_t kFlags = 0, kMemLower = 4, kMemUpper = 8, kCommandLine = 16, kModsCount = 20,
                 kModsAddr = 24, kElfNum = 28, kElfSize = 32, kElfAddr = 36, kElfShndx = 40,
                 kMmapLength = 44, kMmapAddr = 48, kLoaderName = 64, kFramebufferAddr = 88,
                 kFramebufferPitch = 96, kFramebufferWidth = 100, kFramebufferHeight = 104,
                 kFramebufferBpp = 108, kFramebufferType = 109;
constexpr size_t kInfoBytes = 116;
constexpr size_t kMmapEntryBytes = 24;
constexpr size_t kModuleEntryBytes = 16;

constexpr uint64_t kTextScreen = 0xb8000;
constexpr uint8_t kEgaText = 2;

uint32_t kib(uint64_t bytes) {
  return static_cast<uint32_t>(std::min<uint64_t>(bytes >> 10, 0xffffffff));
}

/// Appends zeros, so that a number can be stored there. Where they begin.
size_t append_room(std::vector<uint8_t>& table, size_t bytes) {
  const size_t at = (table.size() + 3) & ~size_t{3};
  table.resize(at + bytes);
  return at;
}

// Pointers in the structure are offsets from its start first, and `pointers` says where they are.
struct Builder {
  std::vector<uint8_t> bytes = std::vector<uint8_t>(kInfoBytes);
  std::vector<size_t> pointers;

  void point(size_t field, size_t to) {
    set_number<uint32_t>(bytes, field, static_cast<uint32_t>(to));
    pointers.push_back(field);
  }
  void point_to_string(size_t field, absl::string_view text) {
    const size_t at = bytes.size();
    append_string(bytes, text);
    point(field, at);
  }
};

void add_memory_map(const Placement& placement, Builder& b) {
  constexpr uint64_t kMostLower = 640 << 10;
  set_number<uint32_t>(b.bytes, kMemLower, kib(std::min(placement.usable_from(0), kMostLower)));
  set_number<uint32_t>(b.bytes, kMemUpper, kib(placement.usable_from(kOneMiB)));
  const std::vector<MemoryRange>& map = placement.memory_map();
  const size_t at = append_room(b.bytes, map.size() * kMmapEntryBytes);
  for (size_t i = 0; i < map.size(); ++i) {
    const size_t entry = at + i * kMmapEntryBytes;
    // The size field does not count itself.
    set_number<uint32_t>(b.bytes, entry, kMmapEntryBytes - 4);
    set_number<uint64_t>(b.bytes, entry + 4, map[i].base);
    set_number<uint64_t>(b.bytes, entry + 12, map[i].bytes);
    set_number<uint32_t>(b.bytes, entry + 20, static_cast<uint32_t>(map[i].kind));
  }
  set_number<uint32_t>(b.bytes, kMmapLength, static_cast<uint32_t>(map.size() * kMmapEntryBytes));
  b.point(kMmapAddr, at);
}

void add_modules(const std::vector<PlacedModule>& modules, Builder& b) {
  const size_t at = append_room(b.bytes, modules.size() * kModuleEntryBytes);
  for (size_t i = 0; i < modules.size(); ++i) {
    const size_t entry = at + i * kModuleEntryBytes;
    set_number<uint32_t>(b.bytes, entry, static_cast<uint32_t>(modules[i].base));
    set_number<uint32_t>(b.bytes, entry + 4,
                         static_cast<uint32_t>(modules[i].base + modules[i].bytes));
    b.point_to_string(entry + 8, modules[i].text);
  }
  set_number<uint32_t>(b.bytes, kModsCount, static_cast<uint32_t>(modules.size()));
  b.point(kModsAddr, at);
}

void add_text_screen(Builder& b) {
  set_number<uint64_t>(b.bytes, kFramebufferAddr, kTextScreen);
  set_number<uint32_t>(b.bytes, kFramebufferPitch, 160);
  set_number<uint32_t>(b.bytes, kFramebufferWidth, 80);
  set_number<uint32_t>(b.bytes, kFramebufferHeight, 25);
  set_number<uint8_t>(b.bytes, kFramebufferBpp, 16);
  set_number<uint8_t>(b.bytes, kFramebufferType, kEgaText);
}

}  // namespace

absl::StatusOr<uint64_t> place_multiboot_info(const MultibootFacts& facts, Placement& placement) {
  Builder b;
  uint32_t flags = kHasMemory | kHasCommandLine | kHasModules | kHasMemoryMap | kHasLoaderName;
  add_memory_map(placement, b);
  add_modules(facts.modules, b);
  if (facts.sections.count != 0) {
    flags |= kHasElfSections;
    set_number<uint32_t>(b.bytes, kElfNum, facts.sections.count);
    set_number<uint32_t>(b.bytes, kElfSize, facts.sections.entry_bytes);
    set_number<uint32_t>(b.bytes, kElfAddr, static_cast<uint32_t>(facts.sections.offset));
    set_number<uint32_t>(b.bytes, kElfShndx, facts.sections.names);
  }
  if (facts.video) {
    flags |= kHasFramebuffer;
    add_text_screen(b);
  }
  b.point_to_string(kCommandLine, facts.command_line);
  b.point_to_string(kLoaderName, "gnomon");
  set_number<uint32_t>(b.bytes, kFlags, flags);

  const absl::StatusOr<uint64_t> base =
      placement.take_table(b.bytes.size(), kInfoPlace, "the Multiboot information");
  if (!base.ok()) return base.status();
  for (const size_t field : b.pointers) {
    set_number<uint32_t>(b.bytes, field,
                         number_at<uint32_t>(b.bytes, field) + static_cast<uint32_t>(*base));
  }
  if (const absl::Status s = placement.store(*base, b.bytes); !s.ok()) return s;
  return *base;
}

}  // namespace gnomon::vmm
