// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_HTML_REPORT_HTML_H_
#define TOOLS_HTML_REPORT_HTML_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace gnomon::tools {

/// One HTML page with charts and tables of a comparison (schema gnomon.compare/2) or a sweep
/// (gnomon.sweep/1). It loads nothing, opens from a file, and holds `document` as JSON in the element
/// `gnomon-document`. The document may lack any member: what is not there is not shown. Its strings may
/// hold anything; bytes that are not UTF-8 become U+FFFD.
std::string html_report(const nlohmann::json& document);

}  // namespace gnomon::tools

#endif  // TOOLS_HTML_REPORT_HTML_H_
