// SPDX-License-Identifier: Apache-2.0
//
// chase: from node to node of a linked list that lies in memory in random order.
#include "traces/generate/permutation.h"
#include "traces/generate/region.h"

namespace gnomon::generate {
namespace {

/// Node i of the list is the permutation's i-th element, so the pointers form a single cycle over
/// all nodes whatever the permutation's own cycles are.
struct AlongList {
  Permutation node;
  uint64_t step;
  uint64_t next = 0;
  uint64_t operator()(Random&) {
    const uint64_t place = node(next) * step;
    next = next + 1 == node.size() ? 0 : next + 1;
    return place;
  }
};

}  // namespace

Created create_chase(absl::string_view options) {
  absl::StatusOr<Keys> keys = Keys::parse("chase", options);
  if (!keys.ok()) return keys.status();
  const CommonKeys common = common_keys(*keys);
  const uint64_t bytes = keys->bytes("bytes", uint64_t{256} << 20, 1, kMostBytes);
  const uint64_t step = keys->bytes("step", 64, 1, kMostBytes);
  const AccessKeys access = access_keys(*keys);
  keys->require(access.size <= step, "size is more than step");
  keys->require(step <= bytes, "bytes is less than step");
  return create_region(*keys, common, access, bytes, /*modify=*/false, [&] {
    return AlongList{Permutation(bytes / step, common.seed), step};
  });
}

}  // namespace gnomon::generate
