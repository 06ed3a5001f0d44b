// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_COMPARE_OPTIONS_H_
#define TOOLS_COMPARE_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gnomon/base/units.h"
#include "tools/options.h"

namespace gnomon::tools {

enum class ReportForm { kText, kJson, kCsv };

/// What the command line of `gnomon compare` asks for, checked.
struct CompareOptions {
  std::string trace;
  std::vector<std::string> backends;
  std::string tlb;
  uint64_t memory_bytes;
  PageSize host_page;
  unsigned processes;
  uint64_t slice;
  uint64_t skip;
  uint64_t warmup;
  uint64_t limit;  ///< 0: none
  bool audit;
  bool lenient;
  bool quiet;
  bool verbose;
  ReportForm form;
};

absl::StatusOr<CompareOptions> compare_options(const Arguments& arguments);

/// The backends that one --mmu value names: parts end at semicolons; within a part, commas separate
/// names up to the first colon, and belong to the options of that backend after it.
std::vector<std::string> split_backends(absl::string_view list);

}  // namespace gnomon::tools

#endif  // TOOLS_COMPARE_OPTIONS_H_
