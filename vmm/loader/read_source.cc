// SPDX-License-Identifier: Apache-2.0
#include "vmm/loader/read_source.h"

#include <algorithm>

namespace gnomon::vmm {

absl::Status read_up_to(ByteSource& source, uint64_t most_bytes, std::vector<uint8_t>& to) {
  constexpr uint64_t kPiece = 256 << 10;
  while (to.size() < most_bytes) {
    const size_t before = to.size();
    to.resize(before + std::min(kPiece, most_bytes - before));
    const absl::StatusOr<size_t> got = source.read(
        absl::MakeSpan(reinterpret_cast<char*>(to.data() + before), to.size() - before));
    to.resize(before + (got.ok() ? *got : 0));
    if (!got.ok()) return got.status();
    if (*got == 0) break;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> has_more(ByteSource& source) {
  char one = 0;
  const absl::StatusOr<size_t> got = source.read(absl::MakeSpan(&one, 1));
  if (!got.ok()) return got.status();
  return *got != 0;
}

}  // namespace gnomon::vmm
