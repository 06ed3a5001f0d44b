// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_RECORD_LOCATE_H_
#define GNOMON_TRACES_RECORD_LOCATE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace gnomon::recording {

/// The file that a command's first word names, in PATH unless it has a slash. NotFound;
/// PermissionDenied when it is there but cannot be executed.
absl::StatusOr<std::string> find_program(absl::string_view name);
/// Valgrind's launcher, or NotFound that says what to install.
absl::StatusOr<std::string> find_valgrind();
/// The directory with our tool; see RecordOptions::tool_directory. FailedPrecondition.
absl::StatusOr<std::string> find_tool(absl::string_view wanted);

}  // namespace gnomon::recording

#endif  // GNOMON_TRACES_RECORD_LOCATE_H_
