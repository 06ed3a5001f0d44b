// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_COMMIT_H_
#define TOOLS_COMMIT_H_

namespace gnomon::tools {

/// The commit that the program was built from, with "-dirty" when files had changed since; empty
/// when it was not built in a checkout. Generated in each build (commit.cmake).
const char* source_commit();

}  // namespace gnomon::tools

#endif  // TOOLS_COMMIT_H_
