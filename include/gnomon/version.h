// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_VERSION_H_
#define GNOMON_VERSION_H_

#include "absl/strings/string_view.h"

namespace gnomon {

/// The version of the library that is linked in, as "major.minor.patch".
absl::string_view version();

}  // namespace gnomon

#endif  // GNOMON_VERSION_H_
