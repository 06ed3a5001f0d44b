// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/devices/fixture.h"
#include "tests/scenario/random.h"
#include "tests/support/temporary_directory.h"

namespace gnomon::vmm {
namespace {

using Bytes = std::vector<uint8_t>;

std::string pattern(size_t bytes, uint64_t seed) {
  scenario::Random random(seed);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random.next());
  return text;
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

BoardOptions with_disks(std::vector<std::string> disks, bool write = false) {
  BoardOptions options;
  options.disks = std::move(disks);
  options.write_disks = write;
  return options;
}

/// Drives the primary channel as a kernel's PIO driver does.
class Driver : public BoardFixture {
 public:
  using BoardFixture::BoardFixture;

  uint8_t status() { return in(0x1f7); }
  void lba28(uint64_t sector, unsigned count, unsigned unit = 0) {
    out(0x1f6, 0xe0 | unit << 4 | (sector >> 24 & 15));
    out(0x1f2, count & 0xff);
    for (unsigned i = 0; i < 3; ++i)
      out(static_cast<uint16_t>(0x1f3 + i), sector >> (8 * i) & 0xff);
  }
  void lba48(uint64_t sector, unsigned count, unsigned unit = 0) {
    out(0x1f6, 0x40 | unit << 4);
    out(0x1f2, count >> 8 & 0xff);
    for (unsigned i = 0; i < 3; ++i)
      out(static_cast<uint16_t>(0x1f3 + i), sector >> (8 * i + 24) & 0xff);
    out(0x1f2, count & 0xff);
    for (unsigned i = 0; i < 3; ++i)
      out(static_cast<uint16_t>(0x1f3 + i), sector >> (8 * i) & 0xff);
  }
  void command(uint8_t code) { out(0x1f7, code); }

  /// Takes data while the drive offers it, by words or double words.
  std::string read_all(bool wide = false) {
    std::string data;
    while ((status() & 0x09) == 0x08) {
      for (unsigned i = 0; i < 512; i += wide ? 4 : 2) {
        const uint32_t value = wide ? in32(0x1f0) : in16(0x1f0);
        for (unsigned b = 0; b < (wide ? 4u : 2u); ++b) data += static_cast<char>(value >> (8 * b));
      }
    }
    return data;
  }
  void write_all(const std::string& data, bool wide = false) {
    size_t at = 0;
    while ((status() & 0x09) == 0x08 && at < data.size()) {
      for (unsigned i = 0; i < 512; i += wide ? 4 : 2) {
        uint32_t value = 0;
        for (unsigned b = 0; b < (wide ? 4u : 2u); ++b) {
          value |= uint32_t{static_cast<uint8_t>(data[at++])} << (8 * b);
        }
        wide ? out32(0x1f0, value) : out16(0x1f0, value);
      }
    }
    EXPECT_EQ(at, data.size());
  }
  uint16_t identify_word(const std::string& answer, unsigned word) {
    return static_cast<uint16_t>(static_cast<uint8_t>(answer[2 * word]) |
                                 static_cast<uint8_t>(answer[2 * word + 1]) << 8);
  }
};

TEST(Ide, IdentifyDescribesTheImage) {
  const test_support::TemporaryFile image(pattern(512 * 20'160, 1));
  Driver d(with_disks({image.path()}));
  d.out(0x1f6, 0xa0);
  EXPECT_EQ(d.status(), 0x50);
  d.command(0xec);
  EXPECT_EQ(d.status(), 0x58);
  const std::string answer = d.read_all();
  ASSERT_EQ(answer.size(), 512u);
  EXPECT_EQ(d.status(), 0x50);
  EXPECT_EQ(d.identify_word(answer, 0), 0x0040);
  EXPECT_EQ(d.identify_word(answer, 1), 20) << "cylinders of 16 * 63 sectors";
  EXPECT_EQ(d.identify_word(answer, 60) | d.identify_word(answer, 61) << 16, 20'160);
  EXPECT_EQ(d.identify_word(answer, 100), 20'160);
  EXPECT_EQ(answer.substr(54, 12), "NGMONOD SI K") << "text has its bytes swapped";
  EXPECT_NE(d.identify_word(answer, 83) & 0x0400, 0) << "48-bit addresses";
}

TEST(Ide, AbsentDrivesReadAsNothing) {
  const test_support::TemporaryFile image(pattern(1024, 1));
  Driver d(with_disks({image.path()}));
  d.out(0x1f6, 0xf0);
  EXPECT_EQ(d.in(0x1f7), 0);
  EXPECT_EQ(d.in(0x3f6), 0);
  d.command(0xec);
  EXPECT_EQ(d.in(0x1f7), 0);
  EXPECT_EQ(d.in16(0x1f0), 0);
  EXPECT_EQ(d.in(0x177), 0);
  d.out(0x1f6, 0xe0);
  EXPECT_EQ(d.in(0x1f7), 0x50);
}

TEST(Ide, ReadsByChsAndLbaAreTheSameSectors) {
  const std::string data = pattern(512 * 2'016 + 17, 2);
  const test_support::TemporaryFile image(data);
  Driver d(with_disks({image.path()}));
  for (const unsigned sector : {0u, 1u, 62u, 63u, 1'007u, 1'008u, 2'015u}) {
    d.out(0x1f6, 0xa0 | sector / 63 % 16);
    d.out(0x1f2, 1);
    d.out(0x1f3, sector % 63 + 1);
    d.out(0x1f4, sector / 1'008);
    d.out(0x1f5, 0);
    d.command(0x20);
    EXPECT_EQ(d.read_all(), data.substr(sector * 512, 512)) << sector;
  }
  d.lba28(2'016, 1);
  d.command(0x20);
  EXPECT_EQ(d.read_all(), data.substr(2'016 * 512) + std::string(495, '\0')) << "padded";
  EXPECT_EQ(d.board->notes().size(), 1u);
  EXPECT_NE(d.board->notes()[0].find("495 zero bytes"), std::string::npos) << d.board->notes()[0];
  // INITIALIZE DEVICE PARAMETERS: 4 heads of 17 sectors.
  d.out(0x1f6, 0xa3);
  d.out(0x1f2, 17);
  d.command(0x91);
  d.out(0x1f6, 0xa2);
  d.out(0x1f2, 1);
  d.out(0x1f3, 5);
  d.out(0x1f4, 3);
  d.out(0x1f5, 0);
  d.command(0x20);
  EXPECT_EQ(d.read_all(), data.substr(((3 * 4 + 2) * 17 + 4) * 512, 512));
}

TEST(Ide, ErrorsNameTheSector) {
  const test_support::TemporaryFile image(pattern(512 * 100, 3));
  Driver d(with_disks({image.path()}));
  d.lba28(98, 4);
  d.command(0x20);
  EXPECT_EQ(d.read_all().size(), 1024u);
  EXPECT_EQ(d.status() & 0x09, 0x01);
  EXPECT_EQ(d.in(0x1f1), 0x10) << "ID not found";
  EXPECT_EQ(d.in(0x1f3), 100);
  d.lba28(100, 1);
  d.command(0x30);
  EXPECT_EQ(d.status() & 0x09, 0x01);
  d.command(0xa1);  // IDENTIFY PACKET DEVICE
  EXPECT_EQ(d.status() & 0x01, 0x01);
  EXPECT_EQ(d.in(0x1f1), 0x04);
  d.out(0x1f6, 0xa0);
  d.out(0x1f3, 0);  // sectors of a track count from 1
  d.command(0x20);
  EXPECT_EQ(d.in(0x1f1), 0x10);
  d.command(0xc4);
  EXPECT_EQ(d.in(0x1f1), 0x04) << "READ MULTIPLE before SET MULTIPLE MODE";
  d.out(0x1f1, 0x03);
  d.out(0x1f2, 0x22);
  d.command(0xef);
  EXPECT_EQ(d.in(0x1f1), 0x04) << "no DMA modes";
}

TEST(Ide, InterruptsComeWithEachBlockAndObeyNien) {
  const test_support::TemporaryFile image(pattern(512 * 100, 3));
  Driver d(with_disks({image.path()}));
  d.init_pics();
  const auto taken = [&d] {
    const int vector = d.take_interrupt();
    if (vector >= 0) d.out(0xa0, 0x20), d.out(0x20, 0x20);
    return vector;
  };
  d.lba28(5, 2);
  d.command(0x20);
  EXPECT_EQ(taken(), 0x2e);
  EXPECT_EQ(taken(), -1);
  d.status();
  for (int i = 0; i < 256; ++i) d.in16(0x1f0);
  EXPECT_EQ(taken(), 0x2e) << "second sector";
  d.status();
  for (int i = 0; i < 256; ++i) d.in16(0x1f0);
  EXPECT_EQ(taken(), -1) << "none at the end of a read";
  // A teaching Unix writes without looking: data right after the command.
  d.out(0x3f6, 0);
  d.lba28(7, 1);
  d.command(0x30);
  EXPECT_EQ(taken(), -1);
  for (int i = 0; i < 128; ++i) d.out32(0x1f0, 0x01020304);
  EXPECT_EQ(taken(), 0x2e);
  EXPECT_EQ(d.in(0x3f6), 0x50) << "alternate status leaves the interrupt";
  d.out(0x3f6, 0x02);
  d.command(0xec);
  EXPECT_EQ(taken(), -1) << "nIEN";
  d.out(0x3f6, 0x00);
  EXPECT_EQ(taken(), 0x2e);
}

TEST(Ide, ResetAndDiagnosticLeaveTheSignature) {
  const test_support::TemporaryFile image(pattern(512 * 100, 3));
  Driver d(with_disks({image.path(), image.path()}));
  d.lba28(77, 9, 1);
  d.out(0x3f6, 0x04);
  EXPECT_EQ(d.status(), 0x80);
  d.out(0x3f6, 0x00);
  for (unsigned unit = 0; unit < 2; ++unit) {
    d.out(0x1f6, unit << 4);
    EXPECT_EQ(d.status(), 0x50);
    EXPECT_EQ(d.in(0x1f1), 1);
    EXPECT_EQ(d.in(0x1f2), 1);
    EXPECT_EQ(d.in(0x1f3), 1);
    EXPECT_EQ(d.in(0x1f4) | d.in(0x1f5), 0) << "neither a packet device nor SATA";
  }
  d.lba28(77, 9, 0);
  d.command(0x90);
  EXPECT_EQ(d.in(0x1f1), 1);
  EXPECT_EQ(d.in(0x1f3), 1);
}

TEST(Ide, HighOrderByteIsReadWithHob) {
  const test_support::TemporaryFile image(pattern(512 * 100, 3));
  Driver d(with_disks({image.path()}));
  d.lba48(0x010203, 0x0405);
  EXPECT_EQ(d.in(0x1f2), 0x05);
  d.out(0x3f6, 0x80);
  EXPECT_EQ(d.in(0x1f2), 0x04);
  d.out(0x1f3, 9);
  EXPECT_EQ(d.in(0x1f2), 0x05) << "a write switches back";
  d.command(0x27);
  EXPECT_EQ(d.in(0x1f3), 99) << "the last sector";
}

// Random commands on two drives against arrays of bytes.
void random_transfers(uint64_t seed, bool write_through) {
  test_support::TemporaryDirectory directory;
  constexpr unsigned kSectors = 300;
  std::vector<std::string> model, paths;
  for (unsigned unit = 0; unit < 2; ++unit) {
    model.push_back(pattern(512 * kSectors, seed + unit));
    paths.push_back(directory.put("disk" + std::to_string(unit), model.back()));
  }
  const std::vector<std::string> original = model;
  Driver d(with_disks(paths, write_through));
  scenario::Random random(seed);
  unsigned multiple[2] = {0, 0};
  for (int step = 0; step < 800; ++step) {
    const unsigned unit = static_cast<unsigned>(random.below(2));
    const unsigned sector = static_cast<unsigned>(random.below(kSectors));
    const unsigned count =
        static_cast<unsigned>(1 + random.below(std::min(40u, kSectors - sector)));
    const bool ext = random.below(2) != 0, wide = random.below(2) != 0;
    const bool in_blocks = multiple[unit] != 0 && random.below(2) != 0;
    ext ? d.lba48(sector, count, unit) : d.lba28(sector, count, unit);
    switch (random.below(5)) {
      case 0:
      case 1: {
        d.command(in_blocks ? (ext ? 0x29 : 0xc4) : (ext ? 0x24 : 0x20));
        ASSERT_EQ(d.read_all(wide), model[unit].substr(sector * 512, count * 512)) << step;
        ASSERT_EQ(d.in(0x1f3), (sector + count - 1) & 0xff) << "the last sector";
        break;
      }
      case 2:
      case 3: {
        const std::string data = pattern(512 * count, random.next());
        d.command(in_blocks ? (ext ? 0x39 : 0xc5) : (ext ? 0x34 : 0x30));
        d.write_all(data, wide);
        model[unit].replace(sector * 512, data.size(), data);
        break;
      }
      default: {
        const unsigned block = 1u << random.below(6);
        d.out(0x1f2, block);
        d.command(0xc6);
        ASSERT_EQ(d.status() & 1, block > 16 ? 1 : 0);
        multiple[unit] = block > 16 ? 0 : block;
        break;
      }
    }
    ASSERT_EQ(d.status() & 0x88, 0) << step;
    if (step == 400) d.board->reset(), multiple[0] = multiple[1] = 0;
  }
  d.lba28(0, 1, 0);
  d.command(0xe7);
  EXPECT_EQ(d.status(), 0x50);
  EXPECT_TRUE(d.board->notes().empty());
  for (unsigned unit = 0; unit < 2; ++unit) {
    EXPECT_TRUE(contents(paths[unit]) == (write_through ? model : original)[unit]);
  }
}

TEST(Ide, RandomTransfersIntoTheOverlay) {
  for (uint64_t seed = 1; seed <= 4; ++seed) random_transfers(seed, false);
}
TEST(Ide, RandomTransfersIntoTheFile) { random_transfers(9, true); }

TEST(Ide, ImagesThatCannotBeDisks) {
  test_support::TemporaryDirectory directory;
  Clock clock;
  ControlLog control;
  const auto error = [&](const std::string& path) {
    const auto made = create_board(with_disks({path}), clock, control);
    EXPECT_FALSE(made.ok());
    return made.status();
  };
  EXPECT_EQ(error(directory.path("missing")).code(), absl::StatusCode::kNotFound);
  EXPECT_NE(error(directory.path("missing")).message().find("missing"), absl::string_view::npos);
  EXPECT_EQ(error(directory.put("empty", "")).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error(directory.path().string()).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      create_board(with_disks(std::vector<std::string>(5, "x")), clock, control).status().code(),
      absl::StatusCode::kInvalidArgument);
}

TEST(Ide, ImageThatShrinksReadsZerosAndPaddingIsWritten) {
  test_support::TemporaryDirectory directory;
  const std::string path = directory.put("disk", pattern(512 * 9 + 1, 5));
  Driver d(with_disks({path}, true));
  d.lba28(9, 1);
  d.command(0x30);
  d.write_all(std::string(512, 'w'));
  EXPECT_EQ(contents(path).size(), 5120u) << "the last sector is written whole";
  std::filesystem::resize_file(path, 512);
  d.lba28(3, 1);
  d.command(0x20);
  EXPECT_EQ(d.read_all(), std::string(512, '\0'));
}

}  // namespace
}  // namespace gnomon::vmm
