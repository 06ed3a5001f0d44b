// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_EXPORT_PATHS_H_
#define TOOLS_EXPORT_PATHS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace gnomon::tools {

/// An option, and the file it names; empty: it was not given.
using ExportPath = std::pair<absl::string_view, std::string>;

/// Refuses what would cost a file: an export over one of the inputs, two exports into one file, and
/// one to standard output, which has the result. Devices may be named as often as one likes.
/// `what`: an input is that.
absl::Status check_export_paths(absl::Span<const ExportPath> exports,
                                absl::Span<const std::string> inputs,
                                absl::string_view what = "a trace that is replayed");

}  // namespace gnomon::tools

#endif  // TOOLS_EXPORT_PATHS_H_
