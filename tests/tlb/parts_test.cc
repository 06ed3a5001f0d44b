// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <list>
#include <vector>

#include "gnomon/base/compare.h"
#include "gnomon/tlb/fingerprints.h"
#include "gnomon/tlb/lru_map.h"
#include "gnomon/tlb/presence.h"
#include "gnomon/tlb/recency.h"
#include "tests/scenario/random.h"

// What the TLB and the walk caches are made of, each against what it says in plain words.

namespace gnomon::tlb_internal {
namespace {

TEST(Compare, FindsEveryBytePositionAndValue) {
  for (unsigned value = 0; value < 256; ++value) {
    for (unsigned at = 0; at < 16; ++at) {
      std::array<uint8_t, 16> row;
      row.fill(static_cast<uint8_t>(~value));
      row[at] = static_cast<uint8_t>(value);
      ASSERT_EQ(equal_bytes(row.data(), static_cast<uint8_t>(value)), 1u << at);
    }
  }
}

TEST(Compare, FindsWordsByAllTheirBits) {
  for (unsigned bit = 0; bit < 32; ++bit) {
    const uint32_t value = 0x8000'0001u;
    const std::array<uint32_t, 4> row = {value, value ^ 1u << bit, value, ~value};
    ASSERT_EQ(equal_words(row.data(), value), 0b0101u) << "bit " << bit;
  }
}

// Every width, every position; neighbours hold the same and must not answer.
TEST(Fingerprints, FindEachWayOfEachSetOnly) {
  for (uint32_t ways = 1; ways <= 40; ++ways) {
    constexpr uint32_t kSets = 3;
    for (uint32_t set = 0; set < kSets; ++set) {
      for (uint32_t way = 0; way < ways; ++way) {
        Fingerprints f(kSets, ways);
        for (uint32_t other = 0; other < kSets; ++other) {
          for (uint32_t w = 0; w < ways; ++w) f.set(other, w, other == set ? 0x81 : 0x90);
        }
        f.set(set, way, 0x90);
        std::vector<uint32_t> asked;
        const auto ask = [&](uint32_t w) {
          asked.push_back(w);
          return false;
        };
        EXPECT_FALSE(f.find(set, ways, 0x90, ask));
        ASSERT_EQ(asked, std::vector<uint32_t>{way}) << ways << " ways, set " << set;
        asked.clear();
        f.find(set, way, 0x90, ask);
        ASSERT_TRUE(asked.empty()) << "way " << way << " of " << ways << " is not below " << way;
      }
    }
  }
}

TEST(Fingerprints, StopAtTheFirstThatIsRight) {
  Fingerprints f(1, 20);
  for (const uint32_t way : {3u, 7u, 18u}) f.set(0, way, 0xaa);
  uint32_t asked = 0;
  EXPECT_TRUE(f.find(0, 20, 0xaa, [&](uint32_t way) { return ++asked, way == 7; }));
  EXPECT_EQ(asked, 2u);
  EXPECT_NE(Fingerprints::of(0), 0) << "0 is a way that holds nothing";
}

TEST(Recency, NamesTheLeastRecentlyUsedOfEverySet) {
  scenario::Random random(41);
  for (const uint32_t ways : {1u, 2u, 3u, 4u, 8u, 9u, 16u, 72u}) {
    constexpr uint32_t kSets = 4;
    Recency recency(kSets, ways);
    std::vector<std::list<uint32_t>> order(kSets);  // oldest first
    for (uint32_t set = 0; set < kSets; ++set) {
      for (uint32_t way = 0; way < ways; ++way) {
        recency.use(set * ways + way);
        order[set].push_back(set * ways + way);
      }
    }
    for (int step = 0; step < 20000; ++step) {
      const auto set = static_cast<uint32_t>(random.below(kSets));
      std::list<uint32_t>& o = order[set];
      if (random.percent(60)) {
        // Often the same few, as programs do.
        const uint64_t way =
            random.percent(50) ? random.below(std::min(ways, 3u)) : random.below(ways);
        const auto slot = static_cast<uint32_t>(set * ways + way);
        recency.use(slot);
        o.splice(o.end(), o, std::find(o.begin(), o.end(), slot));
        continue;
      }
      ASSERT_EQ(recency.oldest(set, ways), o.front()) << ways << " ways, step " << step;
      const auto some = static_cast<uint32_t>(1 + random.below(ways));
      const auto first_of_some =
          std::find_if(o.begin(), o.end(), [&](uint32_t slot) { return slot < set * ways + some; });
      ASSERT_EQ(recency.oldest(set, some), *first_of_some) << some << " of " << ways << " ways";
      if (random.percent(50)) {
        recency.use(o.front());
        o.splice(o.end(), o, o.begin());
      }
    }
  }
}

// There and back again: each turn reverses the order of the last. Were the ways put in order one
// after the other, this would take minutes.
TEST(Recency, TurnsTheOrderOfAVeryWideSet) {
  constexpr uint32_t kWays = 1u << 16;
  Recency recency(1, kWays);
  for (int turn = 0; turn < 8; ++turn) {
    for (uint32_t way = 0; way < kWays; ++way) recency.use(turn % 2 == 0 ? way : kWays - 1 - way);
    ASSERT_EQ(recency.oldest(0, kWays), turn % 2 == 0 ? 0 : kWays - 1);
  }
}

TEST(Presence, IsNeverWrongWhenItSaysNone) {
  scenario::Random random(42);
  Presence presence(8);
  std::vector<uint64_t> held;
  for (int step = 0; step < 5000; ++step) {
    if (held.size() < 8 || random.percent(50)) {
      held.push_back(random.below(64));
      presence.add(held.back());
    } else {
      const size_t at = random.below(held.size());
      presence.remove(held[at]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
    }
    for (const uint64_t page : held)
      ASSERT_FALSE(presence.none(page)) << "page " << page << ", step " << step;
  }
  // With more of one page than it counts to, it does not know any more.
  Presence many(1);
  EXPECT_TRUE(many.none(5));
  for (int i = 0; i < 300; ++i) many.add(5);
  for (int i = 0; i < 299; ++i) many.remove(5);
  EXPECT_FALSE(many.none(5));
}

// Sets as lists in order of use.
TEST(LruMap, EqualsListsInOrderOfUse) {
  scenario::Random random(43);
  struct Geometry {
    uint32_t entries, ways;
  };
  for (const Geometry g :
       {Geometry{1, 0}, {2, 0}, {4, 4}, {32, 4}, {12, 4}, {16, 0}, {20, 0}, {40, 10}}) {
    LruMap<uint64_t> map({g.entries, g.ways});
    const uint32_t ways = g.ways == 0 ? g.entries : g.ways;
    const uint32_t sets = g.entries / ways;
    struct Item {
      uint64_t key, value;
    };
    std::vector<std::list<Item>> naive(sets);  // newest first
    for (int step = 0; step < 20000; ++step) {
      const uint64_t key = 1 + random.below(3 * g.entries);
      std::list<Item>& set = naive[key % sets];
      const auto at =
          std::find_if(set.begin(), set.end(), [&](const Item& i) { return i.key == key; });
      const uint64_t what = random.below(100);
      if (what < 50) {
        const uint64_t* const found = map.find(key, key);
        ASSERT_EQ(found != nullptr, at != set.end())
            << g.entries << "/" << g.ways << ", step " << step;
        if (found == nullptr) continue;
        ASSERT_EQ(*found, at->value);
        set.splice(set.begin(), set, at);
      } else if (what < 90) {
        map.put(key, key, static_cast<uint64_t>(step));
        if (at != set.end()) set.erase(at);
        set.push_front({key, static_cast<uint64_t>(step)});
        if (set.size() > ways) set.pop_back();
      } else if (what < 99) {
        map.erase(key, key);
        if (at != set.end()) set.erase(at);
      } else {
        map.erase_if([](uint64_t k) { return k % 3 == 0; });
        for (std::list<Item>& s : naive) s.remove_if([](const Item& i) { return i.key % 3 == 0; });
      }
      size_t used = 0;
      for (const std::list<Item>& s : naive) used += s.size();
      ASSERT_EQ(map.used(), used);
    }
  }
}

}  // namespace
}  // namespace gnomon::tlb_internal
