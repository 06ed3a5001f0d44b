// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_JSON_TEXT_H_
#define TOOLS_JSON_TEXT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/strings/string_view.h"

// The one place that writes JSON as text and reads it: what does that in the library takes long to
// compile.

namespace gnomon::tools {

/// A document as it is printed. Names of files and programs need not be UTF-8, which JSON is: what
/// is not becomes U+FFFD.
std::string json_text(const nlohmann::ordered_json& document);

/// A setting as one gives it on the command line: text without quotes, a number, true or false.
std::string setting_text(const nlohmann::ordered_json& value);

/// A document, which may have comments; discarded (is_discarded()) if it is not JSON.
nlohmann::ordered_json parse_json(absl::string_view text);

}  // namespace gnomon::tools

#endif  // TOOLS_JSON_TEXT_H_
