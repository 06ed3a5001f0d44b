// SPDX-License-Identifier: Apache-2.0
#include "vmm/loader/elf_image.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/str_format.h"

namespace gnomon::vmm {
namespace {

// Where fields are in the file header and in a program header.
struct Layout {
  uint64_t header_bytes, entry, phoff, shoff, phentsize, phnum, shentsize, shnum, shstrndx;
  uint64_t ph_bytes, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz;
  uint64_t sh_bytes;
  bool is64;
};
constexpr Layout kLayout32 = {52, 24, 28, 32, 42, 44, 46, 48, 50, 32, 4, 8, 12, 16, 20, 40, false};
constexpr Layout kLayout64 = {64, 24, 32, 40, 54, 56, 58, 60, 62, 56, 8, 16, 24, 32, 40, 64, true};

constexpr uint64_t kTypeField = 16;
constexpr uint64_t kMachineField = 18;
constexpr uint32_t kLoadable = 1;     // PT_LOAD
constexpr uint32_t kInterpreter = 3;  // PT_INTERP

uint64_t word(ImageBytes image, uint64_t offset, bool is64) {
  return is64 ? number_at<uint64_t>(image, offset) : number_at<uint32_t>(image, offset);
}

absl::StatusOr<const Layout*> layout_of(absl::string_view file, ImageBytes image) {
  if (!is_elf(image)) {
    return image_error(file, 0, "no ELF magic (7f 45 4c 46); name the image's real format");
  }
  if (!has(image, 0, kLayout32.header_bytes)) {
    return image_error(file, image.size(), "the ELF header is cut off; copy the file anew");
  }
  if (image[4] != 1 && image[4] != 2) {
    return image_error(
        file, 4,
        absl::StrFormat("unknown ELF class %d, 1 and 2 exist; copy the file anew", image[4]));
  }
  const Layout& layout = image[4] == 2 ? kLayout64 : kLayout32;
  if (image[5] != 1) {
    return image_error(file, 5, "a big-endian ELF file; build the guest for x86");
  }
  if (!has(image, 0, layout.header_bytes)) {
    return image_error(file, image.size(), "the ELF header is cut off; copy the file anew");
  }
  const auto machine = number_at<uint16_t>(image, kMachineField);
  const uint16_t wanted = layout.is64 ? 62 : 3;
  if (machine != wanted) {
    return image_error(
        file, kMachineField,
        absl::StrFormat("machine %d where an ELF%d guest has %d; build it for %s", machine,
                        layout.is64 ? 64 : 32, wanted, layout.is64 ? "x86-64" : "i386"));
  }
  const auto type = number_at<uint16_t>(image, kTypeField);
  if (type != 2) {
    return image_error(
        file, kTypeField,
        absl::StrFormat("type %d is no executable at fixed addresses (2); link it as "
                        "one (-static -no-pie)",
                        type));
  }
  return &layout;
}

absl::StatusOr<ElfSections> read_sections(absl::string_view file, ImageBytes image,
                                          const Layout& layout) {
  ElfSections s;
  s.offset = word(image, layout.shoff, layout.is64);
  s.entry_bytes = number_at<uint16_t>(image, layout.shentsize);
  s.count = number_at<uint16_t>(image, layout.shnum);
  s.names = number_at<uint16_t>(image, layout.shstrndx);
  if (s.offset == 0 || s.count == 0) return ElfSections{};
  if (s.entry_bytes < layout.sh_bytes) {
    return image_error(file, layout.shentsize,
                       absl::StrFormat("section headers of %d bytes, at least %d are needed; strip "
                                       "the image or link it anew",
                                       s.entry_bytes, layout.sh_bytes));
  }
  if (!has(image, s.offset, uint64_t{s.entry_bytes} * s.count)) {
    return image_error(
        file, layout.shoff,
        absl::StrFormat("%d section headers at byte %d, but the file ends at %d; copy "
                        "it anew",
                        s.count, s.offset, image.size()));
  }
  return s;
}

absl::Status check_segment(absl::string_view file, ImageBytes image, const Layout& layout,
                           const ElfSegment& s) {
  if (!has(image, s.file_offset, s.file_bytes)) {
    return image_error(file, s.header + layout.p_offset,
                       absl::StrFormat("a segment of %d bytes at byte %d, but the file ends at %d; "
                                       "copy it anew",
                                       s.file_bytes, s.file_offset, image.size()));
  }
  if (s.file_bytes > s.memory_bytes) {
    return image_error(file, s.header + layout.p_filesz,
                       absl::StrFormat("a segment has %d bytes in the file and %d in memory; link "
                                       "the image anew",
                                       s.file_bytes, s.memory_bytes));
  }
  return absl::OkStatus();
}

}  // namespace

bool is_elf(ImageBytes head) {
  return head.size() >= 4 && std::memcmp(head.data(),
                                         "\x7f"
                                         "ELF",
                                         4) == 0;
}

absl::StatusOr<ElfImage> read_elf(absl::string_view file, ImageBytes image) {
  const absl::StatusOr<const Layout*> found = layout_of(file, image);
  if (!found.ok()) return found.status();
  const Layout& layout = **found;
  ElfImage elf;
  elf.is64 = layout.is64;
  const uint64_t table = word(image, layout.phoff, layout.is64);
  const auto entry_bytes = number_at<uint16_t>(image, layout.phentsize);
  const auto count = number_at<uint16_t>(image, layout.phnum);
  if (count != 0 && entry_bytes < layout.ph_bytes) {
    return image_error(file, layout.phentsize,
                       absl::StrFormat("program headers of %d bytes, at least %d are needed; link "
                                       "the image anew",
                                       entry_bytes, layout.ph_bytes));
  }
  if (!has(image, table, uint64_t{entry_bytes} * count)) {
    return image_error(
        file, layout.phoff,
        absl::StrFormat("%d program headers at byte %d, but the file ends at %d; copy "
                        "it anew",
                        count, table, image.size()));
  }

  const uint64_t entry = word(image, layout.entry, layout.is64);
  std::optional<uint64_t> entry_by_virtual;
  bool entry_is_physical = false;
  for (unsigned i = 0; i < count; ++i) {
    ElfSegment s;
    s.header = table + uint64_t{entry_bytes} * i;
    const auto type = number_at<uint32_t>(image, s.header);
    if (type == kInterpreter) {
      return image_error(file, s.header,
                         "a program for an operating system (it asks for an interpreter), not for "
                         "a bare machine; link it with -static -nostdlib");
    }
    s.memory_bytes = word(image, s.header + layout.p_memsz, layout.is64);
    s.file_bytes = word(image, s.header + layout.p_filesz, layout.is64);
    if (type != kLoadable || (s.memory_bytes == 0 && s.file_bytes == 0)) continue;
    s.file_offset = word(image, s.header + layout.p_offset, layout.is64);
    s.physical = word(image, s.header + layout.p_paddr, layout.is64);
    if (const absl::Status bad = check_segment(file, image, layout, s); !bad.ok()) return bad;
    const uint64_t first = word(image, s.header + layout.p_vaddr, layout.is64);
    if (!entry_by_virtual && entry >= first && entry - first < s.memory_bytes) {
      entry_by_virtual = s.physical + (entry - first);
    }
    entry_is_physical |= entry >= s.physical && entry - s.physical < s.memory_bytes;
    elf.segments.push_back(s);
  }
  if (elf.segments.empty()) {
    return image_error(file, layout.phnum, "no loadable segment; link the image as an executable");
  }
  if (!entry_by_virtual && !entry_is_physical) {
    return image_error(file, layout.entry,
                       absl::StrFormat("the entry 0x%x lies in no loadable segment; link the image "
                                       "with the right entry symbol",
                                       entry));
  }
  elf.entry = entry_by_virtual.value_or(entry);
  absl::StatusOr<ElfSections> sections = read_sections(file, image, layout);
  if (!sections.ok()) return sections.status();
  elf.sections = *sections;
  return elf;
}

absl::Status place_segments(const ElfImage& elf, ImageBytes image, Placement& placement,
                            std::vector<MemoryRange>& used) {
  // All of them are checked before memory is touched.
  for (const ElfSegment& s : elf.segments) {
    const absl::Status bad = placement.claim({s.physical, s.memory_bytes, "a segment", s.header});
    if (!bad.ok()) return bad;
  }
  for (const ElfSegment& s : elf.segments) {
    absl::Status bad = placement.store(s.physical, image.subspan(s.file_offset, s.file_bytes));
    if (bad.ok()) {
      bad = placement.clear(s.physical + s.file_bytes, s.memory_bytes - s.file_bytes);
    }
    if (!bad.ok()) return bad;
    used.push_back({s.physical, s.memory_bytes, MemoryRange::Kind::kUsable});
  }
  return absl::OkStatus();
}

}  // namespace gnomon::vmm
