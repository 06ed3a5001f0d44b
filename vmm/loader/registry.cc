// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gnomon/traces/byte_source.h"
#include "gnomon/traces/formats.h"
#include "gnomon/vmm/loader.h"
#include "vmm/loader/all.h"
#include "vmm/loader/elf_image.h"
#include "vmm/loader/read_source.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kHeadBytes = 64 << 10;
constexpr uint64_t kMostImageBytes = uint64_t{1} << 30;

bool never(absl::Span<const uint8_t> /*head*/, uint64_t /*file_bytes*/) { return false; }
bool starts_elf(absl::Span<const uint8_t> head, uint64_t /*file_bytes*/) { return is_elf(head); }

std::string known_names() {
  return absl::StrJoin(loaders(), ", ",
                       [](std::string* out, const LoaderInfo& l) { absl::StrAppend(out, l.name); });
}

const LoaderInfo* find_loader(const LoadOptions& options, const std::vector<uint8_t>& head,
                              uint64_t file_bytes) {
  for (const LoaderInfo& l : loaders()) {
    if (options.format.empty() ? l.recognizes(head, file_bytes) : l.name == options.format)
      return &l;
  }
  return nullptr;
}

}  // namespace

const std::vector<LoaderInfo>& loaders() {
  static const auto* const kLoaders = new std::vector<LoaderInfo>{
      {"linux", "Linux kernel (bzImage), by its 32-bit entry", &is_bzimage, &load_linux32},
      {"linux64", "Linux kernel (bzImage), by its 64-bit entry", &never, &load_linux64},
      {"multiboot", "Multiboot 1 kernel", &is_multiboot, &load_multiboot},
      {"elf", "ELF executable, started at its entry", &starts_elf, &load_elf},
      {"boot", "boot sector, or a disk image that starts with one", &is_boot_sector, &load_boot,
       true},
      {"raw", "any bytes, started at their load address", &never, &load_raw},
  };
  return *kLoaders;
}

bool boots_as_disk(const LoadOptions& options) {
  constexpr size_t kSectorBytes = 512;
  absl::StatusOr<std::unique_ptr<ByteSource>> source = open_bytes(options.image);
  std::vector<uint8_t> head;
  if (!source.ok() || !read_up_to(**source, kHeadBytes, head).ok()) return false;
  const LoaderInfo* const loader = find_loader(options, head, head.size());
  return loader != nullptr && loader->load == &load_boot && head.size() > kSectorBytes;
}

absl::StatusOr<LoadedGuest> load_guest(const LoadOptions& options, const Board& board,
                                       GuestMemory& memory) {
  const auto wants = [&](absl::string_view name) { return options.format == name; };
  if (!options.format.empty() && find_loader(options, {}, 0) == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("no guest format is called ", options.format, "; there are ", known_names()));
  }
  absl::StatusOr<std::unique_ptr<ByteSource>> source = open_bytes(options.image);
  if (!source.ok()) return source.status();
  const std::optional<uint64_t> stored_bytes = (*source)->total_bytes();
  // A raw image, and a disk, are what they are, whatever they look like.
  const bool unpacks = !wants("raw") && !wants("boot");
  if (unpacks) source = decompress(std::move(*source));
  if (!source.ok()) return source.status();

  std::vector<uint8_t> image;
  if (const absl::Status s = read_up_to(**source, kHeadBytes, image); !s.ok()) return s;
  const uint64_t file_bytes =
      image.size() < kHeadBytes ? image.size() : std::max(kHeadBytes, stored_bytes.value_or(0));
  const LoaderInfo* const loader = find_loader(options, image, file_bytes);
  if (loader == nullptr) {
    return image_error(options.image, 0,
                       absl::StrCat("no kind of guest image that is known; name its format (",
                                    known_names(), ") if it is one"));
  }
  if (!loader->head_only) {
    if (const absl::Status s = read_up_to(**source, kMostImageBytes, image); !s.ok()) return s;
    const absl::StatusOr<bool> more = image.size() < kMostImageBytes ? false : has_more(**source);
    if (!more.ok()) return more.status();
    if (*more) {
      return absl::ResourceExhaustedError(absl::StrCat(options.image, ": byte ", kMostImageBytes,
                                                       ": larger than an image may be (1 GiB); "
                                                       "strip it of what is not loaded"));
    }
  }
  return loader->load(options, image, board.memory_map(), memory);
}

}  // namespace gnomon::vmm
