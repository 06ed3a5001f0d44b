// SPDX-License-Identifier: Apache-2.0
#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gnomon/traces/formats.h"
#include "gnomon/traces/gtrace.h"
#include "gnomon/traces/lackey.h"
#include "tests/scenario/random.h"
#include "tests/traces/reading.h"

namespace gnomon {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// What libarchive's writer makes of these members (one, except for zip).
std::string pack(const std::vector<std::pair<std::string, std::string>>& members, int filter) {
  std::string packed(size_t{4} << 20, '\0');
  size_t used = 0;
  archive* const a = archive_write_new();
  if (filter == ARCHIVE_FILTER_NONE) {
    archive_write_set_format_zip(a);
  } else {
    archive_write_set_format_raw(a);
    archive_write_add_filter(a, filter);
  }
  archive_write_set_bytes_in_last_block(a, 1);
  EXPECT_EQ(archive_write_open_memory(a, packed.data(), packed.size(), &used), ARCHIVE_OK);
  for (const auto& [name, content] : members) {
    archive_entry* const entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    const bool folder = name.back() == '/';
    archive_entry_set_filetype(entry, folder ? AE_IFDIR : AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    if (!folder) archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    EXPECT_EQ(archive_write_header(a, entry), ARCHIVE_OK) << archive_error_string(a);
    if (!folder) archive_write_data(a, content.data(), content.size());
    archive_entry_free(entry);
  }
  EXPECT_EQ(archive_write_close(a), ARCHIVE_OK) << archive_error_string(a);
  archive_write_free(a);
  packed.resize(used);
  return packed;
}

struct Unpacked {
  std::string bytes;
  absl::Status status;
  std::optional<uint64_t> total;
  std::optional<uint64_t> taken;
};
Unpacked unpack(absl::string_view packed, size_t piece = ~size_t{0}, size_t at_once = 10000) {
  Unpacked all;
  auto source = decompress(std::make_unique<MemoryBytes>(packed, "file", piece));
  all.status = source.status();
  if (!source.ok()) return all;
  all.total = (*source)->total_bytes();
  std::string some(at_once, '\0');
  while (true) {
    const absl::StatusOr<size_t> got = (*source)->read(absl::MakeSpan(some));
    all.status = got.status();
    if (!got.ok() || *got == 0) break;
    all.bytes.append(some, 0, *got);
  }
  if (all.status.ok()) EXPECT_EQ((*source)->read(absl::MakeSpan(some)).value_or(1), 0u);
  if (!all.status.ok()) EXPECT_EQ((*source)->read(absl::MakeSpan(some)).status(), all.status);
  all.taken = (*source)->stored_bytes_taken();
  return all;
}

std::string sample(size_t bytes) {
  scenario::Random random(1);
  std::string text;
  while (text.size() < bytes)
    absl::StrAppend(&text, " L ", absl::Hex(random.below(1 << 20)), ",8\n");
  text.resize(bytes);
  return text;
}

struct Kind {
  absl::string_view name;
  int filter;
};
constexpr Kind kKinds[] = {{"gzip", ARCHIVE_FILTER_GZIP},
                           {"xz", ARCHIVE_FILTER_XZ},
                           {"zstd", ARCHIVE_FILTER_ZSTD},
                           {"bzip2", ARCHIVE_FILTER_BZIP2}};

TEST(Decompress, UnpacksEachKind) {
  const std::string text = sample(300000);
  for (const Kind& kind : kKinds) {
    const std::string packed = pack({{"x", text}}, kind.filter);
    ASSERT_LT(packed.size(), text.size()) << kind.name;
    for (const size_t piece : {~size_t{0}, size_t{1000}, size_t{7}}) {
      const Unpacked r = unpack(packed, piece);
      EXPECT_TRUE(r.status.ok()) << r.status;
      EXPECT_TRUE(r.bytes == text) << kind.name;
      EXPECT_EQ(r.total, packed.size());
      EXPECT_EQ(r.taken, packed.size()) << kind.name;
    }
    EXPECT_EQ(unpack(packed, ~size_t{0}, 3).bytes.size(), text.size());
  }
}

TEST(Decompress, UnpacksFilesThatWereAppended) {
  const std::string text = sample(1000);
  for (const Kind& kind : kKinds) {
    const std::string packed = pack({{"x", text}}, kind.filter);
    EXPECT_EQ(unpack(packed + packed).bytes, text + text) << kind.name;
  }
}

TEST(Decompress, AnEmptyFileIsEmpty) {
  for (const Kind& kind : kKinds) {
    const Unpacked r = unpack(pack({{"x", ""}}, kind.filter));
    EXPECT_TRUE(r.status.ok()) << kind.name << r.status;
    EXPECT_EQ(r.bytes, "");
  }
  EXPECT_TRUE(unpack("").status.ok());
  EXPECT_TRUE(unpack(pack({}, ARCHIVE_FILTER_NONE)).status.ok());
}

TEST(Decompress, JoinsTheMembersOfAZipArchive) {
  const std::string text = sample(100000);
  const std::string packed = pack({{"chunks/", ""},
                                   {"chunks/0000", text.substr(0, 33333)},
                                   {"chunks/0001", ""},
                                   {"chunks/0002", text.substr(33333)}},
                                  ARCHIVE_FILTER_NONE);
  for (const size_t piece : {~size_t{0}, size_t{1000}, size_t{1}}) {
    const Unpacked r = unpack(packed, piece);
    EXPECT_TRUE(r.status.ok()) << r.status;
    EXPECT_TRUE(r.bytes == text);
    EXPECT_EQ(r.total, packed.size());
  }
}

TEST(Decompress, LeavesOtherBytesAlone) {
  for (const absl::string_view text :
       {"", "I", "I  1000,2\n", "BZh is text", "PK\x03", "\x1f\x8b", "7zXZ"}) {
    for (const size_t piece : {1, 3, 1000}) {
      const Unpacked r = unpack(text, piece);
      EXPECT_TRUE(r.status.ok());
      EXPECT_EQ(r.bytes, text);
      EXPECT_EQ(r.taken, std::nullopt);
    }
  }
  const std::string text = sample(100000);
  EXPECT_TRUE(unpack(text, 100).bytes == text);
}

TEST(Decompress, OneLayerOnly) {
  const std::string inner = pack({{"x", "text"}}, ARCHIVE_FILTER_GZIP);
  for (const Kind& kind : kKinds) {
    EXPECT_TRUE(unpack(pack({{"x", inner}}, kind.filter)).bytes == inner) << kind.name;
  }
  EXPECT_TRUE(unpack(pack({{"x", inner}}, ARCHIVE_FILTER_NONE)).bytes == inner);
}

TEST(Decompress, ACutFileIsAnErrorWhereverItIsCut) {
  const std::string text = sample(2000);
  for (const Kind& kind : kKinds) {
    const std::string packed = pack({{"x", text}}, kind.filter);
    // Up to 10 bytes, what is left need not show what it was.
    for (size_t length = 10; length < packed.size(); ++length) {
      const Unpacked r = unpack(absl::string_view(packed).substr(0, length));
      ASSERT_EQ(r.status.code(), absl::StatusCode::kDataLoss)
          << kind.name << " cut at " << length << " of " << packed.size();
      ASSERT_THAT(std::string(r.status.message()),
                  absl::StrCat("file: byte ", length, ": the ", kind.name, " data are cut off"));
      ASSERT_TRUE(absl::string_view(text).substr(0, r.bytes.size()) == r.bytes);
    }
  }
  const std::string packed =
      pack({{"a", text.substr(0, 1000)}, {"b", text.substr(1000)}}, ARCHIVE_FILTER_NONE);
  const size_t directory = packed.find("PK\x01\x02");
  for (size_t length = 10; length < directory; ++length) {
    const Unpacked r = unpack(absl::string_view(packed).substr(0, length));
    ASSERT_EQ(r.status.code(), absl::StatusCode::kDataLoss) << "zip cut at " << length;
    ASSERT_THAT(std::string(r.status.message()), absl::StrCat("file: byte ", length, ": the zip data are cut off"));
  }
}

TEST(Decompress, EverythingBeforeTheDamageComesOut) {
  // Less than the 64K that come in at once, so that nothing but the decoder tells them apart.
  const std::string first = sample(20000), second = sample(30000);
  for (const Kind& kind : kKinds) {
    SCOPED_TRACE(kind.name);
    const std::string a = pack({{"x", first}}, kind.filter), b = pack({{"x", second}}, kind.filter);
    for (const size_t length : {size_t{12}, b.size() / 2, b.size() - 1}) {
      const Unpacked cut = unpack(absl::StrCat(a, b.substr(0, length)));
      EXPECT_EQ(cut.status.code(), absl::StatusCode::kDataLoss) << cut.status;
      ASSERT_GE(cut.bytes.size(), first.size());
      EXPECT_TRUE(absl::StrCat(first, second).substr(0, cut.bytes.size()) == cut.bytes);
    }
    std::string damaged = absl::StrCat(a, b);
    damaged[a.size() + b.size() / 2] ^= 0x55;
    const Unpacked flipped = unpack(damaged);
    EXPECT_EQ(flipped.status.code(), absl::StatusCode::kDataLoss) << flipped.status;
    EXPECT_THAT(std::string(flipped.status.message()), ::testing::EndsWith(" data are damaged"));
    EXPECT_GE(flipped.bytes.size(), first.size());
  }
  // Only the check of the whole is missing: all data are there.
  const std::string gzip = pack({{"x", second}}, ARCHIVE_FILTER_GZIP);
  const Unpacked all = unpack(gzip.substr(0, gzip.size() - 8));
  EXPECT_TRUE(all.bytes == second);
  EXPECT_EQ(all.status.code(), absl::StatusCode::kDataLoss);
  const std::string zip = pack({{"a", first}, {"b", second}}, ARCHIVE_FILTER_NONE);
  const Unpacked half = unpack(zip.substr(0, zip.size() * 2 / 3));
  EXPECT_GE(half.bytes.size(), first.size());
  EXPECT_EQ(half.status.code(), absl::StatusCode::kDataLoss);
}

/// Reads a trace, compressed with gzip and cut there.
Reading read_cut(MakeReader make, absl::string_view text, size_t cut_by, ReadMode mode) {
  const std::string packed = pack({{"x", std::string(text)}}, ARCHIVE_FILTER_GZIP);
  auto source =
      decompress(std::make_unique<MemoryBytes>(absl::string_view(packed).substr(0, packed.size() - cut_by), "file"));
  EXPECT_TRUE(source.ok()) << source.status();
  return read_to_end(*make(*std::move(source), mode));
}

TEST(Decompress, ReadersUseWhatComesBeforeTheDamage) {
  std::string lackey, csv = "op,address,size\n";
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&lackey, " L ", absl::Hex(0x1000 + i), ",80\n");
    absl::StrAppend(&csv, "L,", 0x1000 + i, ",80\n");
  }
  const std::pair<MakeReader, std::string> all[] = {
      {[](std::unique_ptr<ByteSource> s, ReadMode m) { return make_lackey_reader(std::move(s), m); }, lackey},
      {find_trace_format("csv").value()->read, csv},
  };
  for (const auto& [make, text] : all) {
    for (const size_t cut_by : {1, 8, 9, 50, 500}) {
      const Reading strict = read_cut(make, text, cut_by, ReadMode::kStrict);
      EXPECT_EQ(strict.status.code(), absl::StatusCode::kDataLoss) << strict.status;
      EXPECT_THAT(std::string(strict.status.message()),
                  ::testing::EndsWith(": the gzip data are cut off; --lenient uses what comes before"));
      const Reading lenient = read_cut(make, text, cut_by, ReadMode::kLenient);
      EXPECT_TRUE(lenient.status.ok()) << lenient.status;
      EXPECT_EQ(lenient.stats.left_out, 1u);
      EXPECT_THAT(lenient.stats.first_fault, ::testing::EndsWith(": the gzip data are cut off"));
      EXPECT_EQ(lenient.records.size(), strict.records.size());
      // Half a line is not taken for a whole one.
      for (const TraceRecord& r : lenient.records) ASSERT_EQ(r.size, 80);
      if (cut_by <= 8) EXPECT_EQ(lenient.records.size(), 1000u);
      EXPECT_GT(lenient.records.size(), 100u);
    }
  }
}

TEST(Decompress, AGtraceWithinDamagedCompression) {
  auto sink = std::make_unique<StringSink>();
  const StringSink& bytes = *sink;
  GtraceOptions options;
  options.block_records = 1000;
  auto writer = create_gtrace_writer(std::move(sink), {}, options).value();
  scenario::Random random(3);
  for (int i = 0; i < 20; ++i) {
    std::vector<TraceRecord> some;
    for (int k = 0; k < 1000; ++k) some.push_back(load(random.below(1 << 30), 8));
    ASSERT_TRUE(writer->write(some, {}).ok());
  }
  ASSERT_TRUE(writer->finish().ok());
  const Reading strict = read_cut(&make_gtrace_reader, bytes.bytes(), 3000, ReadMode::kStrict);
  EXPECT_EQ(strict.status.code(), absl::StatusCode::kDataLoss) << strict.status;
  EXPECT_THAT(std::string(strict.status.message()), HasSubstr("cut off; --lenient uses what comes before"));
  const Reading lenient = read_cut(&make_gtrace_reader, bytes.bytes(), 3000, ReadMode::kLenient);
  EXPECT_TRUE(lenient.status.ok()) << lenient.status;
  EXPECT_EQ(lenient.stats.left_out, 1u);
  EXPECT_THAT(lenient.stats.first_fault, HasSubstr("the gzip data are cut off"));
  EXPECT_GT(lenient.records.size(), 10'000u);
  EXPECT_LT(lenient.records.size(), 20'000u);
}

TEST(Decompress, FlippedBitsNeverDoMoreThanFail) {
  const std::string text = sample(2000);
  for (const Kind& kind :
       {kKinds[0], kKinds[1], kKinds[2], kKinds[3], Kind{"zip", ARCHIVE_FILTER_NONE}}) {
    const std::string packed = pack({{"x", text}}, kind.filter);
    size_t failed = 0;
    for (size_t i = 10; i < packed.size(); ++i) {
      std::string damaged = packed;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << i % 8));
      const Unpacked r = unpack(damaged);
      if (!r.status.ok()) ++failed;
      ASSERT_LT(r.bytes.size(), 10000000u);
    }
    EXPECT_GT(failed, packed.size() / 8) << kind.name;
  }
}

class FailingBytes final : public ByteSource {
 public:
  explicit FailingBytes(absl::string_view front) : front_(front) {}
  absl::StatusOr<size_t> read(absl::Span<char> to) override {
    if (front_.empty()) return absl::UnavailableError("file: cannot read: broken");
    const size_t n = std::min(to.size(), front_.size());
    std::copy_n(front_.data(), n, to.data());
    front_.remove_prefix(n);
    return n;
  }
  absl::string_view name() const override { return "file"; }

 private:
  absl::string_view front_;
};

TEST(Decompress, PassesOnWhatTheSourceReports) {
  const std::string packed = pack({{"x", sample(2000)}}, ARCHIVE_FILTER_GZIP);
  for (const size_t length : {size_t{0}, size_t{100}, packed.size() - 1}) {
    auto source =
        decompress(std::make_unique<FailingBytes>(absl::string_view(packed).substr(0, length)));
    absl::Status status = source.status();
    std::string some(10000, '\0');
    while (status.ok()) {
      const auto got = (*source)->read(absl::MakeSpan(some));
      status = got.status();
      if (got.ok()) ASSERT_GT(*got, 0u);
    }
    EXPECT_EQ(status, absl::UnavailableError("file: cannot read: broken")) << length;
  }
}

TEST(OpenBytes, SaysWhatIsMissing) {
  const auto source = open_bytes("/nowhere/at/all");
  EXPECT_EQ(source.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(source.status().message()), HasSubstr("/nowhere/at/all: cannot open"));
}

TEST(OpenBytes, ADirectoryCannotBeRead) {
  const auto source = open_bytes("/");
  ASSERT_TRUE(source.ok());
  char byte;
  EXPECT_EQ((*source)->read(absl::MakeSpan(&byte, 1)).status().code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace gnomon
