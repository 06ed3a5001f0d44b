// SPDX-License-Identifier: Apache-2.0
//
// What holds for every pattern.
#include <cstdlib>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gnomon/version.h"
#include "tests/generate/stream.h"
#include "tests/generate/stream_check.h"
#include "tests/scenario/random.h"

namespace gnomon::generate_test {
namespace {

struct Golden {
  const char* spec;
  uint64_t hash;  // of the first 100,000 records, and the events among them
};

// A difference means that published results no longer reproduce. Do not update one without a reason
// that users are told.
constexpr Golden kGolden[] = {
    {"uniform", 0xc6f91c3e38ee277f},
    {"uniform,writes=30,size=64,fetches=on", 0x187835bcbe809c0b},
    {"sequential", 0x5e91479a20fb7ff6},
    {"stride", 0x7077b610b33d370b},
    {"zipf", 0x54e4a50b166aa400},
    {"zipf,bytes=65536G,theta=120,writes=5", 0xd7cae05fde0ea23f},
    {"zipf,law=loguniform,scatter=off,fetches=on", 0x81fca8e3ff2c38fb},
    {"chase", 0x83dfc8c3f1e2bb4},
    {"chase,bytes=1000000,step=24,seed=18446744073709551615", 0x9bd9eb49b1db94d4},
    {"gups", 0xb254ee496bdacf95},
    {"bfs", 0x6dee12644905fee4},
    {"bfs,vertices=5K,degree=7,fetches=on", 0xbdaf1a42560c4aad},
    {"churn", 0xf91969b3be61e696},
    {"churn,live=100,least=4K,passes=3,writes=33", 0xbce36cd03261dc98},
    {"fork", 0x326cf29414578de9},
    {"fork,alive=9,exec=40,touches=20", 0x2478ca4c6e0b78eb},
    {"switch", 0x6b6b760314f49147},
    {"switch,processes=100,slice=77,thp=on", 0xadd47bad852cfc42},
};

TEST(Streams, AreTheSameOnEveryPlatform) {
  for (const Golden& golden : kGolden) {
    const Stream stream = draw(golden.spec, 100'000);
    EXPECT_EQ(stream.records.size(), 100'000u);
    EXPECT_EQ(hash_of(stream), golden.hash)
        << "{\"" << golden.spec << "\", 0x" << std::hex << hash_of(stream) << "},";
  }
}

// Each pattern in several forms, at a size that ends soon.
std::vector<std::string> specs(uint64_t refs) {
  static constexpr const char* kForms[] = {
      "uniform,bytes=1M",
      "uniform,bytes=1M,writes=37,size=3",
      "sequential,bytes=8200,writes=50",
      "sequential,bytes=8200,size=4096,base=0x7fffffffc000",
      "stride,bytes=1M,step=4104,writes=100",
      "stride,bytes=1M,step=1",
      "zipf,bytes=10M",
      "zipf,bytes=1G,theta=50,writes=10",
      "zipf,bytes=1M,law=loguniform,scatter=off",
      "chase,bytes=70K,step=100,size=100",
      "chase,bytes=65536G,step=4K",
      "gups,bytes=1M",
      "gups,bytes=8",
      "bfs,vertices=1000,degree=3",
      "bfs,vertices=1,degree=1",
      "churn,bytes=256K",
      "churn,bytes=10000,least=1,live=3,step=8,passes=2,writes=40",
      "fork,bytes=64K,touches=10",
      "fork,bytes=64K,touches=3,alive=5,exec=50",
      "switch,bytes=64K,slice=10",
      "switch,bytes=64K,slice=1,processes=40,writes=50",
  };
  std::vector<std::string> all;
  for (const char* form : kForms) {
    for (const char* fetches : {"off", "on"}) {
      all.push_back(absl::StrCat(form, ",fetches=", fetches, ",refs=", refs));
    }
  }
  return all;
}

TEST(Streams, DoNotDependOnHowTheyAreRead) {
  for (const std::string& spec : specs(5000)) {
    const Stream whole = draw(spec, 1'000'000, 100'000);
    for (const size_t at_once : {256, 257, 300, 1000, 4099}) {
      const Stream again = draw(spec, 1'000'000, at_once);
      ASSERT_EQ(again.records, whole.records) << spec << " by " << at_once;
      ASSERT_EQ(again.events, whole.events) << spec << " by " << at_once;
    }
  }
}

TEST(Streams, HoldExactlyTheReferencesAskedFor) {
  for (const uint64_t refs : {1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 66, 67}) {
    for (const std::string& spec : specs(refs)) {
      const Stream stream = draw(spec);
      ASSERT_TRUE(stream.ended);
      ASSERT_EQ(stream.references(), refs) << spec;
      ASSERT_EQ(stream.info.references, refs) << spec;
    }
  }
}

TEST(Streams, AreLivesOfProgramsFromBeginToEnd) {
  for (const uint64_t refs : {1, 2, 3, 50, 5000, 200'000}) {
    for (const std::string& spec : specs(refs)) {
      const Stream stream = draw(spec);
      StreamCheck check;
      ASSERT_EQ(check.take(stream.records, stream.events), "") << spec;
      ASSERT_EQ(stream.references(), refs) << spec;
      ASSERT_FALSE(check.running()) << spec << ": a process has not ended";
      ASSERT_EQ(stream.stats.events, stream.events.size());
      ASSERT_EQ(stream.stats.records, stream.records.size() - stream.events.size());
      ASSERT_EQ(stream.stats.bytes, 0u);
      ASSERT_EQ(stream.stats.left_out, 0u);
    }
  }
}

TEST(Streams, StartWithAllMappingsOfASingleProgram) {
  for (const GeneratorInfo& g : generators()) {
    const Stream stream = draw(absl::StrCat(g.name, ",refs=100,fetches=on,thp=on"));
    ASSERT_GE(stream.events.size(), 3u);
    EXPECT_EQ(stream.records[0].kind, RecordKind::kEvent);
    const TraceEvent& code = stream.events[0];
    EXPECT_EQ(code.kind, EventKind::kMap);
    EXPECT_EQ(code.address, 0x400000u);
    EXPECT_EQ(code.flags, kMapRead | kMapExec);
    for (const TraceEvent& e : stream.events) {
      if (e.kind != EventKind::kMap || e.address == code.address) continue;
      EXPECT_EQ(e.flags, kMapRead | kMapWrite | kMapHuge) << g.name;
      EXPECT_GE(e.address, kBase);
    }
    EXPECT_EQ(stream.events.back().kind, EventKind::kExit);
    EXPECT_EQ(stream.event(stream.records.back()).kind, EventKind::kExit);
  }
}

TEST(Streams, FetchFromALoopBeforeEachAccess) {
  for (const GeneratorInfo& g : generators()) {
    const Stream with = draw(absl::StrCat(g.name, ",refs=3000,fetches=on"));
    const Stream without = draw(absl::StrCat(g.name, ",refs=3000"));
    uint64_t fetches = 0;
    bool fetched = false;
    for (const TraceRecord& r : with.records) {
      if (r.kind == RecordKind::kEvent) continue;
      ASSERT_EQ(r.kind == RecordKind::kFetch, !fetched) << g.name;
      fetched = !fetched;
      if (!fetched) continue;
      ASSERT_EQ(r.address.value(), 0x400000 + 4 * (fetches++ % 256));
      ASSERT_EQ(r.size, 4);
    }
    // The accesses are those of the pattern without fetches.
    const std::vector<TraceRecord> a = with.data(), b = without.data();
    ASSERT_LT(a.size(), b.size());
    if (g.name == "switch" || g.name == "gups") continue;  // cut elsewhere
    for (size_t i = 0; i < a.size(); ++i) ASSERT_EQ(a[i], b[i]) << g.name << " access " << i;
  }
}

TEST(Streams, NameTheirWholeSpec) {
  for (const std::string& spec : specs(2000)) {
    const Stream stream = draw(spec);
    const Stream again = draw(stream.info.program);
    EXPECT_EQ(again.records, stream.records) << stream.info.program;
    EXPECT_EQ(again.info.program, stream.info.program);
    EXPECT_EQ(stream.info.recorder, absl::StrCat("gnomon ", version()));
    EXPECT_EQ(stream.info.format, "gen");
  }
  const auto reader = create_generator("gups,refs=1K");
  EXPECT_EQ((*reader)->name(), "gen:gups,refs=1K");
  EXPECT_EQ((*reader)->info().program,
            "gen:gups,refs=1000,seed=1,base=0x10000000000,fetches=off,thp=off,bytes=1073741824");
  EXPECT_EQ((*reader)->total_bytes(), std::nullopt);
}

TEST(Streams, TheDescriptionsNameAllKeysAndTheirDefaults) {
  for (const GeneratorInfo& g : generators()) {
    const std::vector<std::string> halves = absl::StrSplit(g.description, ": ");
    ASSERT_EQ(halves.size(), 2u) << g.description;
    const std::string keys = absl::StrCat(kCommonGeneratorKeys, " ", halves[1]);
    const auto by_default = g.create("");
    const auto spelt_out = g.create(absl::StrReplaceAll(keys, {{" ", ","}}));
    ASSERT_TRUE(spelt_out.ok()) << spelt_out.status();
    const std::string program = (*by_default)->info().program;
    EXPECT_EQ((*spelt_out)->info().program, program);
    const std::vector<std::string> items = absl::StrSplit(keys, ' ');
    const std::vector<std::string> used = absl::StrSplit(program, ',');
    ASSERT_EQ(items.size() + 1, used.size()) << program;
    for (size_t i = 0; i < items.size(); ++i) {
      EXPECT_EQ(items[i].substr(0, items[i].find('=')),
                used[i + 1].substr(0, used[i + 1].find('=')));
    }
  }
}

TEST(Streams, DifferBySeed) {
  for (const std::string pattern :
       {"uniform", "zipf", "chase", "gups", "bfs", "churn", "fork", "switch"}) {
    std::set<uint64_t> hashes;
    for (int seed = 0; seed < 20; ++seed) {
      const absl::string_view small = pattern == "bfs" ? "vertices=1K" : "bytes=1M";
      hashes.insert(hash_of(draw(absl::StrCat(pattern, ",", small, ",refs=9000,seed=", seed))));
    }
    EXPECT_EQ(hashes.size(), 20u) << pattern;
  }
}

TEST(Streams, WantRoom) {
  const auto reader = create_generator("uniform");
  std::vector<TraceRecord> small(TraceReader::kLeastBatch - 1);
  std::vector<TraceEvent> events;
  EXPECT_EQ((*reader)->read(absl::MakeSpan(small), events).status().message(),
            "gen:uniform: asked for 255 records at once, wants at least 256");
}

}  // namespace
}  // namespace gnomon::generate_test
