// SPDX-License-Identifier: Apache-2.0
#include "gnomon/version.h"

namespace gnomon {

// The build defines the macro from the version of the CMake project, the only place that states it.
absl::string_view version() { return GNOMON_VERSION_STRING; }

}  // namespace gnomon
