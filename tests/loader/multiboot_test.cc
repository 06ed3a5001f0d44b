// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/guest_images/images.h"
#include "tests/guest_images/ram.h"
#include "tests/loader/expect.h"
#include "tests/support/temporary_directory.h"

namespace gnomon::vmm {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(MultibootLoader, LoadsByTheHeadersAddresses) {
  Ram ram;
  ASSERT_TRUE(ram.memory().fill(Gpa(0x10'0000), 0x3000, 0xee));
  const auto image = multiboot_flat_image();
  const auto guest = load("multiboot", image, ram);
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(ram.read(0x10'0000, image.size()), image);
  EXPECT_THAT(ram.read(0x10'0100, 0x1f00), Each(0)) << "up to bss_end_addr";
  EXPECT_EQ(ram.number<uint8_t>(0x10'2000), 0xee);
  EXPECT_EQ(guest->cpu.rip, 0x10'0080u);
  EXPECT_EQ(guest->cpu.gpr[kRax], 0x2badb002u);
  expect_flat32(*guest, ram);
}

TEST(MultibootLoader, TheInformationSaysWhatThereIs) {
  Ram ram(64_MiB);
  const auto guest = load("multiboot", multiboot_flat_image(), ram, with("one two"));
  ASSERT_TRUE(guest.ok()) << guest.status();
  const uint64_t info = guest->cpu.gpr[kRbx];
  EXPECT_EQ(info, 0x9000u);
  const auto field = [&](uint64_t at) { return ram.number<uint32_t>(info + at); };
  EXPECT_EQ(field(0), 0x24du) << "memory, command line, modules, memory map, loader's name";
  EXPECT_EQ(field(4), 639u);
  EXPECT_EQ(field(8), 63u * 1024);
  EXPECT_EQ(ram.string(field(16)), "image one two");
  EXPECT_EQ(field(20), 0u);
  EXPECT_EQ(ram.string(field(64)), "gnomon");
  ASSERT_EQ(field(44), 4u * 24);
  for (size_t i = 0; i < 4; ++i) {
    const uint64_t entry = field(48) + 24 * i;
    EXPECT_EQ(ram.number<uint32_t>(entry), 20u);
    EXPECT_EQ(ram.number<uint64_t>(entry + 4), ram.map()[i].base);
    EXPECT_EQ(ram.number<uint64_t>(entry + 12), ram.map()[i].bytes);
    EXPECT_EQ(ram.number<uint32_t>(entry + 20), static_cast<uint32_t>(ram.map()[i].kind));
  }
}

TEST(MultibootLoader, ElfKernelsGetTheirSectionsAndTheScreen) {
  Ram ram;
  const auto image = multiboot_elf_image(7);
  const auto guest = load("multiboot", image, ram);
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(guest->cpu.rip, 0x10'0000u);
  const uint64_t info = guest->cpu.gpr[kRbx];
  const auto field = [&](uint64_t at) { return ram.number<uint32_t>(info + at); };
  EXPECT_EQ(field(0), 0x126du);
  EXPECT_EQ(field(28), 3u);
  EXPECT_EQ(field(32), 40u);
  EXPECT_EQ(field(40), 2u);
  const uint32_t symbols = ram.number<uint32_t>(field(36) + 40 + 12);
  const uint32_t strings = ram.number<uint32_t>(field(36) + 80 + 12);
  EXPECT_EQ(ram.read(symbols, 0x20),
            std::vector<uint8_t>(image.begin() + 0x130, image.begin() + 0x150));
  EXPECT_EQ(ram.read(strings, 0x10),
            std::vector<uint8_t>(image.begin() + 0x150, image.begin() + 0x160));
  EXPECT_EQ(ram.number<uint64_t>(info + 88), 0xb8000u);
  EXPECT_EQ(field(96), 160u);
  EXPECT_EQ(field(100), 80u);
  EXPECT_EQ(field(104), 25u);
  EXPECT_EQ(ram.number<uint16_t>(info + 108), 0x0210) << "16 bits, EGA text";
}

TEST(MultibootLoader, ModulesLieOnPagesBehindTheKernel) {
  const test_support::TemporaryDirectory directory;
  const std::string first = directory.put("first", std::string(5000, 'a'));
  const std::string second = directory.put("second", "b");
  const std::string empty = directory.put("empty", "");
  Ram ram;
  const auto guest =
      load("multiboot", multiboot_flat_image(), ram, with("", {first + " x  y", second, empty}));
  ASSERT_TRUE(guest.ok()) << guest.status();
  const uint64_t info = guest->cpu.gpr[kRbx];
  ASSERT_EQ(ram.number<uint32_t>(info + 20), 3u);
  const uint64_t table = ram.number<uint32_t>(info + 24);
  const auto entry = [&](size_t i, size_t at) { return ram.number<uint32_t>(table + 16 * i + at); };
  EXPECT_EQ(entry(0, 0), 0x10'2000u);
  EXPECT_EQ(entry(0, 4), 0x10'2000u + 5000);
  EXPECT_EQ(ram.string(entry(0, 8)), "first x  y");
  EXPECT_THAT(ram.read(0x10'2000, 5000), Each('a'));
  EXPECT_EQ(entry(1, 0), 0x10'4000u);
  EXPECT_EQ(entry(1, 4), 0x10'4001u);
  EXPECT_EQ(ram.string(entry(1, 8)), "second");
  EXPECT_EQ(entry(2, 0), entry(2, 4));
  EXPECT_EQ(entry(2, 0) % 0x1000, 0u);
}

TEST(MultibootLoader, ModulesThatAreNotThereOrTooLargeAreRefused) {
  const test_support::TemporaryDirectory directory;
  Ram ram(2_MiB);
  const std::string none = directory.path("none");
  const auto missing = load("multiboot", multiboot_flat_image(), ram, with("", {none + " x"}));
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(missing.status().message(), HasSubstr(none + ": cannot open"));
  for (const size_t bytes : {size_t{1_MiB}, size_t{3_MiB}}) {
    const std::string large = directory.put("large", std::string(bytes, 'x'));
    const auto too_large = load("multiboot", multiboot_flat_image(), ram, with("", {large}));
    EXPECT_EQ(too_large.status().code(), kExhausted) << bytes;
    EXPECT_THAT(too_large.status().message(), HasSubstr("give the guest more memory"));
  }
}

struct BadImage {
  size_t at;
  uint32_t value;
  absl::string_view message;
};

TEST(MultibootLoader, RefusesEveryAddressThatIsNotTrue) {
  const BadImage kBad[] = {
      {80, 0x10'0041, "byte 80: Multiboot header: load_addr 0x100041 lies above header_addr"},
      {80, 0x0f'ffff, "65 bytes before the header are to be loaded, the file has 64"},
      {84, 0x0f'ffff, "byte 84: Multiboot header: load_end_addr 0xfffff lies below load_addr"},
      {84, 0x10'0101, "257 bytes are to be loaded from byte 0, but the file ends at 256"},
      {84, 0xffff'ffff, "but the file ends at 256"},
      {88, 0x10'00ff, "byte 88: Multiboot header: bss_end_addr 0x1000ff lies below"},
      {88, 0xffff'ffff, "give it more memory"},
      {92, 0x0f'ffff, "byte 92: Multiboot header: entry_addr 0xfffff lies outside"},
      {92, 0x10'2000, "entry_addr 0x102000 lies outside what is loaded, 0x100000 to 0x102000"},
  };
  for (const BadImage& bad : kBad) {
    Ram ram;
    auto image = multiboot_flat_image();
    set_number<uint32_t>(image, bad.at, bad.value);
    expect_error(load("multiboot", image, ram),
                 bad.at == 88 && bad.value > 0x8000'0000 ? kExhausted : kInvalid, bad.message);
    EXPECT_THAT(ram.backed_frames(), IsEmpty());
  }
}

TEST(MultibootLoader, AKernelAtTheEndOfTheAddressSpaceDoesNotWrap) {
  Ram ram;
  auto image = multiboot_flat_image();
  const uint32_t fields[] = {0xffff'ffc0, 0xffff'ff80, 0, 0, 0xffff'ffff};
  for (size_t i = 0; i < 5; ++i) set_number<uint32_t>(image, 76 + 4 * i, fields[i]);
  expect_error(load("multiboot", image, ram), kInvalid, "no usable RAM");
}

TEST(MultibootLoader, RefusesFlagsAndHeadersThatItCannotServe) {
  Ram ram;
  expect_error(load("multiboot", multiboot_flat_image(0x10008), ram), kInvalid,
               "byte 68: Multiboot header: flags 0x10008 ask for");
  expect_error(load("multiboot", multiboot_flat_image(0), ram), kInvalid, "not ELF");
  auto image = multiboot_flat_image();
  image[72] ^= 1;
  expect_error(load("multiboot", image, ram), kInvalid,
               "no Multiboot header with a right checksum");
  image = multiboot_flat_image();
  image.resize(95);
  expect_error(load("multiboot", image, ram), kInvalid, "byte 64: the Multiboot header's address");
}

TEST(MultibootLoader, TheHeaderIsSearchedIn8KiBOnly) {
  const auto header = multiboot_flat_image();
  for (const size_t place :
       {size_t{8192 - 32}, size_t{8192 - 28}, size_t{8192 - 12}, size_t{8192 - 8}}) {
    std::vector<uint8_t> image(place);
    image.insert(image.end(), header.begin() + 64, header.end());
    image.resize(0x4000);
    // The whole file from 1 MiB on.
    const auto at = static_cast<uint32_t>(place);
    set_number<uint32_t>(image, place + 12, 0x10'0000 + at);
    set_number<uint32_t>(image, place + 24, 0);
    Ram ram;
    const auto guest = load("multiboot", image, ram);
    if (place == 8192 - 32) {
      EXPECT_TRUE(guest.ok()) << guest.status();
    } else {
      expect_error(guest, kInvalid, place == 8192 - 8 ? "no Multiboot header" : "address fields");
    }
  }
}

TEST(MultibootLoader, RefusesSectionsThatAreNotInTheFile) {
  const BadImage kBad[] = {
      {46, 39 | 3 << 16, "section headers of 39 bytes"},
      {32, 0xffff'fff0, "3 section headers at byte 4294967280, but the file ends at"},
      {48, 0xffff, "65535 section headers at byte"},
      {0x160 + 40 + 16, 0xffff'ffff, "section 1 of 32 bytes at byte 4294967295"},
      {0x160 + 40 + 20, 0xffff'ffff, "section 1 of 4294967295 bytes"},
      {0x160 + 80 + 20, 0x200, "section 2 of 512 bytes"},
  };
  for (const BadImage& bad : kBad) {
    Ram ram;
    auto image = multiboot_elf_image();
    set_number<uint32_t>(image, bad.at, bad.value);
    expect_error(load("multiboot", image, ram), kInvalid, bad.message);
  }
}

}  // namespace
}  // namespace gnomon::vmm
