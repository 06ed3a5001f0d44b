// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gnomon/traces/generators.h"

namespace gnomon {
namespace {

struct Bad {
  const char* spec;
  const char* message;
};

constexpr Bad kBad[] = {
    {"",
     "gen:: no pattern is called \"\": known: uniform, sequential, stride, zipf, chase, gups, bfs, "
     "churn, fork, switch"},
    {"unifrom", "gen:unifrom: no pattern is called \"unifrom\": did you mean uniform?"},
    {"gen:gup,refs=1", "gen:gup,refs=1: no pattern is called \"gup\": did you mean gups?"},
    {"uniform,byte=1G", "gen:uniform,byte=1G: unknown option \"byte\": did you mean bytes?"},
    {"uniform,vertices=9",
     "gen:uniform,vertices=9: unknown option \"vertices\": known: refs, seed, base, fetches, thp, "
     "bytes, size, writes"},
    {"gups,write=5",
     "gen:gups,write=5: unknown option \"write\": known: refs, seed, base, fetches, thp, bytes"},
    {"uniform,refs=0",
     "gen:uniform,refs=0: option refs=0: wants a number from 1 to 1000000000000000 (with K, M, G "
     "or T if you like)"},
    {"uniform,refs=-1",
     "gen:uniform,refs=-1: option refs=-1: wants a number from 1 to 1000000000000000 (with K, M, G "
     "or T if you like)"},
    {"uniform,refs=18446744073709552K",
     "gen:uniform,refs=18446744073709552K: option refs=18446744073709552K: wants a number from 1 "
     "to "
     "1000000000000000 (with K, M, G or T if you like)"},
    {"uniform,seed=18446744073709551616",
     "gen:uniform,seed=18446744073709551616: option seed=18446744073709551616: wants a number from "
     "0 "
     "to 18446744073709551615"},
    {"uniform,writes=101",
     "gen:uniform,writes=101: option writes=101: wants a number from 0 to 100"},
    {"uniform,size=8192",
     "gen:uniform,size=8192: option size=8192: wants a number from 1 to 4096 (with K, M, G or T if "
     "you "
     "like)"},
    {"uniform,bytes=65537G",
     "gen:uniform,bytes=65537G: option bytes=65537G: wants a number from 1 to 70368744177664 (with "
     "K, "
     "M, G or T if you like)"},
    {"uniform,fetches=maybe",
     "gen:uniform,fetches=maybe: option fetches=maybe: wants on, off, true, false, yes, no, 1, 0"},
    {"uniform,refs", "gen:uniform,refs: option \"refs\" is not of the form KEY=VALUE"},
    {"uniform,refs=1,refs=2", "gen:uniform,refs=1,refs=2: option \"refs\" is given twice"},
    {"uniform,bytes=4", "gen:uniform,bytes=4: bytes is less than size"},
    {"uniform,base=0x1001",
     "gen:uniform,base=0x1001: option base=0x1001: wants a number from 65536 to "
     "140737488347136 (with K, M, G or T if you like)"},
    {"uniform,base=0x10001000800",
     "gen:uniform,base=0x10001000800: base is not a multiple of 4096"},
    {"uniform,bytes=65536G,base=0x400000000000",
     "gen:uniform,bytes=65536G,base=0x400000000000: base and sizes put data at 0x400000000000 to "
     "0x800000000000, but user addresses end at 0x7ffffffff000"},
    {"uniform,bytes=8K,base=0x3ff000",
     "gen:uniform,bytes=8K,base=0x3ff000: data at 0x3ff000 to 0x401000 would cover the code page "
     "at "
     "0x400000"},
    {"zipf,bytes=4095",
     "gen:zipf,bytes=4095: option bytes=4095: wants a number from 4096 to "
     "70368744177664 (with K, M, G or T if you like)"},
    {"zipf,law=pareto", "gen:zipf,law=pareto: option law=pareto: wants zipf, loguniform"},
    {"zipf,theta=0.99", "gen:zipf,theta=0.99: option theta=0.99: wants a number from 0 to 1000"},
    {"chase,step=4", "gen:chase,step=4: size is more than step"},
    {"chase,bytes=63", "gen:chase,bytes=63: bytes is less than step"},
    {"bfs,vertices=1G",
     "gen:bfs,vertices=1G: option vertices=1G: wants a number from 1 to 67108864 "
     "(with K, M, G or T if you like)"},
    {"churn,least=8M", "gen:churn,least=8M: least is more than bytes"},
    {"churn,bytes=65536G",
     "gen:churn,bytes=65536G: live mappings of bytes do not fit in 2^46 bytes"},
    {"fork,refs=5G",
     "gen:fork,refs=5G: option refs=5G: wants a number from 1 to 4000000000 "
     "(with K, M, G or T if you like)"},
    {"switch,processes=0",
     "gen:switch,processes=0: option processes=0: wants a number from 1 to 65536"},
};

TEST(GeneratorOptions, BadOnesAreExplained) {
  for (const Bad& bad : kBad) {
    const auto reader = create_generator(bad.spec);
    EXPECT_EQ(reader.status().code(), absl::StatusCode::kInvalidArgument) << bad.spec;
    EXPECT_EQ(std::string(reader.status().message()), bad.message);
  }
}

TEST(GeneratorOptions, SuffixesOfCountsAreDecimalAndOfSizesBinary) {
  const auto reader = create_generator("uniform,refs=20M,bytes=1G,size=1k,seed=0x10");
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->info().program,
            "gen:uniform,refs=20000000,seed=16,base=0x10000000000,fetches=off,thp=off,"
            "bytes=1073741824,size=1024,writes=0");
}

TEST(GeneratorOptions, SizesAreWrittenAsForTheProgramsOptions) {
  for (const char* bytes :
       {"64T", "64t", "64TiB", "64TB", "65536G", "0x40T", "0x400000000000", "70368744177664B"}) {
    const auto reader = create_generator(std::string("uniform,refs=1,bytes=") + bytes);
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_NE((*reader)->info().program.find("bytes=70368744177664,"), std::string::npos) << bytes;
  }
  for (const char* bytes : {"", "T", "1P", "1 K", "+1", "0x", "1.5G", "17592186044416T"}) {
    EXPECT_FALSE(create_generator(std::string("uniform,bytes=") + bytes).ok()) << bytes;
  }
  EXPECT_EQ((*create_generator("uniform,bytes=0x1b"))->info().program.find(",bytes=27,") ==
                std::string::npos,
            false);
  EXPECT_FALSE(create_generator("uniform,refs=1KB").ok());  // no number of bytes
}

TEST(GeneratorOptions, ExtremesThatAreAllowed) {
  for (const char* spec : {"uniform,bytes=65536G", "uniform,bytes=1,size=1,base=0x7fffffffe000",
                           "stride,bytes=65536G,step=65536G", "chase,bytes=65536G,step=8",
                           "zipf,bytes=65536G,theta=1000", "bfs,vertices=67108864,degree=1024",
                           "churn,bytes=1G,live=65536", "fork,bytes=65536G,alive=10000,exec=100",
                           "switch,bytes=65536G,processes=65536", "uniform,bytes=8,base=0x10000"}) {
    const auto reader = create_generator(spec);
    ASSERT_TRUE(reader.ok()) << reader.status();
    std::vector<TraceRecord> records(1000);
    std::vector<TraceEvent> events;
    EXPECT_EQ((*reader)->read(absl::MakeSpan(records), events).value_or(0) > 900, true) << spec;
  }
}

TEST(Generators, AreListedInOrder) {
  std::string names;
  for (const GeneratorInfo& g : generators()) names += std::string(g.name) + " ";
  EXPECT_EQ(names, "uniform sequential stride zipf chase gups bfs churn fork switch ");
}

}  // namespace
}  // namespace gnomon
