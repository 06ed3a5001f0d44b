// SPDX-License-Identifier: Apache-2.0
//
// Every backend against the naive model: random programs, the programs that once found a bug, and
// the tester's own parts. `test_differential --steps N` runs longer (see main.cc).

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gnomon/backend.h"
#include "gtest/gtest.h"
#include "tests/scenario/generator.h"
#include "tests/scenario/suite.h"
#include "tests/support/scale.h"

namespace gnomon::scenario {
namespace {

uint64_t steps_per_spec() { return by_scale(2'000, 25'000, 1'000'000); }

std::vector<std::string> specs() { return {all_specs().begin(), all_specs().end()}; }

class Differential : public testing::TestWithParam<std::string> {};

TEST_P(Differential, RandomProgramsAnswerAsTheModel) {
  const SuiteResult result = run_random(GetParam(), /*seed=*/1, steps_per_spec());
  if (!result.skipped.empty()) GTEST_SKIP() << GetParam() << ": " << result.skipped;
  std::printf("%s\n", summary(GetParam(), result).c_str());
  RecordProperty("steps", std::to_string(result.stats.steps));
  RecordProperty("translated", std::to_string(result.stats.translated));
  ASSERT_FALSE(result.failure) << report(GetParam(), result);
  // Programs that only fault would prove little.
  EXPECT_GT(result.stats.translated * 6, result.stats.accesses);
  EXPECT_GT(result.stats.guest_faults, 0u);
  EXPECT_GT(result.stats.host_violations, 0u);
  EXPECT_GT(result.stats.forced_flushes, 0u);
}

TEST_P(Differential, KeptProgramsAnswerAsTheModel) {
  const std::filesystem::path folder =
      std::filesystem::path(GNOMON_TEST_SOURCE_DIR) / "tests/differential/programs";
  size_t programs = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() != ".txt") continue;
    std::ifstream in(file.path());
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    const absl::StatusOr<Program> program = parse_program(text);
    ASSERT_TRUE(program.ok()) << file.path() << ": " << program.status().message();
    const RunOptions thorough = RunOptions().thorough();
    RunStats stats;
    const auto end = run(*program, GetParam(), thorough, stats);
    if (!end.ok()) GTEST_SKIP() << GetParam() << ": " << end.status().message();
    EXPECT_FALSE(end->has_value()) << file.path() << "\n"
                                   << report(*program, GetParam(), thorough, **end);
    ++programs;
  }
  EXPECT_GT(programs, 0u);
}

INSTANTIATE_TEST_SUITE_P(Backends, Differential, testing::ValuesIn(specs()), [](const auto& param) {
  std::string name = param.param;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
});

TEST(Specs, EveryRegisteredBackendIsAmongThem) {
  for (const BackendInfo& backend : backends()) {
    if (backend.name == "ept") continue;  // another name for nested
    bool found = false;
    for (const absl::string_view spec : all_specs()) {
      found |= spec.substr(0, spec.find(':')) == backend.name;
    }
    EXPECT_TRUE(found) << backend.name;
  }
}

TEST(ProgramText, SurvivesTheRoundTrip) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    const Program program = generate(seed, 200);
    const absl::StatusOr<Program> again = parse_program(to_string(program));
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(to_string(*again), to_string(program));
  }
}

TEST(ProgramText, SaysWhereItIsWrong) {
  struct Case {
    const char* text;
    const char* expected;
  };
  const Case cases[] = {
      {"machine cpus=9", "cpus are 1 to 4"},
      {"machine colour=3", "line 1: bad setting \"colour=3\""},
      {"\nfly cpu=0", "line 2: unknown verb \"fly\""},
      {"invlpg cpu=0", "line 1: wrong number of fields for \"invlpg\""},
      {"invlpg va=0 cpu=0", "line 1: wanted cpu=, not \"va=0\""},
      {"access cpu=0 kind=psychic-read va=0 value=0 size=1",
       "no legal value: \"kind=psychic-read\""},
      {"store cpu=0 at=0 value=0 size=9", "no legal value: \"size=9\""},
      {"store cpu=4 at=0 value=0 size=8", "no legal value: \"cpu=4\""},
  };
  for (const Case& c : cases) {
    const absl::StatusOr<Program> program = parse_program(c.text);
    ASSERT_FALSE(program.ok()) << c.text;
    EXPECT_NE(program.status().message().find(c.expected), absl::string_view::npos)
        << program.status().message();
  }
}

// A seed that finds a bug under one compiler must find it under the next.
TEST(Generator, TheSameProgramsEverywhere) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (uint64_t seed = 0; seed < 40; ++seed) {
    for (const char c : to_string(generate(seed, 200))) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
  }
  EXPECT_EQ(hash, 428695402376641976u);
}

TEST(Generator, AnyBytesMakeAProgramThatRuns) {
  std::vector<uint8_t> bytes;
  for (unsigned i = 0; i < 600; ++i) bytes.push_back(static_cast<uint8_t>(i * 151 + (i >> 3)));
  for (size_t length = 0; length <= bytes.size(); length += 60) {
    RunStats stats;
    const Program program = generate_from(absl::MakeConstSpan(bytes).first(length));
    const auto end = run(program, "native", {}, stats);
    ASSERT_TRUE(end.ok());
    EXPECT_FALSE(end->has_value()) << report(program, "native", {}, **end);
  }
}

}  // namespace
}  // namespace gnomon::scenario
