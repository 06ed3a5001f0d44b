// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_HTML_ASSETS_H_
#define TOOLS_HTML_ASSETS_H_

// The parts of the report page, from tools/html/assets and the chart library; embed.cmake makes the
// definitions. The hashes are those of the text as it stands in the page, for its security policy.

namespace gnomon::tools {

extern const char kReportTemplate[];
extern const char kReportStyle[];
extern const char kReportStyleHash[];
extern const char kReportChart[];
extern const char kReportChartHash[];
extern const char kReportScript[];
extern const char kReportScriptHash[];

}  // namespace gnomon::tools

#endif  // TOOLS_HTML_ASSETS_H_
