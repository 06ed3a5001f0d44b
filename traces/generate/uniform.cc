// SPDX-License-Identifier: Apache-2.0
//
// uniform and gups: every place as likely as any other.
#include "traces/generate/region.h"

namespace gnomon::generate {
namespace {

struct Anywhere {
  uint64_t places, size;
  uint64_t operator()(Random& random) const { return random.below(places) * size; }
};

}  // namespace

Created create_uniform(absl::string_view options) {
  absl::StatusOr<Keys> keys = Keys::parse("uniform", options);
  if (!keys.ok()) return keys.status();
  const CommonKeys common = common_keys(*keys);
  const uint64_t bytes = keys->bytes("bytes", uint64_t{1} << 30, 1, kMostBytes);
  const AccessKeys access = access_keys(*keys);
  keys->require(bytes >= access.size, "bytes is less than size");
  return create_region(*keys, common, access, bytes, /*modify=*/false, [&] {
    return Anywhere{bytes / access.size, access.size};
  });
}

Created create_gups(absl::string_view options) {
  constexpr uint64_t kWord = 8;
  absl::StatusOr<Keys> keys = Keys::parse("gups", options);
  if (!keys.ok()) return keys.status();
  const CommonKeys common = common_keys(*keys);
  const uint64_t bytes = keys->bytes("bytes", uint64_t{1} << 30, kWord, kMostBytes);
  return create_region(*keys, common, {kWord, 0}, bytes, /*modify=*/true, [&] {
    return Anywhere{bytes / kWord, kWord};
  });
}

}  // namespace gnomon::generate
