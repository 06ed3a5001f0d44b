// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_format.h"
#include "gnomon/replay/session.h"

namespace gnomon {

std::string compare_memory(const ReplayResult& a, const ReplayResult& b) {
  const size_t pages = std::max(a.memory_digests.size(), b.memory_digests.size());
  const auto digest = [](const ReplayResult& r, size_t i) {
    return i < r.memory_digests.size() ? r.memory_digests[i] : 0;
  };
  for (size_t i = 0; i < pages; ++i) {
    if (digest(a, i) == digest(b, i)) continue;
    if (i + 1 == pages) {
      return absl::StrFormat("loads saw other data under %s than under %s", b.spec, a.spec);
    }
    return absl::StrFormat("the guest reads other contents of page %s under %s than under %s",
                           to_string(Gpa::from_frame(i)), b.spec, a.spec);
  }
  return {};
}

}  // namespace gnomon
