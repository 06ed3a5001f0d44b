// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_JSON_TEXT_H_
#define TOOLS_JSON_TEXT_H_

#include <nlohmann/json.hpp>
#include <string>

namespace gnomon::tools {

/// A document as it is printed. Names of files and programs need not be UTF-8, which JSON is: what
/// is not becomes U+FFFD.
inline std::string json_text(const nlohmann::ordered_json& document) {
  using Json = nlohmann::ordered_json;
  return document.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

}  // namespace gnomon::tools

#endif  // TOOLS_JSON_TEXT_H_
