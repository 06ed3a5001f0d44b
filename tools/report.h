// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_REPORT_H_
#define TOOLS_REPORT_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "gnomon/base/counters.h"
#include "gnomon/traces/guest_kernel.h"
#include "gnomon/traces/lackey.h"

// What `gnomon compare` has found out, and its three forms. All come from one table of rows
// (report_rows.cc).

namespace gnomon::tools {

/// One column: a backend and what it cost there.
struct BackendResult {
  std::string spec;
  Counters counters;
  GuestStats guest;
  std::vector<std::string> problems;  ///< found by --audit
};

struct CompareResult {
  std::string trace;
  LackeyStats reader;
  /// References measured, once for all processes, by AccessOp.
  std::array<uint64_t, 3> references{};
  uint64_t skipped = 0;
  uint64_t warmed_up = 0;

  std::string tlb;
  uint64_t memory_bytes = 0;
  std::string host_page;
  unsigned processes = 1;
  uint64_t slice = 0;
  bool audited = false;

  std::vector<BackendResult> backends;
};

/// The table for people. Rows that are zero for every backend, and details, are left out unless
/// `all_rows`.
std::string to_text(const CompareResult& result, bool all_rows);
/// One JSON document.
std::string to_json(const CompareResult& result);
/// A line for each backend and quantity: backend,group,name,unit,value.
std::string to_csv(const CompareResult& result);

}  // namespace gnomon::tools

#endif  // TOOLS_REPORT_H_
