// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_GUEST_FILES_H_
#define TOOLS_GUEST_FILES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace gnomon::tools {

/// What an image is on the command line: a file; or, if there is none and it is a mere name, a
/// guest that comes with the program. NotFound says which there are.
absl::StatusOr<std::string> guest_image(const std::string& word);

/// The file of a guest that comes with the program, by its name ("popf"): in $GNOMON_GUESTS; in
/// ../share/gnomon/guests, seen from the running program; in ../guests, where the build puts them.
/// NotFound says where it was looked for.
absl::StatusOr<std::string> find_guest(absl::string_view name);

}  // namespace gnomon::tools

#endif  // TOOLS_GUEST_FILES_H_
