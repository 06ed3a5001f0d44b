// SPDX-License-Identifier: Apache-2.0
//
// Raw binaries and ELF executables.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/guest_images/images.h"
#include "tests/guest_images/ram.h"
#include "tests/loader/expect.h"

namespace gnomon::vmm {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(RawLoader, StartsFlatAtItsLoadAddress) {
  Ram ram;
  const auto guest = load("raw", {0xfa, 0xf4}, ram, at(0x7'0001));
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_THAT(ram.read(0x7'0000, 4), ElementsAre(0, 0xfa, 0xf4, 0));
  EXPECT_EQ(guest->cpu.rip, 0x7'0001u);
  expect_flat32(*guest, ram);
  EXPECT_EQ(guest->format, "raw");
  ASSERT_EQ(guest->used.size(), 1u);
  EXPECT_EQ(guest->used[0].base, 0x7'0001u);
}

TEST(RawLoader, TablesMakeRoomForTheImage) {
  Ram ram;
  const std::vector<uint8_t> image(0x8000, 0xcc);
  const auto guest = load("raw", image, ram, at(0x1000));
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(ram.read(0x1000, image.size()), image);
  EXPECT_EQ(guest->cpu.gdtr.base, 0x9000u);
  expect_flat32(*guest, ram);
}

TEST(RawLoader, RefusesWhatHasNoPlace) {
  Ram ram(4_MiB);
  expect_error(load("raw", {}, ram), kInvalid, "byte 0: an empty file");
  expect_error(load("raw", {1}, ram, at(1ull << 32)), kInvalid, "below 4 GiB");
  expect_error(load("raw", {1, 2}, ram, at(4_MiB - 1)), kInvalid,
               "wants 2 bytes at 0x3fffff, where no usable RAM is (usable: 0x0 to 0x9fc00, "
               "0x100000 to 0x400000)");
  expect_error(load("raw", {1, 2}, ram, at(0x9'fbff)), kInvalid, "no usable RAM");
  expect_error(load("raw", {1}, ram, at(0xb'8000)), kInvalid, "no usable RAM");
  expect_error(load("raw", std::vector<uint8_t>(5_MiB), ram), kExhausted, "give it more memory");
  expect_error(load("raw", {1}, ram, with("x")), kInvalid, "command line");
  expect_error(load("raw", {1}, ram, with("", {"x"})), kInvalid, "modules");
  EXPECT_THAT(ram.backed_frames(), testing::IsEmpty());
}

TEST(ElfLoader, Elf32StartsFlat) {
  Ram ram;
  ASSERT_TRUE(ram.memory().fill(Gpa(0x20'0000), 0x2000, 0xee));
  const auto image = elf_image(false);
  const auto guest = load("elf", image, ram);
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(ram.read(0x10'0000, 16),
            std::vector<uint8_t>(image.begin() + 0x100, image.begin() + 0x110));
  EXPECT_THAT(ram.read(0x20'0000, 8), ElementsAre(0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17));
  EXPECT_THAT(ram.read(0x20'0008, 0x1000), Each(0)) << "the rest of the segment is zero";
  EXPECT_EQ(ram.number<uint8_t>(0x20'1008), 0xee) << "and what follows is left alone";
  EXPECT_EQ(guest->cpu.rip, 0x10'0000u);
  expect_flat32(*guest, ram);
  EXPECT_EQ(guest->description, "ELF32, segments: 2, entry 0x100000");
}

TEST(ElfLoader, Elf64StartsWithAnIdentityMap) {
  Ram ram;
  const auto guest = load("elf", elf_image(true), ram);
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(guest->cpu.rip, 0x10'0000u);
  expect_long64(*guest, ram);
  EXPECT_EQ(guest->controls.cr3, 0x2000u);
}

TEST(ElfLoader, TheEntryMayBeAVirtualAddress) {
  for (const bool is64 : {false, true}) {
    Ram ram;
    auto image = elf_image(is64);
    set_number<uint32_t>(image, 24, 0xc020'0004);
    const auto guest = load("elf", image, ram);
    ASSERT_TRUE(guest.ok()) << guest.status();
    EXPECT_EQ(guest->cpu.rip, 0x20'0004u);
    set_number<uint32_t>(image, 24, 0x20'0004);
    EXPECT_EQ(load("elf", image, ram)->cpu.rip, 0x20'0004u) << "or a physical one";
  }
}

// One number of a good image at a time.
struct BadElf {
  size_t at64;
  size_t at32;
  uint64_t value;
  unsigned bytes;  // 4: as wide as the class's words
  absl::string_view message;
};

TEST(ElfLoader, RefusesEveryNumberThatIsNotTrue) {
  const BadElf kBad[] = {
      {0, 0, 0, 1, "byte 0: no ELF magic"},
      {4, 4, 3, 1, "byte 4: unknown ELF class 3"},
      {5, 5, 2, 1, "byte 5: a big-endian"},
      {16, 16, 3, 2, "byte 16: type 3"},
      {18, 18, 40, 2, "byte 18: machine 40"},
      {54, 42, 0, 2, "program headers of 0 bytes"},
      {54, 42, 16, 2, "program headers of 16 bytes"},
      {56, 44, 0xffff, 2, "65535 program headers at byte"},
      {56, 44, 0, 2, "no loadable segment"},
      {32, 28, 0xffff'ffff, 4, "2 program headers at byte 4294967295, but the file ends at 280"},
      {24, 24, 0, 4, "byte 24: the entry 0x0 lies in no loadable segment"},
      {24, 24, 0x10'0010, 4, "byte 24: the entry 0x100010 lies in no"},
      {24, 24, 0xffff'ffff, 4, "lies in no loadable segment"},
      // First program header: type, offset, physical address, bytes in the file and in memory.
      {64, 52, 3, 2, "asks for an interpreter"},
      {72, 56, 0xffff'ffff, 4, "16 bytes at byte 4294967295, but the file ends at 280"},
      {72, 56, 0x109, 4, "but the file ends at 280"},
      {88, 64, 0xffff'fff8, 4, "no usable RAM"},
      {88, 64, 0x9'fbf8, 4, "wants 16 bytes at 0x9fbf8, where no usable RAM is"},
      {88, 64, 0x20'1007, 4, "where another part of the image lies"},
      {88, 64, 0x1f'fff1, 4, "where another part of the image lies"},
      {96, 68, 17, 4, "a segment has 17 bytes in the file and 16 in memory"},
      {96, 68, 0xffff'ffff, 4, "but the file ends at 280"},
      {104, 72, 0xffff'ffff, 4, "give it more memory"},
      {104, 72, 0x10'0001, 4, "another part of the image"},
      {104, 72, 0, 4, "a segment has 16 bytes in the file and 0 in memory"},
  };
  for (const bool is64 : {false, true}) {
    for (const BadElf& bad : kBad) {
      Ram ram;
      auto image = elf_image(is64);
      const size_t at = is64 ? bad.at64 : bad.at32;
      for (unsigned i = 0; i < bad.bytes; ++i) {
        image[at + i] = static_cast<uint8_t>(bad.value >> (8 * i));
      }
      const auto guest = load("elf", image, ram);
      ASSERT_FALSE(guest.ok()) << is64 << ' ' << bad.message;
      EXPECT_THAT(guest.status().message(), HasSubstr(bad.message)) << (is64 ? 64 : 32);
      EXPECT_THAT(ram.backed_frames(), testing::IsEmpty()) << bad.message;
    }
  }
}

TEST(ElfLoader, RefusesNumbersOf64BitsThatWrap) {
  const size_t kFields[] = {24, 32, 72, 88, 96, 104};
  for (const size_t field : kFields) {
    for (const uint64_t value : {~uint64_t{0}, ~uint64_t{0} - 15, uint64_t{1} << 63,
                                 uint64_t{1} << 32, (uint64_t{1} << 32) - 8}) {
      Ram ram;
      auto image = elf_image(true);
      set_number<uint64_t>(image, field, value);
      EXPECT_FALSE(load("elf", image, ram).ok()) << field << ' ' << value;
    }
  }
}

TEST(ElfLoader, EveryLengthEndsInAStatus) {
  for (const bool is64 : {false, true}) {
    const auto whole = elf_image(is64);
    for (size_t n = 0; n < whole.size(); ++n) {
      Ram ram(4_MiB);
      const auto guest = load("elf", {whole.begin(), whole.begin() + static_cast<long>(n)}, ram);
      EXPECT_FALSE(guest.ok()) << n;
    }
  }
}

TEST(ElfLoader, TablesGoWhereTheImageIsNot) {
  Ram ram;
  auto image = elf_image(true);
  set_number<uint64_t>(image, 88, 0x1000);  // the first segment, physically
  set_number<uint64_t>(image, 104, 0x9'0000 - 0x1000);
  const auto guest = load("elf", image, ram);
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(guest->controls.cr3, 0x9'0000u);
  EXPECT_EQ(guest->cpu.rip, 0x1000u);
  expect_long64(*guest, ram);
  EXPECT_EQ(ram.number<uint8_t>(0x1000), 0u);
  EXPECT_EQ(ram.number<uint8_t>(0x1001), 1u);
}

}  // namespace
}  // namespace gnomon::vmm
