// SPDX-License-Identifier: Apache-2.0
//
// Opens reports in a real browser; what is checked there is in check_report.py. With the
// environment variable GNOMON_TEST_PICTURES, the name of a folder, screenshots and pages are left
// there to look at.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/html/pages.h"
#include "tests/support/temporary_directory.h"
#include "tools/html/report_html.h"

namespace gnomon::html_test {
namespace {

class Browser : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* program : {"/usr/bin/python3", "/usr/bin/chromium", "/usr/bin/chromedriver"}) {
      if (access(program, X_OK) != 0) GTEST_SKIP() << program << " is missing";
    }
    if (std::system("/usr/bin/python3 -c 'import selenium' 2>/dev/null") != 0) {
      GTEST_SKIP() << "/usr/bin/python3 has no selenium (Debian: python3-selenium)";
    }
  }

  void check(const nlohmann::json& document, const std::string& kind) {
    const char* pictures = std::getenv("GNOMON_TEST_PICTURES");
    const std::filesystem::path kept = pictures != nullptr ? pictures : directory_.path();
    const std::string page = (kept / (kind + ".html")).string();
    const std::string json = directory_.path(kind + ".json");
    std::ofstream(page) << tools::html_report(document);
    std::ofstream(json) << document.dump();
    const std::string command = absl::StrCat(
        "/usr/bin/python3 '", GNOMON_TEST_SOURCE_DIR, "/tests/html/check_report.py' --kind ", kind,
        " --scratch '", directory_.path().string(), "'",
        pictures != nullptr ? absl::StrCat(" --pictures '", pictures, "'") : "", " '", page, "' '",
        json, "' 2>&1");
    FILE* pipe = popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string output;
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, n);
    const int status = pclose(pipe);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code == 77) GTEST_SKIP() << output;
    EXPECT_EQ(code, 0) << output;
  }

  test_support::TemporaryDirectory directory_;
};

TEST_F(Browser, Comparison) { check(comparison(), "comparison"); }
TEST_F(Browser, ComparisonWithoutOptionalMembers) { check(smallest_comparison(), "smallest"); }
TEST_F(Browser, HostileNames) { check(hostile_comparison(), "hostile"); }
TEST_F(Browser, Sweep) { check(sweep(), "sweep"); }
TEST_F(Browser, EmptyDocument) { check(nlohmann::json::object(), "empty"); }
TEST_F(Browser, MembersOfOtherKinds) { check(malformed_comparison(), "malformed"); }

}  // namespace
}  // namespace gnomon::html_test
