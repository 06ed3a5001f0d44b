// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_SUGGEST_H_
#define TOOLS_SUGGEST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace gnomon::tools {

/// "; did you mean 'compare'?" for the known word nearest to a mistyped one; empty if none is near.
std::string did_you_mean(absl::string_view word, const std::vector<absl::string_view>& known);

}  // namespace gnomon::tools

#endif  // TOOLS_SUGGEST_H_
