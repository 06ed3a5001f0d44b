// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/loader/all.h"
#include "vmm/loader/extras.h"
#include "vmm/loader/multiboot_header.h"
#include "vmm/loader/multiboot_info.h"
#include "vmm/loader/start_state.h"

// Kernels by the Multiboot Specification, version 0.6.96.

namespace gnomon::vmm {
namespace {

constexpr uint32_t kBootMagic = 0x2badb002;

/// "FILE ARGS" as the guest sees it: the file without its folders, so that a run does not depend on
/// where files lie.
std::string guest_text(absl::string_view path, absl::string_view arguments) {
  return arguments.empty() ? std::string(base_name(path))
                           : absl::StrCat(base_name(path), " ", arguments);
}

absl::StatusOr<PlacedModule> place_module(absl::string_view wanted, uint64_t from,
                                          Placement& placement) {
  const size_t space = wanted.find(' ');
  const absl::string_view path = wanted.substr(0, space);
  const absl::string_view arguments =
      space == absl::string_view::npos ? "" : wanted.substr(space + 1);
  const absl::StatusOr<std::vector<uint8_t>> bytes =
      read_whole_file(path, placement.usable_bytes());
  if (!bytes.ok()) return bytes.status();
  constexpr uint64_t kPage = 0x1000;
  const std::optional<uint64_t> base = placement.take_low(bytes->size(), kPage, from, kFourGiB);
  if (!base) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("%s: no room for a module of %d bytes behind the kernel; give the guest "
                        "more memory",
                        path, bytes->size()));
  }
  if (const absl::Status s = placement.store(*base, *bytes); !s.ok()) return s;
  return PlacedModule{*base, bytes->size(), guest_text(path, arguments)};
}

uint64_t end_of_image(const ElfImage& elf) {
  uint64_t end = kOneMiB;
  for (const ElfSegment& s : elf.segments) end = std::max(end, s.physical + s.memory_bytes);
  return end;
}

}  // namespace

bool is_multiboot(ImageBytes head, uint64_t file_bytes) {
  // A disk whose boot sector loads a Multiboot kernel from the next ones is a disk.
  if (!is_elf(head) && is_boot_sector(head, file_bytes)) return false;
  return find_multiboot_header(head).has_value();
}

absl::StatusOr<LoadedGuest> load_multiboot(const LoadOptions& options,
                                           const std::vector<uint8_t>& image,
                                           const std::vector<MemoryRange>& memory_map,
                                           GuestMemory& memory) {
  const std::optional<MultibootHeader> header = find_multiboot_header(image);
  if (!header) {
    return image_error(
        options.image, 0,
        "no Multiboot header with a right checksum in the first 8192 bytes; name the "
        "image's real format");
  }
  const absl::StatusOr<ElfImage> kernel = read_multiboot(options.image, image, *header);
  if (!kernel.ok()) return kernel.status();

  Placement placement(options.image, memory_map, memory);
  LoadedGuest guest;
  absl::Status s = place_segments(*kernel, image, placement, guest.used);
  if (s.ok()) s = start_flat32(kernel->entry, placement, guest, kMultibootSelectors);
  if (!s.ok()) return s;

  MultibootFacts facts;
  facts.command_line = guest_text(options.image, options.command_line);
  facts.video = (header->flags & MultibootHeader::kVideo) != 0;
  for (const std::string& wanted : options.modules) {
    absl::StatusOr<PlacedModule> module = place_module(wanted, end_of_image(*kernel), placement);
    if (!module.ok()) return module.status();
    guest.used.push_back({module->base, module->bytes, MemoryRange::Kind::kUsable});
    facts.modules.push_back(*std::move(module));
  }
  const absl::StatusOr<ElfSections> sections = place_sections(*kernel, image, placement);
  if (!sections.ok()) return sections.status();
  facts.sections = *sections;
  const absl::StatusOr<uint64_t> info = place_multiboot_info(facts, placement);
  if (!info.ok()) return info.status();

  guest.cpu.gpr[kRax] = kBootMagic;
  guest.cpu.gpr[kRbx] = *info;
  guest.format = "multiboot";
  guest.description = absl::StrFormat("Multiboot 1 (%s), entry 0x%x, modules: %d",
                                      (header->flags & MultibootHeader::kAddresses) != 0
                                          ? "by its header's addresses"
                                      : kernel->is64 ? "ELF64"
                                                     : "ELF32",
                                      kernel->entry, facts.modules.size());
  return guest;
}

}  // namespace gnomon::vmm
