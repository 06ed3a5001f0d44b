// SPDX-License-Identifier: Apache-2.0
//
// Kernels that other people wrote, where they are there.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/guest_images/kernel_files.h"
#include "tests/guest_images/ram.h"
#include "tests/loader/expect.h"
#include "tests/loader/fake_board.h"

namespace gnomon::vmm {
namespace {

std::vector<std::string> kernels() {
  std::vector<std::string> found;
  for (const absl::string_view name : {"vmlinuz", "memtest86+x64.bin", "memtest86+ia32.bin"}) {
    if (std::string path = find_kernel_file(name); !path.empty()) found.push_back(std::move(path));
  }
  return found;
}

absl::StatusOr<LoadedGuest> load_file(const std::string& path, absl::string_view format, Ram& ram) {
  LoadOptions options;
  options.image = path;
  options.format = std::string(format);
  options.command_line = "console=ttyS0";
  return load_guest(options, FakeBoard(ram.map()), ram.memory());
}

TEST(RealKernels, LoadByBothEntries) {
  const auto paths = kernels();
  if (paths.empty()) {
    GTEST_SKIP() << "no kernels: run tools/lib/fetch_test_kernels.sh build/test-kernels";
  }
  for (const std::string& path : paths) {
    SCOPED_TRACE(path);
    Ram ram(256_MiB);
    const auto guest = load_file(path, "", ram);
    ASSERT_TRUE(guest.ok()) << guest.status();
    EXPECT_EQ(guest->format, "linux");
    expect_flat32(*guest, ram);
    std::printf("%s: %s\n", path.c_str(), guest->description.c_str());
    const uint64_t page = guest->cpu.gpr[kRsi];
    EXPECT_EQ(ram.number<uint32_t>(page + 0x202), 0x53726448u);
    EXPECT_EQ(ram.string(ram.number<uint32_t>(page + 0x228)), "console=ttyS0");
    // A kernel for 64 bits says so.
    const bool entry64 = ram.number<uint16_t>(page + 0x206) >= 0x020c &&
                         (ram.number<uint16_t>(page + 0x236) & 1) != 0;
    Ram again(256_MiB);
    const auto by64 = load_file(path, "linux64", again);
    EXPECT_EQ(by64.ok(), entry64) << by64.status();
    if (by64.ok()) expect_long64(*by64, again);
  }
}

TEST(RealKernels, SayWhenMemoryIsTooSmall) {
  const auto paths = kernels();
  if (paths.empty()) {
    GTEST_SKIP() << "no kernels: run tools/lib/fetch_test_kernels.sh build/test-kernels";
  }
  for (const std::string& path : paths) {
    Ram ram(1_MiB + 64_KiB);
    const auto guest = load_file(path, "", ram);
    ASSERT_FALSE(guest.ok()) << path;
    EXPECT_TRUE(absl::StrContains(guest.status().message(), "give the guest at least"))
        << guest.status();
  }
}

}  // namespace
}  // namespace gnomon::vmm
