// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_REPLAY_MIXED_H_
#define TRACES_REPLAY_MIXED_H_

#include <cstdint>

namespace gnomon {

/// All bits of `z` spread over the result: for digests and for numbers that differ.
constexpr uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  return z ^ (z >> 27);
}

}  // namespace gnomon

#endif  // TRACES_REPLAY_MIXED_H_
