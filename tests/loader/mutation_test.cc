// SPDX-License-Identifier: Apache-2.0
//
// Good images with some of their bytes changed: each ends in a clear error or in a sound guest.
#include <gtest/gtest.h>

#include <string>

#include "tests/guest_images/check_load.h"
#include "tests/guest_images/images.h"
#include "tests/scenario/random.h"
#include "tests/support/scale.h"

namespace gnomon::vmm {
namespace {

using scenario::Random;

// Numbers at which arithmetic goes wrong, and those that headers of small images are made of.
constexpr uint64_t kEdges[] = {0,           1,           3,           0xff,        0x1000,
                               0x9'fc00,    0xa'0000,    0xf'ffff,    0x10'0000,   0x200'0000,
                               0x7fff'ffff, 0x8000'0000, 0xffff'f000, 0xffff'ffff, 0x1'0000'0000,
                               1ull << 52,  1ull << 63,  ~0ull - 15,  ~0ull};

// Where the numbers are: in the setup header of a bzImage, at the front of others.
size_t place_to_change(const std::vector<uint8_t>& image, Random& random) {
  constexpr size_t kSetup = 0x1f1, kSetupBytes = 0x80;
  if (random.percent(20)) return random.below(image.size());
  if (image.size() > 1024) return kSetup + random.below(kSetupBytes);
  return random.below(std::min<size_t>(image.size(), 0x100));
}

void mutate(std::vector<uint8_t>& image, Random& random) {
  const uint64_t changes = 1 + random.below(3);
  for (uint64_t i = 0; i < changes; ++i) {
    if (image.empty()) return;
    const size_t at = place_to_change(image, random);
    switch (random.below(4)) {
      case 0: image[at] = static_cast<uint8_t>(random.next()); break;
      case 1: image[at] ^= static_cast<uint8_t>(1u << random.below(8)); break;
      case 2: {
        const size_t width = size_t{1} << random.below(4);
        const size_t aligned = at & ~(width - 1);
        const uint64_t value = kEdges[random.below(std::size(kEdges))] - random.below(2);
        for (size_t b = 0; b < width && aligned + b < image.size(); ++b) {
          image[aligned + b] = static_cast<uint8_t>(value >> (8 * b));
        }
        break;
      }
      default:
        if (random.percent(10)) image.resize(at);
    }
  }
}

class ChangedImages : public testing::TestWithParam<size_t> {};

TEST_P(ChangedImages, EndInAStatusOrASoundGuest) {
  const NamedImage original = good_images()[GetParam()];
  const unsigned rounds = by_scale(200u, 2000u, 2000u);
  unsigned loaded = 0;
  for (unsigned seed = 0; seed < rounds; ++seed) {
    Random random((uint64_t{seed} << 8) + GetParam());
    std::vector<uint8_t> image = original.bytes;
    mutate(image, random);
    Ram ram(20_MiB);
    ASSERT_EQ(check_load(original.format, image, ram), "") << original.format << ", seed " << seed;
    loaded += ram.backed_frames().empty() ? 0 : 1;
  }
  // Both outcomes are common, or the test has lost its point.
  EXPECT_GT(loaded, rounds / 10);
  if (original.format != "raw" && original.format != "boot") EXPECT_LT(loaded, rounds * 9 / 10);
}

INSTANTIATE_TEST_SUITE_P(All, ChangedImages, testing::Range(size_t{0}, good_images().size()));

TEST(Loaders, ChangedImagesAsEveryOtherFormat) {
  const auto images = good_images();
  for (const LoaderInfo& loader : loaders()) {
    for (uint64_t seed = 0; seed < by_scale(50u, 500u, 500u); ++seed) {
      Random random(seed);
      std::vector<uint8_t> image = random.pick(images).bytes;
      if (random.percent(70)) mutate(image, random);
      Ram ram(20_MiB);
      EXPECT_EQ(check_load(loader.name, image, ram), "") << loader.name << ", seed " << seed;
    }
  }
}

}  // namespace
}  // namespace gnomon::vmm
