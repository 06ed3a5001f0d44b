// SPDX-License-Identifier: Apache-2.0
#include "mmu/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/nested/machine.h"

namespace gnomon::nested_test {
namespace {

using ::testing::HasSubstr;

std::string message(const absl::Status& status) {
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(Options, ReadsEachKind) {
  OptionList list = OptionList::parse("a=on,b=0x10,c=2M,d=slow,e=no").value();
  EXPECT_TRUE(list.get_bool("a", false));
  EXPECT_EQ(list.get_uint("b", 1, 0, 100), 16u);
  EXPECT_EQ(list.get_bytes("c", 1, 0, ~uint64_t{0}), uint64_t{2} << 20);
  EXPECT_EQ(list.get_enum<int>("d", 0, {{{"fast", 1}, {"Slow", 2}}}), 2);
  EXPECT_FALSE(list.get_bool("e", true));
  EXPECT_TRUE(list.get_bool("absent", true));
  EXPECT_EQ(list.get_uint("missing", 7, 0, 10), 7u);
  EXPECT_TRUE(list.finish().ok());
}

TEST(Options, ReportsWhatIsWrong) {
  for (const absl::string_view text : {"a", "=1", "a=1,,b=2", "a=1,", "a=1,a=2"}) {
    EXPECT_FALSE(OptionList::parse(text).ok()) << text;
  }
  struct Case {
    absl::string_view text, wanted;
  };
  for (const Case& c : {Case{"level=5", "did you mean levels"}, {"levels=6", "from 4 to 5"},
                        {"levels=", "from 4 to 5"}, {"levels=-4", "from 4 to 5"}, {"ad=maybe", "on, off"},
                        {"max_page=4M", "4K, 2M, 1G"}, {"zebra=1", "known: levels, max_page, ad"},
                        {"levels=99999999999999999999", "from 4 to 5"}}) {
    Machine m;
    EXPECT_THAT(message(create_nested(m.p2m, c.text).status()), HasSubstr(std::string(c.wanted))) << c.text;
  }
  Machine m;
  EXPECT_THAT(message(create_npt(m.p2m, "ad=on").status()), HasSubstr("unknown option \"ad\""));
  OptionList list = OptionList::parse("n=17179869184G").value();
  EXPECT_EQ(list.get_bytes("n", 3, 0, ~uint64_t{0}), 3u);  // does not fit
  EXPECT_FALSE(list.finish().ok());
}

TEST(Registry, MakesBackendsByName) {
  Machine m;
  for (const BackendInfo& row : backends()) {
    const auto backend = create_backend(row.name, m.p2m);
    ASSERT_TRUE(backend.ok()) << row.name << ": " << backend.status();
    EXPECT_FALSE((*backend)->name().empty());
    EXPECT_THAT(message(create_backend(absl::StrCat(row.name, ":no_such=1"), m.p2m).status()), HasSubstr("no_such"));
  }
  EXPECT_EQ(create_backend("ept:levels=5,ad=off,max_page=2m", m.p2m).value()->name(), "nested");
  EXPECT_EQ(create_backend("npt", m.p2m).value()->name(), "npt");
  EXPECT_THAT(message(create_backend("nestd", m.p2m).status()), HasSubstr("did you mean nested"));
  EXPECT_THAT(message(create_backend("", m.p2m).status()), HasSubstr("known: native"));
}

}  // namespace
}  // namespace gnomon::nested_test
