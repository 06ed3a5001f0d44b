// SPDX-License-Identifier: Apache-2.0
#include "tests/loader/expect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace gnomon::vmm {
namespace {

using testing::HasSubstr;

// Takes a descriptor apart as a processor does that loads it (SDM vol. 3, figure 3-8).
Segment segment_of(uint16_t selector, uint64_t descriptor) {
  Segment s;
  s.selector = selector;
  s.attributes = static_cast<uint16_t>(descriptor >> 40 & 0xf0ff);
  const auto limit = static_cast<uint32_t>((descriptor & 0xffff) | (descriptor >> 32 & 0xf0000));
  s.limit = (s.attributes & seg::kG) != 0 ? limit << 12 | 0xfff : limit;
  s.base = (descriptor >> 16 & 0xff'ffff) | (descriptor >> 32 & 0xff00'0000);
  return s;
}

void expect_flat(const LoadedGuest& guest, Ram& ram) {
  const CpuState& cpu = guest.cpu;
  EXPECT_EQ(cpu.rflags, 2u);
  EXPECT_EQ(cpu.cpl, 0);
  EXPECT_EQ(cpu.idtr.limit, 0);
  const uint16_t code = guest.format == "multiboot" ? 0x08 : 0x10;
  ASSERT_EQ(cpu.gdtr.limit, code + 15);
  for (unsigned i = 0; i < kSegmentRegisters; ++i) {
    const Segment& s = cpu.segments[i];
    EXPECT_EQ(s.selector, i == kCs ? code : code + 8) << i;
    EXPECT_EQ(s, segment_of(s.selector, ram.number<uint64_t>(cpu.gdtr.base + s.selector))) << i;
    EXPECT_EQ(s.base, 0u);
    EXPECT_EQ(s.limit, 0xffff'ffffu);
    EXPECT_TRUE(s.present());
  }
  // A stack that is RAM, and nobody else's.
  const uint64_t top = cpu.gpr[kRsp];
  EXPECT_EQ(top % 16, 0u);
  EXPECT_EQ(ram.number<uint64_t>(top - 8), 0u);
  EXPECT_EQ(ram.read(top - 0xff0, 0x1000).size(), 0x1000u);
  for (const MemoryRange& r : guest.used) {
    EXPECT_TRUE(top <= r.base || top - 0x1000 >= r.base + r.bytes) << "the stack is in the image";
    EXPECT_TRUE(cpu.gdtr.base + 0x20 <= r.base || cpu.gdtr.base >= r.base + r.bytes);
  }
}

}  // namespace

LoadOptions at(uint64_t load_address) {
  LoadOptions options;
  options.load_address = load_address;
  return options;
}

LoadOptions with(absl::string_view command_line, std::vector<std::string> modules) {
  LoadOptions options;
  options.command_line = std::string(command_line);
  options.modules = std::move(modules);
  return options;
}

void expect_error(const absl::StatusOr<LoadedGuest>& guest, absl::StatusCode code,
                  absl::string_view part) {
  ASSERT_FALSE(guest.ok()) << "expected: " << part;
  EXPECT_EQ(guest.status().code(), code) << guest.status();
  const std::string message(guest.status().message());
  EXPECT_THAT(message, HasSubstr(std::string(part)));
  EXPECT_TRUE(absl::StartsWith(message, "folder/image: ")) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

void expect_flat32(const LoadedGuest& guest, Ram& ram) {
  expect_flat(guest, ram);
  EXPECT_EQ(guest.cpu.segments[kCs].attributes, 0xc09b);
  EXPECT_EQ(guest.cpu.segments[kDs].attributes, 0xc093);
  EXPECT_EQ(guest.controls.cr0, 0x11u);
  EXPECT_EQ(guest.controls.cr3, 0u);
  EXPECT_EQ(guest.controls.cr4, 0u);
  EXPECT_EQ(guest.controls.efer, 0u);
}

void expect_long64(const LoadedGuest& guest, Ram& ram) {
  expect_flat(guest, ram);
  EXPECT_EQ(guest.cpu.segments[kCs].attributes, 0xa09b);
  EXPECT_EQ(guest.controls.cr0, 0x8000'0011u);
  EXPECT_EQ(guest.controls.cr4, 0x20u);
  EXPECT_EQ(guest.controls.efer, 0x100u);
  const uint64_t root = guest.controls.cr3;
  EXPECT_EQ(root % 0x1000, 0u);
  // By hand: every 2 MiB page of the first 4 GiB, and nothing else.
  const uint64_t top = ram.number<uint64_t>(root);
  EXPECT_EQ(top & 0xfff, 3u);
  for (unsigned i = 1; i < 512; ++i) ASSERT_EQ(ram.number<uint64_t>(root + 8 * i), 0u);
  for (uint64_t g = 0; g < 512; ++g) {
    const uint64_t entry = ram.number<uint64_t>((top & ~0xfffull) + 8 * g);
    ASSERT_EQ(entry & 0xfff, g < 4 ? 3u : 0u);
    if (g >= 4) continue;
    for (uint64_t i = 0; i < 512; ++i) {
      ASSERT_EQ(ram.number<uint64_t>((entry & ~0xfffull) + 8 * i), (g << 30 | i << 21 | 0x83));
    }
  }
  for (const MemoryRange& r : guest.used) {
    EXPECT_TRUE(root + 0x6000 <= r.base || root >= r.base + r.bytes) << "tables are in the image";
  }
}

}  // namespace gnomon::vmm
