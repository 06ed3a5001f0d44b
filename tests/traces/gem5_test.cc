// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "tests/traces/reading.h"
#include "traces/formats/all.h"

namespace gnomon {
namespace {

using ::testing::ElementsAre;

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string number(uint32_t field, uint64_t value) { return varint(field << 3) + varint(value); }
std::string text(uint32_t field, absl::string_view value) {
  return varint(field << 3 | 2) + varint(value.size()) + std::string(value);
}
std::string message(const std::string& body) { return varint(body.size()) + body; }

/// Magic and header as gem5 writes them.
std::string front() {
  return "gem5" + message(text(1, "system.monitor") + number(2, 0) + number(3, 1000000000000) +
                          text(4, number(1, 0) + text(2, "writebacks")));
}
std::string packet(uint32_t command, uint64_t address, uint32_t size,
                   std::optional<uint32_t> flags = std::nullopt) {
  std::string body = number(1, 123456) + number(2, command) + number(3, address) + number(4, size);
  if (flags) body += number(5, *flags);
  return message(body + number(6, 9) + number(7, 0x400000));
}

TEST(Gem5, TakesRequestsOfTheProgram) {
  const Reading r =
      read_all(&make_gem5_reader, front() + packet(1, 0x1000, 64) + packet(4, 0x2000, 8) +
                                      packet(1, 0x3000, 16, 0x100) + packet(2, 0x1000, 64) +
                                      packet(24, 0x4000, 64, 0x140) + packet(34, 0x5000, 8, 0x2) +
                                      packet(7, 0x6000, 64) + packet(11, 0x7000, 64));
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records, ElementsAre(load(0x1000, 64), store(0x2000, 8), fetch(0x3000, 16),
                                     fetch(0x4000, 64), modify(0x5000, 8)));
  EXPECT_TRUE(r.info.physical);
  EXPECT_EQ(r.info.format, "gem5");
  EXPECT_EQ(r.info.note, "recorded by system.monitor");
}

TEST(Gem5, DoesNotDependOnHowTheBytesArrive) {
  std::string bytes = front();
  for (uint64_t i = 0; i < 50; ++i)
    bytes += packet(1 + 3 * (i % 2), i << 30, 1 + 80 * static_cast<uint32_t>(i));
  const Reading whole = read_all(&make_gem5_reader, bytes);
  EXPECT_TRUE(whole.status.ok()) << whole.status;
  EXPECT_EQ(whole.records.size(), 50u);
  for (size_t piece = 1; piece < 80; ++piece) {
    ASSERT_EQ(read_all(&make_gem5_reader, bytes, ReadMode::kStrict, piece).records, whole.records);
  }
}

TEST(Gem5, SaysWhatIsWrong) {
  const std::string at = absl::StrCat("trace: record 2 (byte ", front().size(), "): ");
  const struct {
    std::string bytes;
    std::string message;
    bool ends;  // what follows cannot be found
  } kBad[] = {
      {packet(1, 0x1000, 0), "size 0 is not 1 to 4096 bytes", false},
      {packet(1, 0x1000, 4097), "size 4097 is not 1 to 4096 bytes", false},
      {packet(1, 0x1000, 65544), "size 65544 is not 1 to 4096 bytes", false},
      {packet(4, (uint64_t{1} << 52) - 4, 5),
       "address 0xffffffffffffc lies outside 52-bit physical memory", false},
      {packet(4, ~uint64_t{0}, 1), "address 0xffffffffffffffff lies outside 52-bit physical memory",
       false},
      {packet(0, 0x1000, 8), "command 0 is unknown", false},
      {packet(64, 0x1000, 8), "command 64 is unknown", false},
      {message(number(1, 5) + number(2, 1) + number(3, 0x1000)),
       "a packet without command, address or size", false},
      {message(""), "a packet without command, address or size", false},
      {message(text(3, "x")), "a packet without command, address or size", false},
      {message("\x10"), "a damaged packet", false},
      {message("\x07"), "a damaged packet", false},
      {message(std::string("\x00\x01", 2)), "a damaged packet", false},
      {std::string("\xff\xff\xff\xff\xff\xff", 6), "its length is no number", true},
      {varint(65537) + "x", "a message of 65537 bytes", true},
  };
  for (const auto& bad : kBad) {
    const std::string bytes = front() + bad.bytes + packet(1, 0x9000, 8);
    const Reading r = read_all(&make_gem5_reader, bytes);
    EXPECT_EQ(r.status.message(), at + bad.message);
    const Reading lenient = read_all(&make_gem5_reader, bytes, ReadMode::kLenient, 3);
    EXPECT_TRUE(lenient.status.ok());
    EXPECT_EQ(lenient.stats.left_out, 1u);
    EXPECT_EQ(lenient.records.size(), bad.ends ? 0u : 1u) << bad.message;
  }
}

TEST(Gem5, ACutFileIsAnErrorAfterItsWholeRecords) {
  const std::string first = front() + packet(1, 0x1000, 8);
  const std::string second = packet(4, 0x2000, 8);
  for (size_t length = 1; length < second.size(); ++length) {
    const Reading r = read_all(&make_gem5_reader, first + second.substr(0, length));
    EXPECT_EQ(r.status.message(),
              absl::StrCat("trace: record 3 (byte ", first.size(), "): cut off: ", length, " of ",
                           second.size(), " bytes"));
    EXPECT_EQ(r.records.size(), 1u);
  }
  EXPECT_EQ(read_all(&make_gem5_reader, "gem").status.message(),
            "trace: record 0 (byte 0): not a gem5 packet trace: it does not start with \"gem5\"");
  EXPECT_TRUE(read_all(&make_gem5_reader, "gem5").status.ok());
  EXPECT_TRUE(is_gem5(front()));
  EXPECT_FALSE(is_gem5("gem"));
}

}  // namespace
}  // namespace gnomon
