// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_RUN_MACHINE_H_
#define TOOLS_RUN_MACHINE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gnomon/vmm/machine.h"
#include "tools/options.h"

namespace gnomon::tools {

/// What `run IMAGE` and `compare --guest IMAGE` say alike: `m` (whose board and format are known by
/// now) with the image that `word` names, --append, --module, --disk and this much memory.
/// InvalidArgument names the option; NotFound: no such image.
absl::StatusOr<vmm::MachineOptions> with_image(const Arguments& a, const std::string& word,
                                               uint64_t memory_bytes, vmm::MachineOptions m = {});

/// The files that a guest is made of or may read; none of them may be written over.
std::vector<std::string> files_of(const vmm::MachineOptions& m);

/// The machine that the options of `run` describe. InvalidArgument names the option, before any
/// file but those that it names is touched.
absl::StatusOr<vmm::MachineOptions> parse_run_machine(const Arguments& a);

}  // namespace gnomon::tools

#endif  // TOOLS_RUN_MACHINE_H_
