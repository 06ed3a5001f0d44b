# SPDX-License-Identifier: Apache-2.0
#
# Writes OUTPUT, a source file with the commit of the checkout SOURCE; leaves it alone when that has
# not changed, so that nothing is built again.
set(commit "")
find_program(GIT git)
if(GIT AND EXISTS "${SOURCE}/.git")
  execute_process(COMMAND "${GIT}" -C "${SOURCE}" describe --always --dirty --abbrev=12 --exclude=*
    OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE result)
  if(result EQUAL 0 AND described MATCHES "^[0-9a-f]+(-dirty)?$")
    set(commit "${described}")
  endif()
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" @ONLY CONTENT [[
// SPDX-License-Identifier: Apache-2.0
#include "tools/commit.h"

namespace gnomon::tools {
const char* source_commit() { return "@commit@"; }
}  // namespace gnomon::tools
]])
