// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_GUEST_IMAGES_IMAGES_H_
#define TESTS_GUEST_IMAGES_IMAGES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace gnomon::vmm {

// Images, each as small as the format allows; tests change bytes in them.

std::vector<uint8_t> boot_sector_image();
/// Two segments: 16 bytes of code at 0x100000, entry; 8 bytes and 0x1000 of zeros at 0x200000,
/// whose virtual address is 0xc0200000.
std::vector<uint8_t> elf_image(bool is64);
/// Program headers of elf_image() begin there.
size_t elf_header_bytes(bool is64);
/// A Multiboot header at byte 64 with load addresses; loads the whole file at 0x100000.
std::vector<uint8_t> multiboot_flat_image(uint32_t flags = 0x10000);
/// elf_image(false) with a Multiboot header behind it, and section headers: one symbol table with
/// its strings.
std::vector<uint8_t> multiboot_elf_image(uint32_t flags = 0);
/// Protocol 2.15, relocatable, prefers 0x1000000, needs 2 MiB, has a 64-bit entry.
std::vector<uint8_t> bzimage(uint16_t version = 0x020f);

struct NamedImage {
  absl::string_view format;
  std::vector<uint8_t> bytes;
};
/// One good image for each format, and both kinds where there are two.
std::vector<NamedImage> good_images();

}  // namespace gnomon::vmm

#endif  // TESTS_GUEST_IMAGES_IMAGES_H_
