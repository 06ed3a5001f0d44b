// SPDX-License-Identifier: Apache-2.0
#include "gnomon/cost/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

namespace gnomon {
namespace {

TEST(CostPresets, CompleteAndSourced) {
  std::set<std::string> names;
  for (const CostPreset& preset : cost_presets()) {
    EXPECT_TRUE(names.insert(std::string(preset.name)).second) << preset.name;
    const CostModel model = preset.make();
    EXPECT_EQ(model.name, preset.name);
    EXPECT_FALSE(preset.description.empty());
    EXPECT_EQ(find_cost_model(preset.name).value().prices, model.prices);
    for (const PriceInfo& info : price_table()) {
      const auto i = static_cast<size_t>(info.id);
      EXPECT_TRUE(std::isfinite(model.prices[i]) && model.prices[i] >= 0 &&
                  model.prices[i] <= kMaxPrice)
          << preset.name << " " << info.name;
      EXPECT_FALSE(model.sources[i].empty()) << preset.name << " " << info.name;
      EXPECT_NE(model.sources[i], "given");
    }
    EXPECT_LE(model[Price::kCacheL1], model[Price::kCacheL2]) << preset.name;
    EXPECT_LE(model[Price::kCacheL2], model[Price::kCacheLast]) << preset.name;
    EXPECT_LE(model[Price::kCacheLast], model[Price::kMemory]) << preset.name;
  }
}

TEST(CostPresets, UnknownNameListsWhatIsKnown) {
  const absl::Status s = find_cost_model("vmx").status();
  EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument);
  for (const CostPreset& preset : cost_presets()) {
    EXPECT_NE(s.message().find(preset.name), absl::string_view::npos) << s;
  }
  EXPECT_NE(s.message().find("\"vmx\""), absl::string_view::npos) << s;
}

TEST(CostModel, EachPriceCanBeSetByItsName) {
  std::set<absl::string_view> names;
  for (const PriceInfo& info : price_table()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_FALSE(info.description.empty());
    CostModel model = find_cost_model("vtx").value();
    const CostModel before = model;
    ASSERT_TRUE(model.set(info.name, "123.5").ok()) << info.name;
    for (size_t i = 0; i < kPriceCount; ++i) {
      const bool it = i == static_cast<size_t>(info.id);
      EXPECT_EQ(model.prices[i], it ? 123.5 : before.prices[i]) << info.name;
      EXPECT_EQ(model.sources[i], it ? "given" : before.sources[i]) << info.name;
    }
    EXPECT_EQ(model.name, "vtx");
  }
}

TEST(CostModel, Values) {
  CostModel model;
  for (const char* good : {"0", "1", "1e3", "0.25", "+7", "1e15"}) {
    EXPECT_TRUE(model.set("exit", good).ok()) << good;
  }
  ASSERT_TRUE(model.set("exit", "-0").ok());
  EXPECT_FALSE(std::signbit(model[Price::kExit]));
  ASSERT_TRUE(model.set("exit", "42").ok());
  for (const char* bad : {"", "nan", "NaN", "inf", "-inf", "-1", "-1e-300", "1e999", "1.1e15",
                          "abc", "1x", "1,000", "0x", "--1", "1 2"}) {
    const absl::Status s = model.set("exit", bad);
    EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_NE(s.message().find("exit"), absl::string_view::npos) << s;
    EXPECT_EQ(model[Price::kExit], 42) << bad;
  }
}

TEST(CostModel, BadKeysListTheGoodOnes) {
  CostModel model;
  for (const char* bad : {"", "exits", "Exit", "kExit", "exit ", "handle"}) {
    const absl::Status s = model.set(bad, "1");
    EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_NE(s.message().find("handle_page_fault"), absl::string_view::npos) << s;
  }
}

TEST(CostGroups, NamedAndInOrder) {
  std::set<absl::string_view> names;
  for (size_t i = 0; i < kCostGroupCount; ++i) {
    const CostGroupInfo& info = cost_group_table()[i];
    EXPECT_EQ(static_cast<size_t>(info.id), i);
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
  }
}

}  // namespace
}  // namespace gnomon
