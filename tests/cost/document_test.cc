// SPDX-License-Identifier: Apache-2.0
// The tables of docs/cost-model.md are what the code says. After a change of prices, put what this
// prints into the document.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/cost/model.h"

namespace gnomon {
namespace {

std::string price_list() {
  std::string text = "| price | meaning |\n|---|---|\n";
  for (const PriceInfo& info : price_table()) {
    absl::StrAppend(&text, "| `", info.name, "` | ", info.description, " |\n");
  }
  return text;
}

std::string term_list() {
  std::string text = "| group | counter | price of one |\n|---|---|---|\n";
  for (const CostTerm& term : cost_terms()) {
    absl::StrAppend(&text, "| ", cost_group_table()[static_cast<size_t>(term.group)].name, " | `",
                    info(term.counter).name, "` | ");
    absl::string_view plus;
    for (const Price p : term.prices) {
      if (p == Price::kCount) continue;
      absl::StrAppend(&text, plus, price_table()[static_cast<size_t>(p)].name);
      plus = " + ";
    }
    absl::StrAppend(&text, " |\n");
  }
  return text;
}

std::string preset(const CostPreset& preset) {
  std::string text = absl::StrCat("### ", preset.name, "\n\n", preset.description, "\n\n",
                                  "| price | cycles | source |\n|---|---:|---|\n");
  const CostModel model = preset.make();
  for (const PriceInfo& info : price_table()) {
    const auto i = static_cast<size_t>(info.id);
    absl::StrAppendFormat(&text, "| `%s` | %g | %s |\n", info.name, model.prices[i],
                          model.sources[i]);
  }
  return text;
}

std::string cache_list() {
  std::string text = "| preset | L1D | L2 | last level | | source |\n|---|---|---|---|---|---|\n";
  for (const CachePreset& row : cache_presets()) {
    absl::StrAppend(&text, "| `", row.name, "` |");
    for (const CacheLevelConfig& level : row.config.levels) {
      if (level.bytes == 0) {
        absl::StrAppend(&text, " none |");
      } else if (level.bytes < 1024) {
        absl::StrAppend(&text, " ", level.bytes, " bytes, ", level.ways, " ways |");
      } else {
        absl::StrAppend(&text, " ", level.bytes / 1024, " KiB, ", level.ways, " ways |");
      }
    }
    absl::StrAppend(&text, " ", row.description, " | ", row.source, " |\n");
  }
  return text;
}

TEST(CostDocument, TablesAreThoseOfTheCode) {
  std::ifstream in(std::string(GNOMON_TEST_SOURCE_DIR) + "/docs/cost-model.md");
  const std::string document{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  ASSERT_FALSE(document.empty());
  const auto expect = [&](const std::string& table) {
    EXPECT_TRUE(document.find(table) != std::string::npos) << "docs/cost-model.md lacks\n" << table;
  };
  expect(price_list());
  expect(term_list());
  for (const CostPreset& row : cost_presets()) expect(preset(row));
  expect(cache_list());
}

}  // namespace
}  // namespace gnomon
