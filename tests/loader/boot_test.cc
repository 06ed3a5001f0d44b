// SPDX-License-Identifier: Apache-2.0
//
// Boot sectors, and the BIOS services that they find.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/guest_images/images.h"
#include "tests/guest_images/ram.h"
#include "tests/loader/expect.h"

namespace gnomon::vmm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(BootLoader, StartsTheFirstSectorAsABiosDoes) {
  Ram ram;
  std::vector<uint8_t> disk = boot_sector_image();
  disk.resize(10 * 512, 0x77);
  const auto guest = load("boot", disk, ram);
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(ram.read(0x7c00, 512), boot_sector_image());
  EXPECT_EQ(ram.number<uint8_t>(0x7e00), 0) << "one sector, not more";
  const CpuState& cpu = guest->cpu;
  EXPECT_EQ(cpu.rip, 0x7c00u);
  EXPECT_EQ(cpu.gpr[kRdx], 0x80u);
  EXPECT_EQ(cpu.gpr[kRsp], 0x7c00u);
  EXPECT_EQ(cpu.rflags, 0x202u);
  EXPECT_EQ(cpu.idtr, (TableRegister{0, 0x3ff}));
  for (unsigned i = 0; i < kSegmentRegisters; ++i) {
    EXPECT_EQ(cpu.segments[i],
              (Segment{0, static_cast<uint16_t>(i == kCs ? 0x9b : 0x93), 0xffff, 0}));
  }
  EXPECT_EQ(guest->controls.cr0, 0x10u) << "real mode";
}

TEST(BootLoader, EveryVectorLeadsToAnInstruction) {
  Ram ram;
  ASSERT_TRUE(load("boot", boot_sector_image(), ram).ok());
  const auto linear = [&](unsigned vector) {
    return ram.number<uint16_t>(4ull * vector) + 16ull * ram.number<uint16_t>(4ull * vector + 2);
  };
  for (unsigned v = 0; v < 256; ++v) {
    const bool own =
        (v >= 8 && v <= 15) || v == 0x12 || v == 0x13 || v == 0x15 || (v & ~7u) == 0x70;
    EXPECT_EQ(linear(v) == 0xf'e000, !own) << v;
  }
  EXPECT_EQ(ram.number<uint8_t>(linear(0x10)), 0xcf) << "IRET";
  EXPECT_EQ(ram.number<uint8_t>(linear(8)), 0x50) << "PUSH AX";
  EXPECT_EQ(linear(9), linear(15));
  EXPECT_EQ(linear(0x70), linear(0x77));
  EXPECT_EQ(ram.number<uint16_t>(linear(0x12)), 0xa12e) << "MOV AX, CS:...";
  EXPECT_EQ(ram.number<uint16_t>(linear(0x15)), 0x203d) << "CMP AX, ...20h";
}

TEST(BootLoader, TheServicesKnowTheMemory) {
  Ram ram(64_MiB);
  ASSERT_TRUE(load("boot", boot_sector_image(), ram).ok());
  EXPECT_EQ(ram.number<uint16_t>(0xf'e0a8), 639) << "INT 12h";
  EXPECT_EQ(ram.number<uint16_t>(0xf'e0aa), 63 * 1024) << "INT 15h, AH=88h";
  EXPECT_EQ(ram.number<uint16_t>(0xf'e0ac), 15 * 1024) << "AX=E801h, up to 16 MiB";
  EXPECT_EQ(ram.number<uint16_t>(0xf'e0ae), 48 * 16) << "and above";
  EXPECT_EQ(ram.number<uint32_t>(0xf'e0b0), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const uint64_t entry = 0xf'e0b4 + 20 * i;
    EXPECT_EQ(ram.number<uint64_t>(entry), ram.map()[i].base);
    EXPECT_EQ(ram.number<uint64_t>(entry + 8), ram.map()[i].bytes);
    EXPECT_EQ(ram.number<uint32_t>(entry + 16), i == 1 || i == 2 ? 2u : 1u);
  }
}

TEST(BootLoader, TheServicesKeepAwayFromFirmwareTables) {
  Ram ram;
  ASSERT_TRUE(ram.memory().put(Gpa(0xf'e010), uint8_t{1}));
  ASSERT_TRUE(load("boot", boot_sector_image(), ram).ok());
  EXPECT_EQ(ram.number<uint16_t>(2), 0xf800);
  EXPECT_EQ(ram.number<uint8_t>(0xf'8000), 0xcf);
}

TEST(BootLoader, RefusesWhatIsNoBootSector) {
  Ram ram;
  auto image = boot_sector_image();
  image[510] = 0;
  expect_error(load("boot", image, ram), kInvalid, "byte 510: 00 aa where a boot sector ends");
  image.resize(511);
  expect_error(load("boot", image, ram), kInvalid, "byte 511: shorter than a sector");
  expect_error(load("boot", {}, ram), kInvalid, "byte 0: shorter");
  expect_error(load("boot", boot_sector_image(), ram, with("x")), kInvalid, "command line");
  EXPECT_THAT(ram.backed_frames(), testing::IsEmpty());
}

}  // namespace
}  // namespace gnomon::vmm
