// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SCENARIO_GUEST_LAYOUT_H_
#define TESTS_SCENARIO_GUEST_LAYOUT_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "gnomon/x86/controls.h"
#include "tests/scenario/choices.h"

namespace gnomon::scenario {

/// How a paging mode cuts addresses.
struct PagingShape {
  PagingMode mode;
  unsigned levels;
  unsigned index_bits;
  unsigned entry_bytes;
};

/// A handful of addresses and frames, to which everything happens: what a random program reads,
/// writes and puts into tables is chosen here.
class GuestLayout {
 public:
  static constexpr uint64_t kTablesPerLevel = 3;

  /// Tables and data lie from frame `first_frame` on. With `only`, the guest uses that mode and
  /// cooperates: it keeps, most of the time, to what validated tables allow.
  GuestLayout(Choices& choices, std::optional<PagingMode> only, uint64_t first_frame);

  const PagingShape& shape() const { return shape_; }
  /// Of pages, all that the program uses.
  const std::vector<uint64_t>& addresses() const { return addresses_; }

  uint64_t index_of(uint64_t va, unsigned level) const {
    return va >> (12 + shape_.index_bits * (level - 1)) & ((uint64_t{1} << shape_.index_bits) - 1);
  }
  /// The frames of the tables that serve a level; `which` is less than kTablesPerLevel.
  uint64_t level_table(unsigned level, uint64_t which) const;

  // Choices from here on.

  /// A page and an offset.
  uint64_t address();
  uint64_t table_frame();
  /// Mostly one of a few that serve this level, so that walks get somewhere.
  uint64_t table_frame(unsigned level);
  uint64_t data_frame();
  uint64_t root();
  /// `good`: more probably one that an operating system would write.
  uint64_t entry(unsigned level, bool good);
  /// One entry somewhere in a table frame, at an index that some address uses at some level.
  uint64_t entry_place(unsigned level);
  unsigned some_level();

 private:
  // Addresses that share tables on the way down: few different indices at each level.
  void choose_addresses(uint64_t count);
  // Anything that an entry may point to.
  uint64_t target(bool leaf, unsigned level);

  Choices& choices_;
  const bool tame_;
  const uint64_t base_;  // first frame of the region where tables and data are
  const PagingShape shape_;
  std::vector<uint64_t> addresses_;
  std::vector<uint64_t> roots_;
};

}  // namespace gnomon::scenario

#endif  // TESTS_SCENARIO_GUEST_LAYOUT_H_
