// SPDX-License-Identifier: Apache-2.0
//
// What is written into a .zst file, and what becomes of errors below all compressing sinks.
#include "traces/io/compressed_sink.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_format.h"
#include "gnomon/traces/formats.h"
#include "gnomon/traces/lackey.h"
#include "tests/scenario/random.h"
#include "tests/traces/reading.h"
#include "traces/formats/all.h"

namespace gnomon {
namespace {

/// Handed over at most `piece` bytes at a time.
std::string zstd(absl::string_view bytes, size_t piece = ~size_t{0}) {
  std::string packed;
  auto sink = compress_into(std::make_unique<KeptBytes>(packed), ".zst");
  EXPECT_TRUE(sink.ok()) << sink.status();
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    EXPECT_TRUE((*sink)->write(bytes.substr(0, piece)).ok());
  }
  EXPECT_TRUE((*sink)->finish().ok());
  EXPECT_TRUE((*sink)->finish().ok());
  return packed;
}

Reading read_packed(absl::string_view packed) {
  Reading refused;
  auto source = decompress(std::make_unique<MemoryBytes>(packed, "file"));
  refused.status = source.status();
  if (!source.ok()) return refused;
  return read_to_end(*make_lackey_reader(*std::move(source), ReadMode::kStrict, kLackeyBuffer));
}

std::string lackey_text(int lines) {
  scenario::Random random(7);
  std::string text;
  for (int i = 0; i < lines; ++i)
    absl::StrAppendFormat(&text, " L %08x,8\n", random.below(1u << 31));
  return text;
}

TEST(ZstdSink, NoFlippedBitGoesUnnoticed) {
  const std::string packed = zstd(lackey_text(40));
  const Reading whole = read_packed(packed);
  ASSERT_TRUE(whole.status.ok()) << whole.status;
  ASSERT_EQ(whole.records.size(), 40u);
  size_t without_meaning = 0;  // in headers: the size of the window, codes that nothing uses
  for (size_t bit = 0; bit < 8 * packed.size(); ++bit) {
    std::string damaged = packed;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const Reading r = read_packed(damaged);
    if (!r.status.ok()) continue;
    EXPECT_EQ(r.records, whole.records) << "bit " << bit;
    ++without_meaning;
  }
  EXPECT_LT(without_meaning, 8 * packed.size() / 20);
}

TEST(ZstdSink, PiecesAndNothing) {
  const std::string text = lackey_text(100'000);
  for (const size_t piece : {size_t{1} << 10, size_t{300'001}, ~size_t{0}}) {
    const std::string packed = zstd(text, piece);
    EXPECT_LT(packed.size(), text.size());
    EXPECT_EQ(read_packed(packed).records.size(), 100'000u) << piece;
  }
  auto empty = decompress(std::make_unique<MemoryBytes>(zstd(""), "file"));
  ASSERT_TRUE(empty.ok()) << empty.status();
  char room[16];
  EXPECT_EQ((*empty)->read(absl::MakeSpan(room)).value_or(1), 0u);
}

/// Takes so many bytes and no more.
class FullDisk final : public ByteSink {
 public:
  explicit FullDisk(size_t room) : room_(room) {}
  absl::Status write(absl::string_view bytes) override {
    if (bytes.size() > room_) return absl::ResourceExhaustedError("the disk is full");
    room_ -= bytes.size();
    return absl::OkStatus();
  }
  absl::Status finish() override {
    ADD_FAILURE() << "a file that is not whole";
    return absl::OkStatus();
  }
  absl::string_view name() const override { return "disk"; }

 private:
  size_t room_;
};

TEST(CompressedSink, AFullDiskStaysAnError) {
  const absl::Status full = absl::ResourceExhaustedError("the disk is full");
  const std::string text = lackey_text(20'000);
  for (const absl::string_view suffix : {".gz", ".xz", ".zst", ".bz2"}) {
    for (const size_t room : {0, 40'000}) {
      auto sink = compress_into(std::make_unique<FullDisk>(room), suffix);
      if (sink.status() == full) continue;  // of the file's first bytes
      ASSERT_TRUE(sink.ok()) << sink.status();
      const absl::Status written = (*sink)->write(text);
      EXPECT_TRUE(written.ok() || written == full) << suffix << ": " << written;
      EXPECT_EQ((*sink)->finish(), full) << suffix;
      EXPECT_EQ((*sink)->finish(), full) << suffix;
    }
  }
}

}  // namespace
}  // namespace gnomon
