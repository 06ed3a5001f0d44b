// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_COMMANDS_H_
#define TOOLS_COMMANDS_H_

#include <string>

#include "tools/options.h"

// One function a verb; each returns the exit code.

namespace gnomon::tools {

int run_compare(const Arguments& arguments);
int run_counters(const Arguments& arguments);
int run_presets(const Arguments& arguments);
int run_backends(const Arguments& arguments);
int run_version(const Arguments& arguments);
int run_help(const Arguments& arguments);

/// Help on the whole program, and on one verb.
std::string program_help();
std::string verb_help(const Verb& verb);

}  // namespace gnomon::tools

#endif  // TOOLS_COMMANDS_H_
