// SPDX-License-Identifier: Apache-2.0
#include "tests/guest_images/images.h"

#include <algorithm>

#include "vmm/loader/image_bytes.h"

namespace gnomon::vmm {

std::vector<uint8_t> boot_sector_image() {
  std::vector<uint8_t> image(512, 0x90);
  set_number<uint16_t>(image, 510, 0xaa55);
  return image;
}

size_t elf_header_bytes(bool is64) { return is64 ? 64 : 52; }

std::vector<uint8_t> elf_image(bool is64) {
  constexpr size_t kCode = 0x100, kData = 0x110, kEnd = 0x118;
  std::vector<uint8_t> image(kEnd);
  const auto word = [&](size_t at, uint64_t value) {
    if (is64) {
      set_number<uint64_t>(image, at, value);
    } else {
      set_number<uint32_t>(image, at, static_cast<uint32_t>(value));
    }
  };
  const size_t w = is64 ? 8 : 4;
  const size_t headers = elf_header_bytes(is64);
  set_number<uint32_t>(image, 0, 0x464c457f);
  image[4] = is64 ? 2 : 1;
  image[5] = image[6] = 1;
  set_number<uint16_t>(image, 16, 2);
  set_number<uint16_t>(image, 18, is64 ? 62 : 3);
  set_number<uint32_t>(image, 20, 1);
  word(24, 0x10'0000);
  word(24 + w, headers);
  const size_t sizes = 24 + 3 * w + 4;
  const size_t ph_bytes = is64 ? 56 : 32;
  set_number<uint16_t>(image, sizes, static_cast<uint16_t>(headers));
  set_number<uint16_t>(image, sizes + 2, static_cast<uint16_t>(ph_bytes));
  set_number<uint16_t>(image, sizes + 4, 2);

  struct Row {
    uint64_t offset, address, physical, file_bytes, memory_bytes;
  };
  const Row rows[] = {{kCode, 0x10'0000, 0x10'0000, 16, 16},
                      {kData, 0xc020'0000, 0x20'0000, 8, 0x1008}};
  for (size_t i = 0; i < 2; ++i) {
    const size_t at = headers + i * ph_bytes;
    set_number<uint32_t>(image, at, 1);
    const size_t fields = is64 ? at + 8 : at + 4;
    const uint64_t values[] = {rows[i].offset, rows[i].address, rows[i].physical,
                               rows[i].file_bytes, rows[i].memory_bytes};
    for (size_t f = 0; f < 5; ++f) word(fields + f * w, values[f]);
  }
  for (size_t i = kCode; i < kEnd; ++i) image[i] = static_cast<uint8_t>(i);
  return image;
}

namespace {

void put_multiboot_header(std::vector<uint8_t>& image, size_t at, uint32_t flags) {
  constexpr uint32_t kMagic = 0x1badb002;
  set_number<uint32_t>(image, at, kMagic);
  set_number<uint32_t>(image, at + 4, flags);
  set_number<uint32_t>(image, at + 8, 0 - kMagic - flags);
}

}  // namespace

std::vector<uint8_t> multiboot_flat_image(uint32_t flags) {
  std::vector<uint8_t> image(256);
  for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<uint8_t>(i ^ 0x5a);
  constexpr size_t kHeader = 64;
  put_multiboot_header(image, kHeader, flags);
  const uint32_t fields[] = {0x10'0000 + kHeader, 0x10'0000, 0, 0x10'2000, 0x10'0080};
  for (size_t i = 0; i < 5; ++i) set_number<uint32_t>(image, kHeader + 12 + 4 * i, fields[i]);
  return image;
}

std::vector<uint8_t> multiboot_elf_image(uint32_t flags) {
  std::vector<uint8_t> image = elf_image(false);
  constexpr size_t kHeader = 0x118, kSymbols = 0x130, kStrings = 0x150, kTable = 0x160;
  constexpr size_t kSectionBytes = 40, kCount = 3;
  image.resize(kTable + kCount * kSectionBytes);
  put_multiboot_header(image, kHeader, flags);
  for (size_t i = kSymbols; i < kTable; ++i) image[i] = static_cast<uint8_t>(0xa0 + i);
  set_number<uint32_t>(image, 32, kTable);
  set_number<uint16_t>(image, 46, kSectionBytes);
  set_number<uint16_t>(image, 48, kCount);
  set_number<uint16_t>(image, 50, 2);
  const auto section = [&](size_t i, uint32_t type, uint32_t offset, uint32_t bytes) {
    const size_t at = kTable + i * kSectionBytes;
    set_number<uint32_t>(image, at + 4, type);
    set_number<uint32_t>(image, at + 16, offset);
    set_number<uint32_t>(image, at + 20, bytes);
  };
  section(1, 2, kSymbols, kStrings - kSymbols);
  section(2, 3, kStrings, kTable - kStrings);
  return image;
}

std::vector<uint8_t> bzimage(uint16_t version) {
  constexpr size_t kSetup = 2 * 512, kCode = 0x1000;
  std::vector<uint8_t> image(kSetup + kCode);
  image[0x1f1] = 1;
  set_number<uint32_t>(image, 0x1f4, kCode / 16);
  set_number<uint16_t>(image, 0x1fe, 0xaa55);
  set_number<uint16_t>(image, 0x200, 0x6aeb);  // the header ends at 0x26c
  set_number<uint32_t>(image, 0x202, 0x53726448);
  set_number<uint16_t>(image, 0x206, version);
  set_number<uint16_t>(image, 0x20e, 0x100);  // name at 0x300
  image[0x211] = 1;
  set_number<uint32_t>(image, 0x214, 0x10'0000);
  set_number<uint32_t>(image, 0x22c, 0x7fff'ffff);
  set_number<uint32_t>(image, 0x230, 0x20'0000);
  image[0x234] = 1;
  image[0x235] = 21;
  set_number<uint16_t>(image, 0x236, 1);
  set_number<uint32_t>(image, 0x238, 100);
  set_number<uint64_t>(image, 0x250, 0xdead);
  set_number<uint64_t>(image, 0x258, 0x100'0000);
  set_number<uint32_t>(image, 0x260, 0x20'0000);
  const absl::string_view name = "6.1 a test";
  std::copy(name.begin(), name.end(), image.begin() + 0x300);
  for (size_t i = kSetup; i < image.size(); ++i) image[i] = static_cast<uint8_t>(i * 7);
  return image;
}

std::vector<NamedImage> good_images() {
  std::vector<NamedImage> images = {
      {"raw", std::vector<uint8_t>(100, 0xf4)},
      {"boot", boot_sector_image()},
      {"elf", elf_image(false)},
      {"elf", elf_image(true)},
      {"multiboot", multiboot_flat_image()},
      {"multiboot", multiboot_elf_image(7)},
      {"linux", bzimage()},
      {"linux64", bzimage()},
      {"linux", bzimage(0x0202)},
  };
  return images;
}

}  // namespace gnomon::vmm
