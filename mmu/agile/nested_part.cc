// SPDX-License-Identifier: Apache-2.0
#include "mmu/agile/nested_part.h"

#include <algorithm>
#include <utility>

namespace gnomon::agile {

std::vector<uint32_t> NestedPart::held() const {
  std::vector<uint32_t> frames;
  for (const auto& [frame, written] : held_) frames.push_back(frame);
  std::sort(frames.begin(), frames.end());  // the map's order is not the same in each run
  return frames;
}

bool NestedPart::first_write(uint32_t frame) {
  const auto it = held_.find(frame);
  return it != held_.end() && !std::exchange(it->second, true);
}

std::vector<uint32_t> NestedPart::quiet_tables() {
  std::vector<uint32_t> quiet;
  for (auto& [frame, written] : held_) {
    if (!std::exchange(written, false)) quiet.push_back(frame);
  }
  std::sort(quiet.begin(), quiet.end());
  writes_.clear();
  return quiet;
}

}  // namespace gnomon::agile
