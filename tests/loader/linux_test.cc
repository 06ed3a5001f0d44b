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

std::vector<uint8_t> code_of(const std::vector<uint8_t>& image) {
  return {image.begin() + 1024, image.end()};
}

TEST(LinuxLoader, StartsAtThe32BitEntryWherePreferred) {
  Ram ram;
  const auto image = bzimage();
  const auto guest = load("linux", image, ram);
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(ram.read(0x100'0000, 0x1000), code_of(image));
  EXPECT_EQ(guest->cpu.rip, 0x100'0000u);
  EXPECT_EQ(guest->cpu.gpr[kRsi], 0x1'0000u);
  EXPECT_EQ(guest->cpu.gpr[kRbx], 0u);
  EXPECT_EQ(guest->cpu.gpr[kRbp], 0u);
  EXPECT_EQ(guest->cpu.gpr[kRdi], 0u);
  expect_flat32(*guest, ram);
  EXPECT_EQ(guest->description, "6.1 a test, boot protocol 2.15, 32-bit entry 0x1000000");
}

TEST(LinuxLoader, StartsAtThe64BitEntryWhenAsked) {
  Ram ram;
  const auto guest = load("linux64", bzimage(), ram);
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(guest->cpu.rip, 0x100'0200u);
  EXPECT_EQ(guest->cpu.gpr[kRsi], 0x1'0000u);
  EXPECT_EQ(guest->format, "linux64");
  expect_long64(*guest, ram);
  auto image = bzimage();
  image[0x236] = 0;
  expect_error(load("linux64", image, ram), kInvalid, "no 64-bit entry; use the format linux");
  expect_error(load("linux64", bzimage(0x020b), ram), kInvalid, "no 64-bit entry");
}

TEST(LinuxLoader, TheZeroPageByteForByte) {
  const test_support::TemporaryFile initrd(std::string(5000, 'i'));
  Ram ram(64_MiB);
  const auto image = bzimage();
  const auto guest = load("linux", image, ram, with("console=ttyS0", {initrd.path()}));
  ASSERT_TRUE(guest.ok()) << guest.status();

  std::vector<uint8_t> want(4096);
  set_number<uint16_t>(want, 0x02, 0xfc00);  // 63 MiB above the first
  want[0x06] = 3;                            // mode
  want[0x07] = 80;                           // columns
  want[0x0a] = 3;                            // 256 KiB
  want[0x0e] = 25;                           // lines
  want[0x0f] = 1;                            // VGA
  want[0x10] = 16;                           // pixels of a character
  set_number<uint32_t>(want, 0x1e0, 63 * 1024);
  want[0x1e8] = 4;
  std::copy(image.begin() + 0x1f1, image.begin() + 0x26c, want.begin() + 0x1f1);
  set_number<uint16_t>(want, 0x1fa, 0xffff);
  want[0x210] = 0xff;
  set_number<uint32_t>(want, 0x214, 0x100'0000);
  set_number<uint32_t>(want, 0x218, 64_MiB - 0x2000);
  set_number<uint32_t>(want, 0x21c, 5000);
  set_number<uint32_t>(want, 0x228, 0x2'0000);
  set_number<uint64_t>(want, 0x250, 0);
  for (size_t i = 0; i < 4; ++i) {
    set_number<uint64_t>(want, 0x2d0 + 20 * i, ram.map()[i].base);
    set_number<uint64_t>(want, 0x2d8 + 20 * i, ram.map()[i].bytes);
    set_number<uint32_t>(want, 0x2e0 + 20 * i, static_cast<uint32_t>(ram.map()[i].kind));
  }
  const std::vector<uint8_t> page = ram.read(guest->cpu.gpr[kRsi], 4096);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(page[i], want[i]) << "byte " << i;
  EXPECT_EQ(ram.string(0x2'0000), "console=ttyS0");
  EXPECT_THAT(ram.read(64_MiB - 0x2000, 5000), Each('i'));
}

TEST(LinuxLoader, TheInitrdStaysBelowItsLimit) {
  const test_support::TemporaryFile initrd(std::string(4097, 'i'));
  Ram ram(64_MiB);
  auto image = bzimage();
  set_number<uint32_t>(image, 0x22c, 0x17f'ffff);  // 24 MiB; the kernel has 16 to 18
  const auto guest = load("linux", image, ram, with("", {initrd.path()}));
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(ram.number<uint32_t>(guest->cpu.gpr[kRsi] + 0x218), 0x17f'e000u);
  set_number<uint32_t>(image, 0x22c, 0x11f'ffff);  // inside the kernel: below it instead
  const auto below = load("linux", image, ram, with("", {initrd.path()}));
  ASSERT_TRUE(below.ok()) << below.status();
  EXPECT_EQ(ram.number<uint32_t>(below->cpu.gpr[kRsi] + 0x218), 0xff'e000u);
  set_number<uint32_t>(image, 0x22c, 0xffff);
  const auto none = load("linux", image, ram, with("", {initrd.path()}));
  EXPECT_EQ(none.status().code(), kExhausted);
  EXPECT_THAT(none.status().message(), HasSubstr("no room for an initrd of 4097 bytes"));
}

TEST(LinuxLoader, OldProtocolsHaveTheirDefaults) {
  Ram ram;
  const auto image = bzimage(0x0202);
  const auto guest = load("linux", image, ram);
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(ram.read(0x10'0000, 0x1000), code_of(image)) << "not relocatable before 2.05";
  EXPECT_EQ(guest->cpu.rip, 0x10'0000u);
  EXPECT_TRUE(load("linux", image, ram, with(std::string(255, 'x'))).ok());
  expect_error(load("linux", image, ram, with(std::string(256, 'x'))), kInvalid,
               "the command line has 256 bytes, this kernel takes 255");
  EXPECT_TRUE(load("linux", bzimage(), ram, with(std::string(100, 'x'))).ok());
  expect_error(load("linux", bzimage(), ram, with(std::string(101, 'x'))), kInvalid, "takes 100");
}

TEST(LinuxLoader, AKernelThatCannotBeMovedGoesTo1MiB) {
  Ram ram;
  auto image = bzimage();
  image[0x234] = 0;
  const auto guest = load("linux", image, ram);
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(guest->cpu.rip, 0x10'0000u);
  EXPECT_EQ(ram.read(0x10'0000, 0x1000), code_of(image));
  Ram small(17_MiB);
  expect_error(load("linux", image, small), kInvalid, "give the guest at least 18 MiB");
}

TEST(LinuxLoader, TheKernelIsAlignedAndTheEntryMovesWithIt) {
  Ram ram;
  auto image = bzimage();
  set_number<uint64_t>(image, 0x258, 0x100'0001);
  set_number<uint32_t>(image, 0x214, 0x10'0010);
  const auto guest = load("linux", image, ram);
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(guest->cpu.rip, 0x120'0010u);
  EXPECT_EQ(ram.number<uint32_t>(guest->cpu.gpr[kRsi] + 0x214), 0x120'0010u);
}

struct BadHeader {
  size_t at;
  uint64_t value;
  unsigned bytes;
  absl::string_view message;
};

TEST(LinuxLoader, RefusesEveryNumberThatIsNotTrue) {
  const BadHeader kBad[] = {
      {0x202, 0, 4, "no Linux setup header"},
      {0x1fe, 0, 2, "no Linux setup header"},
      {0x206, 0x0201, 2, "byte 518: boot protocol 2.01, at least 2.02"},
      {0x1f1, 0xff, 1, "byte 497: the kernel begins at byte 131072, but the file ends at 5120"},
      {0x1f1, 9, 1, "the kernel begins at byte 5120, but the file ends at 5120"},
      {0x1f4, 0x101, 4, "byte 500: the kernel should have 4112 bytes from byte 1024 on"},
      {0x1f4, 0xffff'ffff, 4, "but the file ends at 5120"},
      {0x211, 0, 1, "byte 529: a zImage"},
      {0x214, 0xf'ffff, 4, "byte 532: code32_start 0xfffff lies outside the kernel"},
      {0x214, 0x10'1000, 4, "code32_start 0x101000 lies outside"},
      {0x214, 0xffff'ffff, 4, "lies outside the kernel"},
      {0x230, 3, 4, "byte 560: kernel_alignment 0x3 is not a power of two"},
      {0x230, 0, 4, "kernel_alignment 0x0 is not a power"},
      {0x230, 0x8000'0000, 4, "byte 608: the kernel needs 2097152 bytes of free RAM"},
      {0x258, 0x1'0000'0000, 8, "byte 600: pref_address 0x100000000 is not below 4 GiB"},
      {0x258, ~uint64_t{0}, 8, "is not below 4 GiB"},
      {0x258, 0xffff'ffff, 8, "in one piece at 0xffffffff or above"},
      {0x260, 0xffff'ffff, 4, "give the guest at least 4112 MiB of memory"},
      {0x260, 49u << 20, 4, "give the guest at least 65 MiB of memory"},
  };
  for (const BadHeader& bad : kBad) {
    Ram ram;
    auto image = bzimage();
    for (unsigned i = 0; i < bad.bytes; ++i) {
      image[bad.at + i] = static_cast<uint8_t>(bad.value >> (8 * i));
    }
    expect_error(load("linux", image, ram), kInvalid, bad.message);
    EXPECT_THAT(ram.backed_frames(), IsEmpty()) << bad.message;
  }
}

TEST(LinuxLoader, EveryLengthEndsInAStatus) {
  const auto whole = bzimage();
  for (size_t n = 0; n < whole.size(); n += n < 0x300 ? 1 : 61) {
    Ram ram(32_MiB);
    EXPECT_FALSE(load("linux", {whole.begin(), whole.begin() + static_cast<long>(n)}, ram).ok())
        << n;
  }
}

TEST(LinuxLoader, TakesOneInitrd) {
  const test_support::TemporaryDirectory directory;
  const std::string empty = directory.put("empty", "");
  Ram ram(32_MiB);
  expect_error(load("linux", bzimage(), ram, with("", {"a", "b"})), kInvalid, "2 modules");
  EXPECT_EQ(load("linux", bzimage(), ram, with("", {directory.path("no")})).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_THAT(load("linux", bzimage(), ram, with("", {empty})).status().message(),
              HasSubstr("empty: byte 0: an empty initrd"));
}

}  // namespace
}  // namespace gnomon::vmm
