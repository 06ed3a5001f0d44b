// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_RUN_MACHINE_H_
#define TOOLS_RUN_MACHINE_H_

#include "absl/status/statusor.h"
#include "gnomon/vmm/machine.h"
#include "tools/options.h"

namespace gnomon::tools {

/// The machine that the options of `run` describe. InvalidArgument names the option, before any file but those that it
/// names is touched.
absl::StatusOr<vmm::MachineOptions> parse_run_machine(const Arguments& a);

}  // namespace gnomon::tools

#endif  // TOOLS_RUN_MACHINE_H_
