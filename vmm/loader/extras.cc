// SPDX-License-Identifier: Apache-2.0
#include "vmm/loader/extras.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gnomon/traces/byte_source.h"
#include "vmm/loader/read_source.h"

namespace gnomon::vmm {

absl::Status refuse_extras(const LoadOptions& options, absl::string_view format) {
  const absl::string_view what = !options.command_line.empty() ? "a command line"
                                 : !options.modules.empty()    ? "modules"
                                                               : "";
  if (what.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(options.image, ": the format ", format,
                                                 " has no place for ", what, "; give none"));
}

absl::StatusOr<std::vector<uint8_t>> read_whole_file(absl::string_view path, uint64_t most_bytes) {
  absl::StatusOr<std::unique_ptr<ByteSource>> source = open_bytes(path);
  if (!source.ok()) return source.status();
  std::vector<uint8_t> bytes;
  const absl::Status bad = read_up_to(**source, most_bytes, bytes);
  if (!bad.ok()) return bad;
  const absl::StatusOr<bool> more = has_more(**source);
  if (!more.ok()) return more.status();
  if (*more) {
    return absl::ResourceExhaustedError(absl::StrCat(path, ": byte ", most_bytes,
                                                     ": larger than the ", most_bytes,
                                                     " bytes there is room for; give the guest "
                                                     "more memory"));
  }
  return bytes;
}

absl::string_view base_name(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

void append_string(std::vector<uint8_t>& to, absl::string_view text) {
  to.insert(to.end(), text.begin(), text.end());
  to.push_back(0);
}

}  // namespace gnomon::vmm
