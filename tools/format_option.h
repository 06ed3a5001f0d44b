// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_FORMAT_OPTION_H_
#define TOOLS_FORMAT_OPTION_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tools/options.h"

namespace gnomon::tools {

/// Whether the value of an option, if it has one, names a trace format. InvalidArgument names both.
absl::Status check_format(const Arguments& arguments, absl::string_view option);

}  // namespace gnomon::tools

#endif  // TOOLS_FORMAT_OPTION_H_
