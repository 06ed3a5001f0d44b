// SPDX-License-Identifier: Apache-2.0
//
// Lines without a record take no memory, however many there are.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/traces/reading.h"
#include "traces/formats/all.h"

namespace gnomon {
namespace {

constexpr uint64_t kBlankLines = 5'000'000;

/// `front`, very many blank lines, `back`. Looks how much memory is in use whenever it is asked.
class BlankLines final : public ByteSource {
 public:
  BlankLines(std::string front, std::string back, size_t& grown)
      : front_(std::move(front)), back_(std::move(back)), grown_(grown) {}

  absl::StatusOr<size_t> read(absl::Span<char> to) override {
    const size_t now = in_use();
    if (at_ == 0) before_ = now;
    grown_ = std::max(grown_, now - std::min(now, before_));
    size_t n = 0;
    for (; n < to.size() && at_ < front_.size() + kBlankLines + back_.size(); ++n, ++at_) {
      const uint64_t behind = at_ - std::min<uint64_t>(at_, front_.size() + kBlankLines);
      to[n] = at_ < front_.size()                 ? front_[at_]
              : at_ < front_.size() + kBlankLines ? '\n'
                                                  : back_[behind];
    }
    return n;
  }
  absl::string_view name() const override { return "trace"; }

 private:
  /// Sanitizers have an allocator of their own, which says 0.
  static size_t in_use() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
  }

  std::string front_, back_;
  size_t& grown_;
  size_t before_ = 0;
  uint64_t at_ = 0;
};

TEST(LineMemory, BlankLinesTakeNone) {
  const struct {
    const char* name;
    std::string header, record;
    std::unique_ptr<TraceReader> (*make)(std::unique_ptr<ByteSource>);
  } cases[] = {
      {"csv", "op,address,size\n", "L,0x1000,8\n",
       [](std::unique_ptr<ByteSource> source) {
         return make_csv_reader(std::move(source), ReadMode::kStrict);
       }},
      {"lackey", "==1== Lackey\n", " L 00001000,8\n",
       [](std::unique_ptr<ByteSource> source) {
         return make_lackey_reader(std::move(source), ReadMode::kStrict, size_t{1} << 20);
       }},
  };
  for (const auto& [name, header, record, make] : cases) {
    size_t grown = 0;
    const auto reader = make(std::make_unique<BlankLines>(header + record, record, grown));
    std::vector<TraceRecord> records(1000);
    std::vector<TraceEvent> events;
    const absl::StatusOr<size_t> got = reader->read(absl::MakeSpan(records), events);
    ASSERT_TRUE(got.ok()) << got.status();
    ASSERT_EQ(*got, 2u) << name;
    EXPECT_EQ(place_in(reader->lines(), 0), "line 2") << name;
    EXPECT_EQ(place_in(reader->lines(), 1), absl::StrCat("line ", 3 + kBlankLines)) << name;
    EXPECT_LT(grown, size_t{1} << 20) << name;
  }
}

}  // namespace
}  // namespace gnomon
