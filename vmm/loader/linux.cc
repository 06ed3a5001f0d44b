// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "absl/strings/str_format.h"
#include "vmm/loader/all.h"
#include "vmm/loader/extras.h"
#include "vmm/loader/linux_header.h"
#include "vmm/loader/linux_zero_page.h"
#include "vmm/loader/start_state.h"

// Linux kernels (bzImage) by the boot protocol 2.02 and later, at their 32-bit or 64-bit entry.

namespace gnomon::vmm {
namespace {

constexpr uint64_t kZeroPagePlace = 0x1'0000;
constexpr uint64_t kCommandLinePlace = 0x2'0000;
constexpr uint64_t kPage = 0x1000;
constexpr uint64_t kEntry64Offset = 0x200;

absl::Status too_small(const LinuxHeader& h, const Placement& placement) {
  const uint64_t mib = (h.run_address + h.memory_bytes + kOneMiB - 1) / kOneMiB;
  return absl::InvalidArgumentError(absl::StrFormat(
      "%s: byte %d: the kernel needs %d bytes of free RAM in one piece at 0x%x or above; give the "
      "guest at least %d MiB of memory",
      placement.file(), h.version >= 0x020a ? setup::kInitSize : setup::kSysSize, h.memory_bytes,
      h.run_address, mib));
}

/// Where the protected-mode code goes. Everything that the kernel will use until it reads the
/// memory map is taken.
absl::StatusOr<uint64_t> choose_place(const LinuxHeader& h, Placement& placement) {
  if (h.relocatable) {
    const std::optional<uint64_t> at =
        placement.take_low(h.memory_bytes, std::max(h.alignment, kPage), h.run_address, kFourGiB);
    if (!at) return too_small(h, placement);
    return *at;
  }
  // Goes to 1 MiB and moves itself to where it runs.
  const uint64_t load_end = kOneMiB + h.code_bytes;
  const bool apart = h.run_address >= load_end || h.run_address + h.memory_bytes <= kOneMiB;
  const uint64_t run_end = h.run_address + h.memory_bytes;
  const uint64_t first = apart ? kOneMiB : std::min(kOneMiB, h.run_address);
  const uint64_t end = apart ? load_end : std::max(load_end, run_end);
  if (!placement.usable(h.run_address, h.memory_bytes)) return too_small(h, placement);
  absl::Status s = placement.claim({first, end - first, "the kernel", h.code_offset});
  if (s.ok() && apart) {
    s = placement.claim({h.run_address, h.memory_bytes, "the kernel", setup::kPrefAddress});
  }
  if (!s.ok()) return s;
  return kOneMiB;
}

absl::Status place_command_line(const LoadOptions& options, const LinuxHeader& h,
                                Placement& placement, LinuxFacts& facts) {
  if (options.command_line.size() > h.most_command_line) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s: byte %d: the command line has %d bytes, this kernel takes %d; shorten it",
        options.image, setup::kCmdLineSize, options.command_line.size(), h.most_command_line));
  }
  std::vector<uint8_t> text;
  append_string(text, options.command_line);
  const absl::StatusOr<uint64_t> at =
      placement.take_table(text.size(), kCommandLinePlace, "the command line");
  if (!at.ok()) return at.status();
  facts.command_line = *at;
  return placement.store(*at, text);
}

absl::Status place_initrd(const LoadOptions& options, const LinuxHeader& h, uint64_t kernel,
                          Placement& placement, LinuxFacts& facts, std::vector<MemoryRange>& used) {
  if (options.modules.empty()) return absl::OkStatus();
  if (options.modules.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: %d modules, and Linux takes one (the initrd); join them with cat",
                        options.image, options.modules.size()));
  }
  const std::string& path = options.modules[0];
  const absl::StatusOr<std::vector<uint8_t>> bytes =
      read_whole_file(path, placement.usable_bytes());
  if (!bytes.ok()) return bytes.status();
  if (bytes->empty()) return image_error(path, 0, "an empty initrd; leave it out");
  // Behind the kernel if there is room, where early kernel code does not come along.
  const uint64_t below = std::min(uint64_t{h.initrd_last} + 1, kFourGiB);
  std::optional<uint64_t> at = placement.take_high(bytes->size(), kPage, kernel, below);
  if (!at) at = placement.take_high(bytes->size(), kPage, kOneMiB, below);
  if (!at) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("%s: no room for an initrd of %d bytes beside the kernel and below 0x%x; "
                        "give the guest more "
                        "memory",
                        path, bytes->size(), below));
  }
  facts.initrd = *at;
  facts.initrd_bytes = bytes->size();
  used.push_back({*at, bytes->size(), MemoryRange::Kind::kUsable});
  return placement.store(*at, *bytes);
}

absl::StatusOr<LoadedGuest> load(const LoadOptions& options, ImageBytes image,
                                 const std::vector<MemoryRange>& memory_map, GuestMemory& memory,
                                 bool by_entry64) {
  const absl::StatusOr<LinuxHeader> header = read_linux_header(options.image, image);
  if (!header.ok()) return header.status();
  const LinuxHeader& h = *header;
  if (by_entry64 && (!h.entry64 || h.entry_offset + kEntry64Offset >= h.code_bytes)) {
    return image_error(options.image, setup::kXloadFlags,
                       "this kernel has no 64-bit entry; use the format linux");
  }
  Placement placement(options.image, memory_map, memory);
  const absl::StatusOr<uint64_t> kernel = choose_place(h, placement);
  if (!kernel.ok()) return kernel.status();

  LoadedGuest guest;
  LinuxFacts facts;
  facts.entry32 = *kernel + h.entry_offset;
  guest.used.push_back({*kernel, h.code_bytes, MemoryRange::Kind::kUsable});
  absl::Status s = placement.store(*kernel, image.subspan(h.code_offset));
  if (s.ok()) {
    s = by_entry64 ? start_long64(facts.entry32 + kEntry64Offset, placement, guest)
                   : start_flat32(facts.entry32, placement, guest);
  }
  if (s.ok()) s = place_command_line(options, h, placement, facts);
  if (s.ok()) s = place_initrd(options, h, *kernel, placement, facts, guest.used);
  if (!s.ok()) return s;

  const absl::StatusOr<std::vector<uint8_t>> page = make_zero_page(h, image, facts, placement);
  if (!page.ok()) return page.status();
  const absl::StatusOr<uint64_t> page_at =
      placement.take_table(page->size(), kZeroPagePlace, "the boot parameters");
  if (!page_at.ok()) return page_at.status();
  if (s = placement.store(*page_at, *page); !s.ok()) return s;

  guest.cpu.gpr[kRsi] = *page_at;
  guest.format = by_entry64 ? "linux64" : "linux";
  guest.description =
      absl::StrFormat("%s, boot protocol %d.%02d, %d-bit entry 0x%x",
                      h.text.empty() ? "a kernel without a name" : h.text, h.version >> 8,
                      h.version & 0xff, by_entry64 ? 64 : 32, guest.cpu.rip);
  return guest;
}

}  // namespace

absl::StatusOr<LoadedGuest> load_linux32(const LoadOptions& options,
                                         const std::vector<uint8_t>& image,
                                         const std::vector<MemoryRange>& memory_map,
                                         GuestMemory& memory) {
  return load(options, image, memory_map, memory, false);
}

absl::StatusOr<LoadedGuest> load_linux64(const LoadOptions& options,
                                         const std::vector<uint8_t>& image,
                                         const std::vector<MemoryRange>& memory_map,
                                         GuestMemory& memory) {
  return load(options, image, memory_map, memory, true);
}

}  // namespace gnomon::vmm
