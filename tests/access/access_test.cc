// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "tests/access/matrix.h"
#include "tests/access/backends.h"
#include "tests/support/scale.h"

namespace gnomon::access_test {
namespace {

using Set = Space::Set;

std::string name_for_test(const Space& s) {
  static constexpr const char* kModes[] = {"Off", "Legacy32", "Pae", "Level4", "Level5"};
  return absl::StrCat(kModes[static_cast<int>(s.mode)], s.set == Set::kFlags ? "Flags" : "Privileges",
                      "Maxphyaddr", s.maxphyaddr);
}

void expect_agreement(const std::vector<BackendReport>& reports, uint64_t cases_of_each) {
  for (const BackendReport& r : reports) {
    std::printf("  %s\n", to_string(r).c_str());
    testing::Test::RecordProperty(r.backend + "_cases", std::to_string(r.cases));
    if (!r.registered) continue;
    if (cases_of_each != 0) {
      EXPECT_EQ(r.cases, cases_of_each) << r.backend;
    }
    EXPECT_GT(r.faults, 0u) << r.backend;
    EXPECT_LT(r.faults, r.accesses) << r.backend;
    EXPECT_EQ(r.mismatches, 0u) << r.backend;
    for (const std::string& text : r.first_mismatches) ADD_FAILURE() << r.backend << ": " << text;
  }
}

MatrixOptions options_for(const Space& space, std::vector<std::string> backends) {
  MatrixOptions options;
  options.space = space;
  options.backends = std::move(backends);
  options.threads = 2;
  return options;
}

std::vector<Space> all_spaces() {
  std::vector<Space> spaces;
  for (const PagingMode mode : {PagingMode::kLevel4, PagingMode::kLevel5, PagingMode::kPae,
                                PagingMode::kLegacy32}) {
    for (const Set set : {Set::kFlags, Set::kPrivileges}) spaces.push_back({mode, set, 46});
  }
  return spaces;
}

// The numbers that the access test of kvm-unit-tests has for a processor with protection keys, so that
// no combination of its flags is missing here.
TEST(AccessSpace, CountsEqualTheAnchor) {
  EXPECT_EQ(count_cases({PagingMode::kLevel4, Set::kFlags, 36}), 28'999'680u);
  EXPECT_EQ(count_cases({PagingMode::kLevel4, Set::kFlags, 37}), 19'169'280u);
  EXPECT_EQ(count_cases({PagingMode::kLevel4, Set::kFlags, 51}), 19'169'280u);
  EXPECT_EQ(count_cases({PagingMode::kLevel4, Set::kFlags, 52}), 9'338'880u);
  EXPECT_EQ(count_cases({PagingMode::kLevel5, Set::kFlags, 46}), 19'169'280u);
}

class AccessSample
    : public testing::TestWithParam<std::tuple<std::string, Space>> {};

TEST_P(AccessSample, AgreesWithNaive) {
  const auto& [backend, space] = GetParam();
  MatrixOptions options = options_for(space, {backend});
  // Strides are prime, so that every value of every flag comes up.
  options.stride = small_scale() ? 4999 : space.long_mode() ? 379 : 37;
  const auto reports = run_matrix(options);
  if (!reports[0].registered) GTEST_SKIP() << "backend '" << backend << "' is not registered";
  expect_agreement(reports, 0);
}

INSTANTIATE_TEST_SUITE_P(
    All, AccessSample,
    testing::Combine(testing::ValuesIn(backends_under_test()), testing::ValuesIn(all_spaces())),
    [](const auto& test) {
      return test_name(std::get<0>(test.param)) + name_for_test(std::get<1>(test.param));
    });

// What differs between processor models: reserved bits, when A is set, where PDPTEs are read.
TEST(AccessModels, AgreeWithNaive) {
  for (const Space& base : all_spaces()) {
    for (const uint8_t maxphyaddr : {uint8_t{36}, uint8_t{52}}) {
      for (const bool accessed_before_fault : {false, true}) {
        Space space = base;
        space.maxphyaddr = maxphyaddr;
        MatrixOptions options = options_for(space, backends_under_test());
        options.stride = small_scale() ? 499'979 : 4999;
        options.accessed_before_fault = accessed_before_fault;
        options.pdptes_in_memory = maxphyaddr == 52;
        SCOPED_TRACE(name_for_test(space));
        std::printf("%s, accessed %s fault\n", name_for_test(space).c_str(),
                    accessed_before_fault ? "before" : "after");
        expect_agreement(run_matrix(options), 0);
      }
    }
  }
}

// Every case. Minutes, not seconds: run with GNOMON_TEST_SCALE=full.
class AccessFull : public testing::TestWithParam<Space> {};

TEST_P(AccessFull, AgreesWithNaive) {
  if (!full_scale()) GTEST_SKIP() << "needs GNOMON_TEST_SCALE=full";
  std::vector<std::string> backends = {"native", "shadow", "nested"};
  if (std::getenv("GNOMON_ACCESS_BACKENDS") != nullptr) backends = backends_under_test();
  expect_agreement(run_matrix(options_for(GetParam(), backends)), count_cases(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(All, AccessFull, testing::ValuesIn(all_spaces()),
                         [](const auto& test) { return name_for_test(test.param); });

}  // namespace
}  // namespace gnomon::access_test
