// SPDX-License-Identifier: Apache-2.0
#include "tests/guest_images/check_load.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace gnomon::vmm {
namespace {

bool is_usable(const Ram& ram, uint64_t base, uint64_t bytes) {
  return std::any_of(ram.map().begin(), ram.map().end(), [&](const MemoryRange& r) {
    return r.kind == MemoryRange::Kind::kUsable && base >= r.base && bytes <= r.bytes &&
           base - r.base <= r.bytes - bytes;
  });
}

std::string check_error(const absl::Status& status) {
  const absl::string_view message = status.message();
  if (status.code() != absl::StatusCode::kInvalidArgument &&
      status.code() != absl::StatusCode::kResourceExhausted) {
    return absl::StrCat("unexpected code: ", status.ToString());
  }
  const bool one_line = message.find('\n') == absl::string_view::npos;
  if (!one_line || !absl::StartsWith(message, "folder/image: ") ||
      !absl::StrContains(message, "; ")) {
    return absl::StrCat("not a message of one line with file and advice: ", status.ToString());
  }
  return "";
}

}  // namespace

std::string check_load(absl::string_view format, const std::vector<uint8_t>& image, Ram& ram,
                       const LoadOptions& options) {
  const absl::StatusOr<LoadedGuest> guest = load(format, image, ram, options);
  if (!guest.ok()) return check_error(guest.status());

  std::vector<MemoryRange> used = guest->used;
  std::sort(used.begin(), used.end(),
            [](const MemoryRange& a, const MemoryRange& b) { return a.base < b.base; });
  for (size_t i = 0; i < used.size(); ++i) {
    if (!is_usable(ram, used[i].base, used[i].bytes)) {
      return absl::StrCat("not in usable RAM: ", used[i].base, " ", used[i].bytes);
    }
    if (i > 0 && used[i - 1].base + used[i - 1].bytes > used[i].base) return "parts overlap";
  }
  for (const uint64_t frame : ram.backed_frames()) {
    constexpr uint64_t kBios = 0xf'0000;
    const bool bios = frame >= kBios && frame < kBios + 0x1'0000;
    if (!bios && !is_usable(ram, frame, 1)) return absl::StrCat("touched: ", frame);
  }
  if (!is_usable(ram, guest->cpu.rip, 1)) return "starts outside RAM";
  return "";
}

}  // namespace gnomon::vmm
