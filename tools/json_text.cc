// SPDX-License-Identifier: Apache-2.0
#include "tools/json_text.h"

#include <nlohmann/json.hpp>

namespace gnomon::tools {

using Json = nlohmann::ordered_json;

std::string json_text(const Json& document) {
  return document.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

std::string setting_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

Json parse_json(absl::string_view text) {
  return Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false,
                     /*ignore_comments=*/true);
}

}  // namespace gnomon::tools
