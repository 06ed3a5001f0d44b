// SPDX-License-Identifier: Apache-2.0
//
// The way a teaching Unix starts: a boot sector goes from real mode through the A20 gate to
// protected mode, reads an ELF kernel from the IDE disk by programmed I/O, and the kernel runs
// programs under paging.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "tests/support/scale.h"
#include "tests/support/temporary_directory.h"
#include "tests/teaching_unix/run_guest.h"

namespace gnomon::vmm {
namespace {

using testing::HasSubstr;

constexpr uint64_t kMostOfBoot = 400'000'000;

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string scratch(absl::string_view name, absl::string_view bytes) {
  static const test_support::TemporaryDirectory directory;
  return directory.put(name, bytes);
}

class BootDisk : public testing::Test {
 protected:
  void SetUp() override {
    sector_ = contents(guest_file("boot.bin"));
    kernel_ = contents(guest_file("teach32.elf"));
    if (sector_.empty() || kernel_.empty()) {
      GTEST_SKIP() << "no guest programs in this build (target gnomon_guests)";
    }
  }

  /// A disk with the boot sector and these bytes behind it, padded to whole sectors.
  std::string disk(absl::string_view name, absl::string_view rest) const {
    std::string bytes = absl::StrCat(sector_, rest);
    bytes.resize((bytes.size() + 511) / 512 * 512);
    return scratch(name, bytes);
  }

  static MachineOptions options_for(const std::string& image, absl::string_view backend) {
    MachineOptions o;
    o.load.image = image;
    o.board.disks = {image};
    o.backend = std::string(backend);
    return o;
  }

  std::string sector_, kernel_;
};

TEST_F(BootDisk, TheSectorIsOne) {
  ASSERT_EQ(sector_.size(), 512u);
  EXPECT_EQ(sector_.substr(510), "\x55\xaa");
}

TEST_F(BootDisk, LoadsTheKernelAndRunsItToItsEnd) {
  const std::string image = disk("teach32.img", kernel_);
  const Seen seen = run_guest(options_for(image, "shadow"), "", kMostOfBoot);
  EXPECT_EQ(seen.end, RunEnd::Reason::kExit);
  EXPECT_EQ(seen.status, 0);
  EXPECT_THAT(seen.console, HasSubstr("two-level page tables"));
  EXPECT_THAT(seen.console, HasSubstr("init: all programs ended as they should"));
  EXPECT_EQ(contents(image), contents(guest_file("teach32.img"))) << "the build's disk";
}

TEST_F(BootDisk, IsTheSameWhateverVirtualizesMemory) {
  const std::string image = disk("all.img", kernel_);
  const Seen native = run_guest(options_for(image, "native"), "", kMostOfBoot);
  EXPECT_EQ(native.end, RunEnd::Reason::kExit);
  for (const absl::string_view backend : kAllBackends) {
    if (backend == "native" || (small_scale() && backend != "nested")) continue;
    EXPECT_EQ(run_guest(options_for(image, backend), "", kMostOfBoot), native) << backend;
  }
}

TEST_F(BootDisk, TellsTheKernelTheSizeOfMemory) {
  const std::string image = disk("memory.img", kernel_);
  std::string before;
  for (const uint64_t mib : {8, 32, 256}) {
    MachineOptions o = options_for(image, "shadow");
    o.board.memory_bytes = mib << 20;
    const std::string console = run_guest(o, "", 30'000'000).console;
    const std::string line = console.substr(0, console.find('\n'));
    EXPECT_THAT(line, HasSubstr("free frames")) << mib;
    EXPECT_NE(line, before);
    before = line;
  }
}

TEST_F(BootDisk, GivesUpInOneLetter) {
  // A disk that ends behind the sector, and one whose sectors hold something else.
  const std::string lonely = scratch("lonely.img", sector_);
  EXPECT_EQ(run_guest(options_for(lonely, "shadow"), "", 5'000'000).console, "D");
  const std::string other = disk("other.img", std::string(8192, 'x'));
  EXPECT_EQ(run_guest(options_for(other, "shadow"), "", 5'000'000).console, "K");
}

/// Standard output of the tool, and its exit status behind it.
std::string tool_says(const std::string& arguments) {
  std::string out;
  FILE* const pipe =
      popen(absl::StrCat(GNOMON_TEST_TOOL, " ", arguments, " </dev/null").c_str(), "r");
  if (pipe == nullptr) return "cannot start the tool";
  for (int c; (c = std::fgetc(pipe)) != EOF;) out += static_cast<char>(c);
  return absl::StrCat(out, "[", pclose(pipe), "]");
}

TEST_F(BootDisk, TheToolMakesTheImageTheFirstDisk) {
  const std::string image = disk("tool.img", kernel_);
  const std::string other = scratch("second.img", std::string(8192, 'z'));
  // Its own disk, although another one is given; named as that other one, it stays where it is, and
  // the sector finds no kernel on drive 0.
  EXPECT_THAT(tool_says(absl::StrCat("run -q ", image)), HasSubstr("as they should"));
  EXPECT_THAT(tool_says(absl::StrCat("run -q ", image, " --disk ", other)),
              HasSubstr("as they should"));
  EXPECT_EQ(tool_says(absl::StrCat("run -q --limit 5000000 ", image, " --disk ", other, " --disk ",
                                   image)),
            "K[0]");
}

TEST_F(BootDisk, ADiskWithAMultibootKernelBehindTheSectorIsADisk) {
  LoadOptions o;
  o.image = disk("multiboot.img", kernel_);
  EXPECT_TRUE(boots_as_disk(o));
  o.image = scratch("alone.img", sector_);
  EXPECT_FALSE(boots_as_disk(o)) << "nothing behind the sector";
  o.image = guest_file("teach32.elf");
  EXPECT_FALSE(boots_as_disk(o));
  o.image = "/nowhere/at/all";
  EXPECT_FALSE(boots_as_disk(o));
}

// mov $0x3fd, %dx; again: in %dx, %al; test $1, %al; jz again; mov $0xf8, %dl; in %dx, %al; out
// %al, %dx; cmp $'q', %al; jne start; xor %eax, %eax; out %al, $0xf4; hlt
constexpr unsigned char kEcho[] = {0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74,
                                   0xfb, 0xb2, 0xf8, 0xec, 0xee, 0x3c, 0x71, 0x75,
                                   0xef, 0x31, 0xc0, 0xe6, 0xf4, 0xf4};

TEST(InputScript, IsTypedOnTheSerialPort) {
  const std::string guest =
      scratch("echo.raw", {reinterpret_cast<const char*>(kEcho), sizeof kEcho});
  const std::string script = scratch("script.txt", "hello, guest\nq and no more");
  const std::string run = absl::StrCat("run -q --format raw ", guest, " --input ");
  EXPECT_EQ(tool_says(absl::StrCat(run, script)), "hello, guest\nq[0]");
  EXPECT_THAT(tool_says(absl::StrCat(run, "/nowhere/at/all 2>&1")),
              HasSubstr("--input: cannot open /nowhere/at/all"));
  EXPECT_THAT(tool_says(absl::StrCat(run, testing::TempDir(), " 2>&1")), HasSubstr("cannot read"));
  EXPECT_THAT(tool_says(absl::StrCat(run, "/dev/zero 2>&1")),
              HasSubstr("byte 65536: more than 64 KiB"));
}

TEST(InputScript, TakesGuestTime) {
  MachineOptions o;
  o.load.image = scratch("echo2.raw", {reinterpret_cast<const char*>(kEcho), sizeof kEcho});
  o.load.format = "raw";
  const Seen seen = run_guest(o, "abcdefghiq", 1'000'000);
  EXPECT_EQ(seen.console, "abcdefghiq");
  EXPECT_EQ(seen.instructions / 10'000, 10u);
}

}  // namespace
}  // namespace gnomon::vmm
