// SPDX-License-Identifier: Apache-2.0
#include "traces/record/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/record/packets.h"

namespace gnomon {
namespace {

using recording::Decoder;
using recording::kFirstProcess;
using testing::ElementsAre;
using testing::HasSubstr;

// One line a record, so that a test shows the whole trace.
std::vector<std::string> lines(const TraceBatch& batch) {
  std::vector<std::string> out;
  for (const TraceRecord& record : batch.records) {
    if (record.kind != RecordKind::kEvent) {
      out.push_back(absl::StrFormat("%c %x,%d", "ILSM"[static_cast<int>(record.kind)],
                                    record.address.value(), record.size));
      continue;
    }
    const TraceEvent& event = batch.events.at(record.address.value());
    const EventFields fields = info(event.kind).fields;
    std::string line(info(event.kind).name);
    if (fields & kFieldProcess) absl::StrAppend(&line, " p", event.process);
    if (fields & kFieldThread) absl::StrAppend(&line, " t", event.thread);
    if (fields & kFieldFlags) absl::StrAppend(&line, " f", event.flags);
    if (fields & kFieldAddress) absl::StrAppend(&line, " a", absl::Hex(event.address));
    if (fields & kFieldLength) absl::StrAppend(&line, " l", absl::Hex(event.length));
    if (fields & kFieldValue) absl::StrAppend(&line, " v", event.value);
    if (fields & kFieldText) absl::StrAppend(&line, " '", event.text, "'");
    out.push_back(line);
  }
  return out;
}

std::vector<std::string> decode(const Packets& packets, uint64_t limit = 0) {
  Decoder decoder(limit);
  const auto taken = decoder.take(packets.bytes);
  EXPECT_TRUE(taken.ok()) << taken.status();
  if (taken.ok()) EXPECT_EQ(*taken, packets.bytes.size());
  return lines(decoder.batch());
}

std::string refusal(absl::string_view bytes) {
  Decoder decoder;
  const auto taken = decoder.take(absl::MakeSpan(bytes.data(), bytes.size()));
  EXPECT_FALSE(taken.ok());
  return std::string(taken.status().message());
}

Packets started() { return Packets().event(kFirstProcess, 1, GNOMON_BEGIN, 0, "prog a b"); }

TEST(Decoder, References) {
  Packets packets = started();
  packets.references(kFirstProcess, 1,
                     {Packets::word(GNOMON_FETCH, 0x401000, 3), Packets::word(GNOMON_LOAD, 0x10, 8),
                      0, Packets::word(GNOMON_STORE, 0x7fffffffffff, 64),
                      Packets::word(GNOMON_MODIFY, 0xffff'8000'0000'0000, 4096)});
  EXPECT_THAT(decode(packets), ElementsAre("exec p0 'prog a b'", "I 401000,3", "L 10,8",
                                           "S 7fffffffffff,64", "M ffff800000000000,4096"));
}

TEST(Decoder, EventsCarryWhatTheirRowsSay) {
  Packets packets = started();
  packets.event(kFirstProcess, 1,
                {.kind = GNOMON_MAP,
                 .flags = kMapRead | kMapShared,
                 .address = 0x1000,
                 .length = 0x2000,
                 .value = 4096,
                 .extra = 99,
                 .file = 7,
                 .text_bytes = 0,
                 .zero = 0},
                "/lib/x");
  packets.event(kFirstProcess, 1,
                {.kind = GNOMON_SYSCALL,
                 .flags = 5,
                 .address = 6,
                 .length = 7,
                 .value = 12,
                 .extra = 8,
                 .file = 9,
                 .text_bytes = 0,
                 .zero = 0});
  Decoder decoder;
  ASSERT_TRUE(decoder.take(packets.bytes).ok());
  ASSERT_EQ(decoder.batch().events.size(), 3u);
  const TraceEvent& map = decoder.batch().events[1];
  EXPECT_EQ(map.kind, EventKind::kMap);
  EXPECT_EQ(map.flags, kMapRead | kMapShared);
  EXPECT_EQ(map.address, 0x1000u);
  EXPECT_EQ(map.length, 0x2000u);
  EXPECT_EQ(map.value, 4096u);
  EXPECT_EQ(map.extra, 0u);
  EXPECT_EQ(map.file, 7u);
  EXPECT_EQ(map.text, "/lib/x");
  TraceEvent syscall;
  syscall.kind = EventKind::kSyscall;
  syscall.value = 12;
  EXPECT_EQ(decoder.batch().events[2], syscall);
}

TEST(Decoder, ThreadsAreNumberedInOrderAndTheirNumbersNotUsedAgain) {
  Packets packets = started();
  const uint64_t p = kFirstProcess;
  const uint64_t word = Packets::word(GNOMON_FETCH, 0x1000, 1);
  packets.event(p, 1, GNOMON_THREAD_START)
      .event(p, 7, GNOMON_THREAD_START)
      .references(p, 7, {word})
      .references(p, 1, {word})
      .event(p, 7, GNOMON_THREAD_EXIT)
      .event(p, 7, GNOMON_THREAD_START)
      .references(p, 7, {word})
      .event(p, 1, GNOMON_THREAD_EXIT)
      .event(p, 7, GNOMON_THREAD_EXIT)
      .event(p, 7, GNOMON_EXIT, 3);
  EXPECT_THAT(decode(packets),
              ElementsAre("exec p0 'prog a b'", "thread p0 t1", "switch p0 t1", "I 1000,1",
                          "switch p0 t0", "I 1000,1", "exit p0 t1 f0 v0", "thread p0 t2",
                          "switch p0 t2", "I 1000,1", "exit p0 t0 f0 v0", "exit p0 t2 f1 v3"));
}

TEST(Decoder, AForkStandsWhereItWasFirstToldOf) {
  const uint64_t p = kFirstProcess, child = 0xabcdef;
  const uint64_t word = Packets::word(GNOMON_FETCH, 0x1000, 1);
  Packets parent_first = started();
  parent_first.event(p, 1, GNOMON_FORK, child)
      .references(p, 1, {word})
      .event(child, 1, GNOMON_FORKED, p)
      .references(child, 1, {word})
      .event(child, 1, GNOMON_EXIT, 1);
  EXPECT_THAT(decode(parent_first), ElementsAre("exec p0 'prog a b'", "fork p0 v1", "I 1000,1",
                                                "switch p1 t0", "I 1000,1", "exit p1 t0 f1 v1"));
  Packets child_first = started();
  child_first.event(child, 1, GNOMON_FORKED, p)
      .references(child, 1, {word})
      .event(p, 1, GNOMON_FORK, child)
      .references(p, 1, {word});
  EXPECT_THAT(decode(child_first), ElementsAre("exec p0 'prog a b'", "fork p0 v1", "switch p1 t0",
                                               "I 1000,1", "switch p0 t0", "I 1000,1"));
  Packets child_gone = started();
  child_gone.event(child, 1, GNOMON_FORKED, p)
      .event(child, 1, GNOMON_EXIT, 0)
      .event(p, 1, GNOMON_FORK, child);
  EXPECT_THAT(decode(child_gone),
              ElementsAre("exec p0 'prog a b'", "fork p0 v1", "exit p1 t0 f1 v0"));
}

TEST(Decoder, ExecKeepsTheProcessAndOneThread) {
  const uint64_t p = kFirstProcess;
  Packets packets = started();
  packets.event(p, 2, GNOMON_THREAD_START)
      .event(p, 1, GNOMON_BEGIN, 0, "other")
      .references(p, 1, {Packets::word(GNOMON_FETCH, 0x1000, 1)})
      .event(p, 2, GNOMON_THREAD_START);
  EXPECT_THAT(decode(packets), ElementsAre("exec p0 'prog a b'", "thread p0 t1", "exec p0 'other'",
                                           "I 1000,1", "thread p0 t2"));
}

TEST(Decoder, KilledProcessesExitAtTheEnd) {
  Packets packets = started();
  packets.event(kFirstProcess, 1, GNOMON_FORK, 77).event(77, 1, GNOMON_FORKED, kFirstProcess);
  Decoder decoder;
  ASSERT_TRUE(decoder.take(packets.bytes).ok());
  EXPECT_EQ(decoder.alive(), 2u);
  decoder.finish();
  EXPECT_EQ(decoder.alive(), 0u);
  EXPECT_EQ(decoder.processes(), 2u);
  EXPECT_EQ(decoder.threads(), 2u);
  EXPECT_THAT(lines(decoder.batch()), ElementsAre("exec p0 'prog a b'", "fork p0 v1",
                                                  "exit p0 t0 f1 v137", "exit p1 t0 f1 v137"));
}

TEST(Decoder, TheLimitCountsReferencesAndIsNeverExceeded) {
  Packets packets = started();
  packets.references(kFirstProcess, 1,
                     {Packets::word(GNOMON_FETCH, 1, 1), Packets::word(GNOMON_MODIFY, 2, 8),
                      Packets::word(GNOMON_FETCH, 3, 1)});
  const std::vector<size_t> expected = {0, 1, 1, 2, 3, 3};  // records, by limit
  for (uint64_t limit = 1; limit <= 5; ++limit) {
    Decoder decoder(limit);
    ASSERT_TRUE(decoder.take(packets.bytes).ok());
    EXPECT_EQ(decoder.batch().records.size() - 1, expected[limit]) << limit;
    EXPECT_LE(decoder.references(), limit);
    EXPECT_EQ(decoder.limit_reached(), limit < 4) << limit;
  }
}

TEST(Decoder, AnyCutGivesTheSame) {
  Packets packets = started();
  for (uint64_t i = 1; i < 20; ++i) {
    packets.references(kFirstProcess, 1,
                       std::vector<uint64_t>(i, Packets::word(GNOMON_LOAD, i, 8)));
    packets.event(kFirstProcess, 1, GNOMON_SYSCALL, i);
  }
  const std::vector<std::string> whole = decode(packets);
  for (const size_t piece : {1, 7, 24, 100, 1000}) {
    Decoder decoder;
    std::string held;
    for (size_t at = 0; at < packets.bytes.size(); at += piece) {
      held += packets.bytes.substr(at, piece);
      const auto taken = decoder.take(held);
      ASSERT_TRUE(taken.ok()) << taken.status();
      held.erase(0, *taken);
    }
    EXPECT_TRUE(held.empty());
    EXPECT_EQ(lines(decoder.batch()), whole) << piece;
  }
}

TEST(Decoder, NonsenseIsRefusedWithItsPlace) {
  const uint64_t p = kFirstProcess;
  EXPECT_THAT(refusal(std::string(64, 'x')), HasSubstr("at byte 0: no packet starts there"));
  EXPECT_THAT(refusal(Packets().references(p, 1, {1}).bytes), HasSubstr("which nobody started"));
  const size_t first = started().bytes.size();
  EXPECT_THAT(refusal(started().references(p, 1, {Packets::word(GNOMON_LOAD, 1, 0)}).bytes),
              HasSubstr(absl::StrCat("at byte ", first, ": an access of 0 bytes")));
  EXPECT_THAT(refusal(started().references(p, 1, {Packets::word(GNOMON_LOAD, 1, 4097)}).bytes),
              HasSubstr("an access of 4097 bytes"));
  EXPECT_THAT(refusal(started().event(p, 1, GNOMON_EVENT_KINDS).bytes), HasSubstr("event of kind"));
  EXPECT_THAT(refusal(started().event(p, 1, GNOMON_BEGIN).event(9, 1, GNOMON_BEGIN).bytes),
              HasSubstr("process 9 begins"));
  EXPECT_THAT(refusal(started().event(8, 1, GNOMON_FORKED, 9).bytes), HasSubstr("a fork of"));
  EXPECT_THAT(refusal(started().event(p, 1, GNOMON_FORK, p).bytes), HasSubstr("running already"));
  std::string lost = started().event(p, 1, GNOMON_SYSCALL).event(p, 1, GNOMON_SYSCALL).bytes;
  const size_t packet = (lost.size() - first) / 2;
  EXPECT_THAT(refusal(lost.erase(first, packet)), HasSubstr("packet 2 of process 0"));
  std::string length = started().bytes;
  length[6] = 20;
  length[7] = 0;
  EXPECT_THAT(refusal(length), HasSubstr("a packet of 20 bytes"));
}

TEST(Decoder, EveryFlippedBitIsTakenOrRefused) {
  Packets packets = started();
  packets.event(kFirstProcess, 1, GNOMON_FORK, 77)
      .event(77, 1, GNOMON_FORKED, kFirstProcess)
      .references(77, 1, {Packets::word(GNOMON_LOAD, 1, 8)})
      .event(77, 1, GNOMON_EXIT, 0);
  for (size_t bit = 0; bit < packets.bytes.size() * 8; ++bit) {
    std::string bytes = packets.bytes;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    Decoder decoder;
    const auto taken = decoder.take(bytes);
    if (taken.ok()) ASSERT_LE(*taken, bytes.size());
    decoder.finish();
    for (const TraceRecord& record : decoder.batch().records) {
      if (record.kind == RecordKind::kEvent) {
        ASSERT_LT(record.address.value(), decoder.batch().events.size());
      }
    }
  }
}

}  // namespace
}  // namespace gnomon
