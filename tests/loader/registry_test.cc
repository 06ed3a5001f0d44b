// SPDX-License-Identifier: Apache-2.0
//
// Images as files: recognition, compression, and what cannot be read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "gnomon/traces/trace_writer.h"
#include "tests/guest_images/images.h"
#include "tests/guest_images/ram.h"
#include "tests/loader/fake_board.h"
#include "tests/support/temporary_directory.h"

namespace gnomon::vmm {
namespace {

using testing::HasSubstr;

std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

class LoadGuest : public testing::Test {
 protected:
  absl::StatusOr<LoadedGuest> load_file(const std::string& path, absl::string_view format = "") {
    ram_ = std::make_unique<Ram>();
    LoadOptions options;
    options.image = path;
    options.format = std::string(format);
    return load_guest(options, FakeBoard(ram_->map()), ram_->memory());
  }
  std::string put(const std::vector<uint8_t>& bytes) {
    return directory_.put("file", text_of(bytes));
  }

  test_support::TemporaryDirectory directory_;
  std::unique_ptr<Ram> ram_;
};

TEST_F(LoadGuest, EachFormatIsRecognizedByContent) {
  for (const NamedImage& image : good_images()) {
    const auto guest = load_file(put(image.bytes));
    if (image.format == "raw") {
      EXPECT_THAT(guest.status().message(),
                  HasSubstr("byte 0: no kind of guest image that is known"));
      EXPECT_THAT(guest.status().message(), HasSubstr("linux, linux64, multiboot, elf, boot, raw"));
      continue;
    }
    ASSERT_TRUE(guest.ok()) << image.format << ": " << guest.status();
    EXPECT_EQ(guest->format, image.format == "linux64" ? "linux" : image.format);
  }
}

TEST_F(LoadGuest, ANamedFormatIsTaken) {
  for (const NamedImage& image : good_images()) {
    const std::string path = put(image.bytes);
    const auto guest = load_file(path, image.format);
    ASSERT_TRUE(guest.ok()) << image.format << ": " << guest.status();
    EXPECT_EQ(guest->format, image.format);
    EXPECT_TRUE(load_file(path, "raw").ok());
  }
  EXPECT_THAT(load_file(put({1}), "pe").status().message(),
              HasSubstr("no guest format is called pe; there are linux,"));
  EXPECT_THAT(load_file(put({1}), "elf").status().message(), HasSubstr("byte 0: no ELF magic"));
}

TEST_F(LoadGuest, CompressedImagesAreUnpacked) {
  for (const absl::string_view suffix : {".gz", ".xz", ".zst"}) {
    const std::string path = directory_.path(absl::StrCat("packed", suffix));
    auto sink = create_sink(path);  // packs, by the name's end
    ASSERT_TRUE(sink.ok()) << sink.status();
    ASSERT_TRUE((*sink)->write(text_of(multiboot_elf_image())).ok());
    ASSERT_TRUE((*sink)->finish().ok());
    const auto guest = load_file(path);
    ASSERT_TRUE(guest.ok()) << suffix << guest.status();
    EXPECT_EQ(guest->format, "multiboot");
    const auto raw = load_file(path, "raw");
    ASSERT_TRUE(raw.ok());
    EXPECT_NE(ram_->number<uint32_t>(0x10'0000), 0x464c457fu) << "raw is not unpacked";
  }
}

TEST_F(LoadGuest, ALargeDiskIsNotRead) {
  const std::string path = put(boot_sector_image());
  ASSERT_EQ(truncate(path.c_str(), off_t{1} << 40), 0);
  const auto guest = load_file(path);
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(guest->format, "boot");
}

TEST_F(LoadGuest, WhatCannotBeReadIsSaid) {
  EXPECT_EQ(load_file(directory_.path("none")).status().code(), absl::StatusCode::kNotFound);
  const auto folder = load_file(directory_.path(""));
  EXPECT_THAT(folder.status().message(), HasSubstr("cannot read"));
  EXPECT_THAT(load_file(put({})).status().message(), HasSubstr("no kind of guest image"));
  EXPECT_THAT(load_file(put({}), "raw").status().message(), HasSubstr("an empty file"));
}

TEST_F(LoadGuest, NamesAreDistinct) {
  std::set<absl::string_view> names;
  for (const LoaderInfo& l : loaders()) {
    EXPECT_TRUE(names.insert(l.name).second) << l.name;
    EXPECT_FALSE(l.description.empty());
  }
}

}  // namespace
}  // namespace gnomon::vmm
