// SPDX-License-Identifier: Apache-2.0
#include "vmm/loader/multiboot_header.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace gnomon::vmm {
namespace {

constexpr uint32_t kMagic = 0x1badb002;
constexpr uint64_t kSearched = 8192;
constexpr uint64_t kShortHeader = 12;
constexpr uint64_t kHeaderWithAddresses = 32;
// A kernel that sets another of the lower 16 flags cannot do without what a loader does not know.
constexpr uint32_t kRequired = 0xffff;
constexpr uint32_t kUnderstood =
    MultibootHeader::kAlignModules | MultibootHeader::kMemoryInfo | MultibootHeader::kVideo;

// Offsets of the address fields from the header.
constexpr uint64_t kHeaderAddress = 12, kLoadAddress = 16, kLoadEnd = 20, kBssEnd = 24, kEntry = 28;

absl::StatusOr<ElfImage> read_by_addresses(absl::string_view file, ImageBytes image,
                                           uint64_t header) {
  if (!has(image.first(std::min<uint64_t>(image.size(), kSearched)), header,
           kHeaderWithAddresses)) {
    return image_error(file, header,
                       "the Multiboot header's address fields do not lie in the file's first 8192 "
                       "bytes; move the header to the front");
  }
  const auto field = [&](uint64_t offset) {
    return uint64_t{number_at<uint32_t>(image, header + offset)};
  };
  const auto wrong = [&](uint64_t offset, absl::string_view what) {
    return image_error(file, header + offset,
                       absl::StrFormat("Multiboot header: %s; correct its address fields", what));
  };
  const uint64_t load = field(kLoadAddress);
  if (load > field(kHeaderAddress)) {
    return wrong(kLoadAddress, absl::StrFormat("load_addr 0x%x lies above header_addr 0x%x", load,
                                               field(kHeaderAddress)));
  }
  const uint64_t before_header = field(kHeaderAddress) - load;
  if (before_header > header) {
    return wrong(kHeaderAddress,
                 absl::StrFormat("%d bytes before the header are to be loaded, the file has %d",
                                 before_header, header));
  }
  ElfSegment s;
  s.header = header + kLoadAddress;
  s.file_offset = header - before_header;
  s.physical = load;
  s.file_bytes = image.size() - s.file_offset;
  if (field(kLoadEnd) != 0) {
    if (field(kLoadEnd) < load) {
      return wrong(kLoadEnd, absl::StrFormat("load_end_addr 0x%x lies below load_addr 0x%x",
                                             field(kLoadEnd), load));
    }
    if (field(kLoadEnd) - load > s.file_bytes) {
      return wrong(kLoadEnd, absl::StrFormat("%d bytes are to be loaded from byte %d, but the file "
                                             "ends at %d",
                                             field(kLoadEnd) - load, s.file_offset, image.size()));
    }
    s.file_bytes = field(kLoadEnd) - load;
  }
  s.memory_bytes = s.file_bytes;
  if (field(kBssEnd) != 0) {
    if (field(kBssEnd) < load + s.file_bytes) {
      return wrong(kBssEnd, absl::StrFormat("bss_end_addr 0x%x lies below the end of what is "
                                            "loaded, 0x%x",
                                            field(kBssEnd), load + s.file_bytes));
    }
    s.memory_bytes = field(kBssEnd) - load;
  }
  ElfImage result;
  result.entry = field(kEntry);
  if (result.entry < load || result.entry - load >= s.memory_bytes) {
    return wrong(kEntry,
                 absl::StrFormat("entry_addr 0x%x lies outside what is loaded, 0x%x to 0x%x",
                                 result.entry, load, load + s.memory_bytes));
  }
  result.segments.push_back(s);
  return result;
}

}  // namespace

std::optional<MultibootHeader> find_multiboot_header(ImageBytes image) {
  const uint64_t searched = std::min<uint64_t>(image.size(), kSearched);
  for (uint64_t at = 0; at + kShortHeader <= searched; at += 4) {
    if (number_at<uint32_t>(image, at) != kMagic) continue;
    const auto flags = number_at<uint32_t>(image, at + 4);
    if (kMagic + flags + number_at<uint32_t>(image, at + 8) == 0) return MultibootHeader{at, flags};
  }
  return std::nullopt;
}

absl::StatusOr<ElfImage> read_multiboot(absl::string_view file, ImageBytes image,
                                        const MultibootHeader& header) {
  if ((header.flags & kRequired & ~kUnderstood) != 0) {
    return image_error(file, header.offset + 4,
                       absl::StrFormat("Multiboot header: flags 0x%x ask for what version 1 of the "
                                       "specification does not have; clear bits 3 to 15",
                                       header.flags));
  }
  if ((header.flags & MultibootHeader::kAddresses) != 0) {
    return read_by_addresses(file, image, header.offset);
  }
  if (!is_elf(image)) {
    return image_error(
        file, header.offset + 4,
        "Multiboot header without addresses (flag 16) in a file that is not ELF; set "
        "them, or link an ELF executable");
  }
  absl::StatusOr<ElfImage> elf = read_elf(file, image);
  if (!elf.ok()) return elf.status();
  for (const ElfSegment& s : elf->segments) {
    if (s.physical >= kFourGiB || s.memory_bytes > kFourGiB - s.physical) {
      return image_error(file, s.header,
                         absl::StrFormat("a segment at 0x%x is not below 4 GiB, where a Multiboot "
                                         "kernel starts; link it lower",
                                         s.physical));
    }
  }
  return elf;
}

}  // namespace gnomon::vmm
