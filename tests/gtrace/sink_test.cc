// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/gtrace/support.h"
#include "tests/support/temporary_directory.h"

namespace gnomon::gtrace_test {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// An empty directory.
class FileSinkTest : public ::testing::Test {
 protected:
  std::string path(absl::string_view name) const { return directory_.path(name); }
  size_t files() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(directory_.path()), fs::directory_iterator()));
  }

  test_support::TemporaryDirectory directory_;
};

TEST_F(FileSinkTest, AppearsWhenFinished) {
  auto sink = create_sink(path("a")).value();
  EXPECT_TRUE(sink->write("one ").ok());
  EXPECT_TRUE(sink->write("two").ok());
  EXPECT_FALSE(fs::exists(path("a")));
  EXPECT_TRUE(sink->finish().ok());
  EXPECT_EQ(contents(path("a")), "one two");
  EXPECT_TRUE(sink->finish().ok());
  sink.reset();
  EXPECT_EQ(contents(path("a")), "one two");
  EXPECT_EQ(files(), 1u);
}

TEST_F(FileSinkTest, LeavesNothingWhenNotFinished) {
  std::ofstream(path("a")) << "before";
  auto sink = create_sink(path("a")).value();
  EXPECT_TRUE(sink->write("after").ok());
  sink.reset();
  EXPECT_EQ(contents(path("a")), "before");
  EXPECT_EQ(files(), 1u);
}

TEST_F(FileSinkTest, TwoAtOnceDoNotMix) {
  auto a = create_sink(path("a")).value();
  auto b = create_sink(path("a")).value();
  EXPECT_TRUE(a->write("first").ok() && b->write("second").ok());
  EXPECT_TRUE(a->finish().ok() && b->finish().ok());
  EXPECT_EQ(contents(path("a")), "second");
}

TEST_F(FileSinkTest, KeepsPermissionsAndLinks) {
  std::ofstream(path("a")) << "before";
  ASSERT_EQ(chmod(path("a").c_str(), 0640), 0);
  fs::create_symlink("a", path("link"));
  auto sink = create_sink(path("link")).value();
  EXPECT_TRUE(sink->write("after").ok() && sink->finish().ok());
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(contents(path("a")), "after");
  struct stat info;
  ASSERT_EQ(stat(path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640u);
}

TEST_F(FileSinkTest, PipesAreWrittenDirectly) {
  const std::string pipe = path("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { got = contents(pipe); });
  {
    auto sink = create_sink(pipe).value();
    EXPECT_TRUE(sink->write("through").ok() && sink->finish().ok());
  }
  reader.join();
  EXPECT_EQ(got, "through");
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST_F(FileSinkTest, ErrorsNameTheFileAndTheReason) {
  const absl::Status missing = create_sink(path("no/such")).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr(path("no/such")));
  EXPECT_THAT(std::string(missing.message()), HasSubstr("No such file or directory"));
  const absl::Status directory = create_sink(directory_.path().string()).status();
  EXPECT_THAT(std::string(directory.message()), HasSubstr("Is a directory"));
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  auto full = create_sink("/dev/full").value();
  const absl::Status status = full->write("x");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/dev/full: cannot write: No space left"));
}

TEST_F(FileSinkTest, AWriterReportsAFullDiskAndStops) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  const auto writer = create_gtrace_writer(create_sink("/dev/full").value(), {});
  EXPECT_EQ(writer.status().code(), absl::StatusCode::kResourceExhausted);

  class Small final : public ByteSink {
   public:
    absl::Status write(absl::string_view bytes) override {
      if (bytes.size() > room_) return absl::ResourceExhaustedError("full");
      room_ -= bytes.size();
      return absl::OkStatus();
    }
    absl::Status finish() override { return absl::InternalError("must not be finished"); }
    absl::string_view name() const override { return "small"; }

   private:
    size_t room_ = 2000;
  };
  auto small = create_gtrace_writer(std::make_unique<Small>(), {}, {.block_records = 100}).value();
  const TraceBatch batch = small_program(1, 5000);
  EXPECT_EQ(small->write(batch.records, batch.events), absl::ResourceExhaustedError("full"));
  EXPECT_EQ(small->write({}, {}), absl::ResourceExhaustedError("full"));
  EXPECT_EQ(small->finish(), absl::ResourceExhaustedError("full"));
  EXPECT_LE(small->bytes_written(), 2000u);
}

/// A file on a disk that becomes full: the last write goes out in part.
class FullFile final : public ByteSink {
 public:
  FullFile(const std::string& path, size_t room) : file_(create_sink(path).value()), room_(room) {}
  absl::Status write(absl::string_view bytes) override {
    const bool fits = bytes.size() <= room_;
    const absl::Status written = file_->write(bytes.substr(0, room_));
    room_ -= std::min(room_, bytes.size());
    return fits ? written : absl::ResourceExhaustedError("full");
  }
  absl::Status finish() override { return file_->finish(); }
  absl::StatusOr<std::string> keep(uint64_t bytes) override { return file_->keep(bytes); }
  absl::string_view name() const override { return file_->name(); }

 private:
  std::unique_ptr<ByteSink> file_;
  size_t room_;
};

TEST_F(FileSinkTest, BlocksThatAreWholeCanBeSalvaged) {
  std::ofstream(path("a")) << "before";
  const TraceBatch batch = small_program(1, 5000);
  std::string first_kept;
  for (const size_t room : {2000, 2001, 3000}) {
    SCOPED_TRACE(room);
    auto writer = create_gtrace_writer(std::make_unique<FullFile>(path("a"), room), {},
                                       {.block_records = 100})
                      .value();
    EXPECT_EQ(writer->salvage().status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_FALSE(writer->write(batch.records, batch.events).ok());
    EXPECT_FALSE(writer->finish().ok());
    const absl::StatusOr<SalvagedTrace> left = writer->salvage();
    ASSERT_TRUE(left.ok()) << left.status();
    writer.reset();
    EXPECT_GT(left->references, 0u);
    // A salvaged one that is there already stays.
    EXPECT_EQ(left->path == path("a.part"), first_kept.empty()) << left->path;
    first_kept = path("a.part");

    std::vector<TraceRecord> records(4096);
    std::vector<TraceEvent> events;
    const auto reader = make_gtrace_reader(open_bytes(left->path).value(), ReadMode::kStrict);
    uint64_t references = 0;
    size_t at = 0;
    for (;;) {
      const absl::StatusOr<size_t> got = reader->read(absl::MakeSpan(records), events);
      ASSERT_TRUE(got.ok()) << got.status();
      if (*got == 0) break;
      for (const TraceRecord& r : absl::MakeConstSpan(records).first(*got)) {
        references += references_of(r.kind);
        EXPECT_EQ(r.kind, batch.records[at++].kind);
      }
    }
    EXPECT_EQ(references, left->references);
    EXPECT_THAT(reader->stats().warning, HasSubstr("it ends without its index"));
  }
  EXPECT_EQ(contents(path("a")), "before");
}

TEST_F(FileSinkTest, NothingIsSalvagedWithoutAWholeBlock) {
  const TraceBatch batch = small_program(1, 5000);
  auto writer =
      create_gtrace_writer(std::make_unique<FullFile>(path("a"), 100), {}, {.block_records = 5000})
          .value();
  EXPECT_FALSE(writer->write(batch.records, batch.events).ok() && writer->finish().ok());
  EXPECT_FALSE(writer->salvage().ok());
  writer.reset();
  EXPECT_EQ(files(), 0u);
}

}  // namespace
}  // namespace gnomon::gtrace_test
