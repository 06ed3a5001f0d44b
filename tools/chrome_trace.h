// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_CHROME_TRACE_H_
#define TOOLS_CHROME_TRACE_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gnomon/replay/timeline.h"
#include "gnomon/traces/trace_writer.h"

namespace gnomon::tools {

/// Writes a timeline as a trace in Chrome's JSON format, which Perfetto and chrome://tracing open,
/// and finishes the sink. Each processor is a process with the tracks guest, MMU and hypervisor;
/// times are microseconds, to the nanosecond. What took no time is an instant. An arrow leads from
/// a trapped table write (exit_table_write) to the next synchronization (synced_pages) of the same
/// page. Slices are cut to the slice around them where they stick out of it, since viewers want
/// them nested.
///
/// Errors: InvalidArgument if cycles_per_microsecond is not a positive number; what the sink
/// reports.
absl::Status write_chrome_trace(const Timeline& timeline, absl::string_view title, ByteSink& sink);

}  // namespace gnomon::tools

#endif  // TOOLS_CHROME_TRACE_H_
