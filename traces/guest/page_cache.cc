// SPDX-License-Identifier: Apache-2.0
#include "traces/guest/page_cache.h"

namespace gnomon::guest {

uint64_t PageCache::number_of(Key file) {
  uint64_t& object = files_[file];
  if (object == 0) object = next_ += 2;
  return object;
}

void PageCache::add(uint64_t object, uint64_t page, uint64_t frame) {
  chunks_[{object, page / kChunk}][page % kChunk] = static_cast<uint32_t>(frame);
  if (is_memory(object)) memories_[object].pages.push_back(page);
}

bool PageCache::use(uint64_t object, int change) {
  if (!is_memory(object)) return false;
  uint64_t& mappings = memories_[object].mappings;
  mappings += static_cast<uint64_t>(static_cast<int64_t>(change));
  return mappings == 0;
}

}  // namespace gnomon::guest
