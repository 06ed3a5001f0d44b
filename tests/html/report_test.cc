// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "tests/html/pages.h"
#include "tools/html/report_html.h"

namespace gnomon::html_test {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

/// What lies between `open` and the next `close`; empty if that is not there.
std::string between(absl::string_view text, absl::string_view open, absl::string_view close) {
  const size_t from = text.find(open);
  if (from == text.npos) return "";
  const size_t to = text.find(close, from + open.size());
  if (to == text.npos) return "";
  return std::string(text.substr(from + open.size(), to - from - open.size()));
}

constexpr absl::string_view kDocumentOpen =
    "<script type=\"application/json\" id=\"gnomon-document\">";

std::string embedded(absl::string_view page) { return between(page, kDocumentOpen, "</script>"); }

/// The page without its scripts and styles: what a browser reads as markup.
std::string markup(std::string page) {
  for (const auto& [open, close] : {std::pair("<script", "</script>"), {"<style", "</style>"}}) {
    for (size_t at; (at = page.find(open)) != std::string::npos;) {
      const size_t end = page.find(close, at);
      if (end == std::string::npos) break;
      page.erase(at, end + absl::string_view(close).size() - at);
    }
  }
  return page;
}

size_t occurrences(absl::string_view text, absl::string_view what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

std::vector<Json> all_documents() {
  return {comparison(),   smallest_comparison(), sweep(),
          Json::object(), hostile_comparison(),  Json{{"schema", "gnomon.sweep/1"}}};
}

TEST(Report, HoldsTheDocumentIntact) {
  for (const Json& document : all_documents()) {
    const Json back = Json::parse(embedded(tools::html_report(document)), nullptr, false);
    EXPECT_TRUE(back == document) << document.dump().substr(0, 80);
  }
}

TEST(Report, IsTheSamePageEachTime) {
  EXPECT_EQ(tools::html_report(comparison()), tools::html_report(comparison()));
}

TEST(Report, LoadsNothing) {
  for (const Json& document : all_documents()) {
    std::string page = absl::AsciiStrToLower(markup(tools::html_report(document)));
    // Text, whatever it says.
    page = absl::StrReplaceAll(page, {{between(page, "<title>", "</title>"), ""}});
    for (const char* loader :
         {"src=", "http:", "https:", "<link", "<img", "<iframe", "<object", "<base", "url("}) {
      EXPECT_THAT(page, Not(HasSubstr(loader)));
    }
  }
  const std::string page = tools::html_report(comparison());
  const std::string style = between(page, "<style>", "</style>");
  ASSERT_FALSE(style.empty());
  EXPECT_THAT(style, Not(HasSubstr("url(")));
  EXPECT_THAT(style, Not(HasSubstr("@import")));
  // Our own script is the last; the one before it is the chart library.
  const std::string script = page.substr(page.rfind("<script>"));
  for (const char* loader :
       {"fetch(", "XMLHttpRequest", "import(", "WebSocket", "http:", "https:", "innerHTML",
        "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"}) {
    EXPECT_THAT(script, Not(HasSubstr(loader)));
  }
}

TEST(Report, PolicyForbidsEverythingElse) {
  const std::string policy = between(tools::html_report(comparison()),
                                     "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
  EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(policy, Not(HasSubstr("*")));
  EXPECT_EQ(occurrences(policy, "'sha256-"), 3u);
}

TEST(Report, NamesCannotBecomeMarkup) {
  const std::string page = tools::html_report(hostile_comparison());
  // Three script elements as in every page: the document, the charts, ours; each closed once.
  const std::string plain = tools::html_report(comparison());
  EXPECT_EQ(occurrences(page, "</script"), 3u);
  EXPECT_EQ(occurrences(page, "<script"), occurrences(plain, "<script"));
  EXPECT_EQ(occurrences(page, "<!--"), occurrences(plain, "<!--"));
  EXPECT_THAT(embedded(page), Not(HasSubstr("\xE2\x80\xA8")));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_EQ(between(page, "<title>", "</title>").find('<'), std::string::npos);
  // A placeholder in a name is not filled in.
  EXPECT_EQ(occurrences(page, kDocumentOpen), 1u);
}

TEST(Report, BytesThatAreNotText) {
  Json document = comparison();
  document["traces"][0]["name"] = std::string("a\0b\xff\xc3(", 6);
  document["backends"][0]["spec"] = "\xf0\x28";
  const std::string page = tools::html_report(document);
  const Json back = Json::parse(embedded(page), nullptr, false);
  ASSERT_FALSE(back.is_discarded());
  EXPECT_EQ(back["traces"][0]["name"], std::string("a\0b\xEF\xBF\xBD\xEF\xBF\xBD(", 10));
  EXPECT_EQ(page.find('\xff'), std::string::npos);
  EXPECT_EQ(page.find('\xf0'), std::string::npos);
}

TEST(Report, MembersOfOtherKinds) {
  for (const char* text : {"null", "[]", "7", "\"x\"", R"({"backends":7,"points":{}})",
                           R"({"points":[7]})", R"({"points":[],"backends":[null,{"spec":3}]})"}) {
    const Json document = Json::parse(text);
    EXPECT_EQ(Json::parse(embedded(tools::html_report(document)), nullptr, false), document);
  }
}

TEST(Report, TitleNamesTheBackends) {
  for (const Json& document : {comparison(), sweep()}) {
    EXPECT_EQ(between(tools::html_report(document), "<title>", "</title>"),
              "Gnomon: native, shadow, vtlb, nested, agile");
  }
  EXPECT_EQ(between(tools::html_report(Json::object()), "<title>", "</title>"), "Gnomon report");
}

}  // namespace
}  // namespace gnomon::html_test
