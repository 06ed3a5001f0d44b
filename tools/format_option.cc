// SPDX-License-Identifier: Apache-2.0
#include "tools/format_option.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gnomon/traces/formats.h"

namespace gnomon::tools {

absl::Status check_format(const Arguments& arguments, absl::string_view option) {
  const std::string name = arguments.text(option);
  if (name.empty()) return absl::OkStatus();
  const absl::Status status = find_trace_format(name).status();
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(option, ": ", status.message()));
}

}  // namespace gnomon::tools
