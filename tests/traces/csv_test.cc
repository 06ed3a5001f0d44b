// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/scenario/random.h"
#include "tests/traces/reading.h"
#include "traces/formats/all.h"

namespace gnomon {
namespace {

using ::testing::ElementsAre;

TraceEvent switch_to(uint32_t process, uint32_t thread) {
  TraceEvent e;
  e.kind = EventKind::kSwitch;
  e.process = process;
  e.thread = thread;
  return e;
}

TEST(Csv, TakesThreeColumns) {
  const Reading r = read_all(&make_csv_reader,
                             "op,address,size\n"
                             "I,0x401000,3\n"
                             "L,4096,8\r\n"
                             "R,0xABC,1\n"
                             "\n"
                             "S,0x2000,0x10\n"
                             "W,0x3000,4\n"
                             "\"M\",\"0x4000\",4");
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records, ElementsAre(fetch(0x401000, 3), load(4096, 8), load(0xabc, 1),
                                     store(0x2000, 16), store(0x3000, 4), modify(0x4000, 4)));
}

TEST(Csv, ColumnsMayStandInAnyOrder) {
  const Reading r = read_all(&make_csv_reader,
                             "\xef\xbb\xbfsize,thread,op,process,address\r\n"
                             "8,,L,,0x1000\r\n8,1,L,0,0x1000\r\n8,1,S,0,0x1000\r\n8,,L,2,0x1000\n");
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records, ElementsAre(load(0x1000, 8), event_record(0), load(0x1000, 8),
                                     store(0x1000, 8), event_record(1), load(0x1000, 8)));
  EXPECT_THAT(r.events, ElementsAre(switch_to(0, 1), switch_to(2, 0)));
}

TEST(Csv, WritesGoldenText) {
  TraceEvent map;
  map.kind = EventKind::kMap;
  map.flags = kMapRead | kMapExec;
  map.address = 0x7f0000000000;
  map.length = 8192;
  map.value = 4096;
  map.file = 3;
  map.text = "/lib/a \"b\", c\nd";
  TraceRecord by_kernel = store(0x10, 8);
  by_kernel.supervisor = true;
  TraceInfo info;
  info.program = "ls -l";
  info.physical = true;
  info.references = 2;
  const Writing w = write_all(&create_csv_writer,
                              {fetch(0x401000, 3), event_record(0), by_kernel, event_record(1)},
                              {map, switch_to(1, 0)}, info);
  EXPECT_EQ(w.bytes,
            "op,address,size,process,thread,flags,length,value,extra,file,text\n"
            "info,,,,,,,,,,program=ls -l\n"
            "info,,,,,,,,,,physical=1\n"
            "info,,,,,,,,,,references=2\n"
            "I,0x401000,3\n"
            "map,0x7f0000000000,,,,5,8192,0x1000,,3,\"/lib/a \"\"b\"\", c\nd\"\n"
            "S,0x10,8,,,1\n"
            "switch,,,1,0\n");
  EXPECT_EQ(w.left_out, 0u);
  const Reading r = read_all(&make_csv_reader, w.bytes);
  EXPECT_TRUE(r.status.ok()) << r.status;
  EXPECT_THAT(r.records,
              ElementsAre(fetch(0x401000, 3), event_record(0), by_kernel, event_record(1)));
  EXPECT_THAT(r.events, ElementsAre(map, switch_to(1, 0)));
  EXPECT_EQ(r.info.program, "ls -l");
  EXPECT_TRUE(r.info.physical);
  EXPECT_FALSE(r.info.guest);
  EXPECT_EQ(r.info.references, 2u);
}

std::string odd_text(scenario::Random& random) {
  std::string text;
  const uint64_t length = random.percent(2) ? kMaxEventText : random.below(20);
  for (uint64_t i = 0; i < length; ++i) {
    text +=
        random.percent(30) ? ",\"\n\r\0x"[random.below(6)] : static_cast<char>(random.below(256));
  }
  return text;
}

TEST(Csv, HoldsEverything) {
  scenario::Random random(17);
  std::vector<TraceRecord> records;
  std::vector<TraceEvent> events;
  for (int i = 0; i < 4000; ++i) {
    if (random.percent(50)) {
      records.push_back(
          {Gva(random.below(uint64_t{1} << 56) | (random.percent(50) ? uint64_t{0xff} << 56 : 0)),
           static_cast<uint16_t>(1 + random.below(4096)), static_cast<RecordKind>(random.below(4)),
           random.percent(30)});
      if ((records.back().address.value() + records.back().size) >> 56 !=
          records.back().address.value() >> 56) {
        records.back().size = 1;
      }
      continue;
    }
    const EventInfo& kind = event_table()[random.below(kEventKindCount)];
    TraceEvent e;
    e.kind = kind.kind;
    const auto has = [&](EventFields field) { return (kind.fields & field) != 0; };
    const auto any = [&] { return random.next() >> random.below(64); };
    if (has(kFieldProcess)) e.process = static_cast<uint32_t>(any());
    if (has(kFieldThread)) e.thread = static_cast<uint32_t>(any());
    if (has(kFieldFlags)) e.flags = static_cast<uint32_t>(any());
    if (has(kFieldAddress)) e.address = any();
    if (has(kFieldLength)) e.length = any();
    if (has(kFieldValue)) e.value = any();
    if (has(kFieldExtra)) e.extra = any();
    if (has(kFieldFile)) e.file = any();
    if (has(kFieldText)) e.text = odd_text(random);
    events.push_back(e);
    records.push_back(event_record(events.size() - 1));
  }
  TraceInfo info;
  info.program = "a,\"b\"\n";
  info.recorder = "r";
  info.machine = "m";
  info.note = "n=1";
  info.guest = true;
  const Writing w = write_all(&create_csv_writer, records, events, info);
  for (const size_t piece : {~size_t{0}, size_t{77}}) {
    const Reading r = read_all(&make_csv_reader, w.bytes, ReadMode::kStrict, piece);
    ASSERT_TRUE(r.status.ok()) << r.status;
    EXPECT_EQ(r.records, records);
    EXPECT_EQ(r.events, events);
    EXPECT_EQ(r.info.program, info.program);
    EXPECT_EQ(r.info.recorder, info.recorder);
    EXPECT_EQ(r.info.machine, info.machine);
    EXPECT_EQ(r.info.note, info.note);
    EXPECT_TRUE(r.info.guest);
  }
}

TEST(Csv, SaysWhatIsWrongWithARow) {
  const struct {
    absl::string_view row;
    absl::string_view fault;
  } kBad[] = {
      {"X,1,1", "op is no operation (I, L, S, M) and no event: \"X\""},
      {"l,1,1", "op is no operation (I, L, S, M) and no event: \"l\""},
      {"L,,8", "address is no number: \"\""},
      {"L,0x,8", "address is no number: \"0x\""},
      {"L,-1,8", "address is no number: \"-1\""},
      {"L,18446744073709551616,8", "address is no number: \"18446744073709551616\""},
      {"L,0x12345678901234567,8", "address is no number: \"0x12345678901234567\""},
      {"L,1", "size is no number: \"\""},
      {"L,1,0", "size 0 at 0x1: size is not 1 to 4096 bytes"},
      {"L,1,65544", "size 65544 at 0x1: size is not 1 to 4096 bytes"},
      {"L,1,18446744073709551615", "size 18446744073709551615 at 0x1: size is not 1 to 4096 bytes"},
      {"L,0xffffffffffffffff,2",
       "size 2 at 0xffffffffffffffff: address outside the 57-bit canonical range"},
      {"L,1,8,4294967296", "process and thread are 32-bit numbers"},
      {"L,1,8,0,0,2", "flags of a memory operation are 0 or 1 (by the kernel)"},
      {"L,1,8,,,,9", "a memory operation takes no length"},
      {"L,1,8,,,,,,,,,9", "more fields than the header has columns: \"L,1,8,,,,,,,,,9\""},
      {"unmap,1,8", "an event takes no size"},
      {"unmap,1,,,,,8,9", "unmap takes no value"},
      {"switch,,,1,x", "thread is no number: \"x\""},
      {"switch,,,1,4294967296", "process, thread and flags are 32-bit numbers"},
      {"L,\"1\"x,8", "text behind a closing quote: \"L,\\\"1\\\"x,8\""},
      {"L,1\"\",8", "a quote inside a field that does not start with one: \"L,1\\\"\\\",8\""},
      {"info,,,,,,,,,,program=x", "info comes before all else"},
  };
  const std::string front =
      "op,address,size,process,thread,flags,length,value,extra,file,text\nL,0x1000,8\n";
  for (const auto& bad : kBad) {
    const std::string text = absl::StrCat(front, bad.row, "\nS,0x2000,8\n");
    const Reading r = read_all(&make_csv_reader, text);
    EXPECT_EQ(r.status.message(),
              absl::StrCat("trace: line 3 (byte ", front.size(), "): ", bad.fault));
    EXPECT_EQ(r.records.size(), 1u);
    const Reading lenient = read_all(&make_csv_reader, text, ReadMode::kLenient, 5);
    EXPECT_TRUE(lenient.status.ok());
    EXPECT_EQ(lenient.stats.left_out, 1u);
    EXPECT_THAT(lenient.records, ElementsAre(load(0x1000, 8), store(0x2000, 8))) << bad.row;
  }
}

TEST(Csv, SaysWhatIsWrongWithTheHeader) {
  const struct {
    absl::string_view text;
    absl::string_view message;
  } kBad[] = {
      {"L,0x1000,8\n", "trace: line 1 (byte 0): column \"L\" is unknown"},
      {"op,address\n",
       "trace: line 1 (byte 0): no header line with op, address and size: column "
       "size is missing"},
      {"op,op,address,size\n", "trace: line 1 (byte 0): column op comes twice"},
      {"op,address,size,weight\n", "trace: line 1 (byte 0): column \"weight\" is unknown"},
  };
  for (const auto& bad : kBad) {
    EXPECT_EQ(read_all(&make_csv_reader, bad.text).status.message(), bad.message);
  }
  const Reading lenient =
      read_all(&make_csv_reader, "op,weight,address,size\nL,7,0x1000,8\n", ReadMode::kLenient);
  EXPECT_THAT(lenient.records, ElementsAre(load(0x1000, 8)));
}

TEST(Csv, AQuoteThatStaysOpenEndsSomewhere) {
  const std::string front = "op,address,size,text\n";
  EXPECT_EQ(read_all(&make_csv_reader, front + "mark,,,\"abc\nL,1,8\n").status.message(),
            "trace: line 2 (byte 21): the file ends inside a quoted field");
  std::string long_text = front + "mark,,,\"abc\n";
  for (int i = 0; i < 4000; ++i) long_text += "L,0x1000,8\n";
  EXPECT_EQ(read_all(&make_csv_reader, long_text).status.message(),
            "trace: line 2 (byte 21): a quote is not closed within 16384 bytes");
  const Reading lenient = read_all(&make_csv_reader, long_text, ReadMode::kLenient);
  EXPECT_TRUE(lenient.status.ok());
  EXPECT_EQ(lenient.stats.left_out, 1u);
  EXPECT_EQ(lenient.records.size(), 4000u - (16384u - 12u) / 11u - 1u);
  EXPECT_EQ(read_all(&make_csv_reader,
                     absl::StrCat(front, "mark,,,", std::string(kMaxEventText + 1, 'x'), "\n"))
                .status.message(),
            "trace: line 2 (byte 21): a text of more than 4096 bytes");
}

TEST(Csv, IsRecognizedByItsHeader) {
  EXPECT_TRUE(is_csv("op,address,size\n"));
  EXPECT_TRUE(is_csv("size,op,weight,address\r\nrest"));
  EXPECT_FALSE(is_csv("op,address\n"));
  EXPECT_FALSE(is_csv(""));
}

}  // namespace
}  // namespace gnomon
