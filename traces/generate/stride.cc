// SPDX-License-Identifier: Apache-2.0
//
// sequential and stride: one place after the other, and again from the front.
#include "traces/generate/region.h"

namespace gnomon::generate {
namespace {

struct InSteps {
  uint64_t step, end;  // the first place that is no longer visited
  uint64_t next = 0;
  uint64_t operator()(Random&) {
    const uint64_t place = next;
    next = next + step == end ? 0 : next + step;
    return place;
  }
};

Created create_steps(Keys& keys, const CommonKeys& common, const AccessKeys& access, uint64_t bytes,
                     uint64_t step) {
  keys.require(bytes >= access.size, "bytes is less than size");
  return create_region(keys, common, access, bytes, /*modify=*/false, [&] {
    const uint64_t places = (bytes - access.size) / step + 1;
    return InSteps{step, places * step};
  });
}

}  // namespace

Created create_sequential(absl::string_view options) {
  absl::StatusOr<Keys> keys = Keys::parse("sequential", options);
  if (!keys.ok()) return keys.status();
  const CommonKeys common = common_keys(*keys);
  const uint64_t bytes = keys->bytes("bytes", uint64_t{256} << 20, 1, kMostBytes);
  const AccessKeys access = access_keys(*keys);
  return create_steps(*keys, common, access, bytes, access.size);
}

Created create_stride(absl::string_view options) {
  absl::StatusOr<Keys> keys = Keys::parse("stride", options);
  if (!keys.ok()) return keys.status();
  const CommonKeys common = common_keys(*keys);
  const uint64_t bytes = keys->bytes("bytes", uint64_t{1} << 30, 1, kMostBytes);
  const uint64_t step = keys->bytes("step", kPage, 1, kMostBytes);
  return create_steps(*keys, common, access_keys(*keys), bytes, step);
}

}  // namespace gnomon::generate
