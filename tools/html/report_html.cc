// SPDX-License-Identifier: Apache-2.0
#include "tools/html/report_html.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tools/html/assets.h"

namespace gnomon::tools {
namespace {

using Json = nlohmann::json;

/// JSON that an HTML parser cannot mistake for markup: only ASCII, and none of the characters that
/// could end the script element or open a comment. It is still the same JSON.
std::string embedded_json(const Json& document) {
  const std::string plain = document.dump(-1, ' ', true, Json::error_handler_t::replace);
  return absl::StrReplaceAll(plain, {{"<", "\\u003c"}, {">", "\\u003e"}, {"&", "\\u0026"}});
}

std::string escaped_text(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

/// Nothing from anywhere, and no scripts or styles but the page's own. Blobs are for "save as
/// JSON".
std::string policy() {
  return absl::StrCat("default-src 'none'; script-src '", kReportChartHash, "' '",
                      kReportScriptHash, "'; style-src '", kReportStyleHash,
                      "'; base-uri 'none'; form-action 'none'");
}

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

/// "Gnomon: shadow, nested": what a browser shows in its tab.
std::string title_of(const Json& document) {
  const Json* comparison = &document;
  const Json* points = member(document, "points");
  if (points != nullptr && points->is_array() && !points->empty()) {
    if (const Json* first = member(points->front(), "result")) comparison = first;
  }
  std::vector<std::string> specs;
  const Json* backends = member(*comparison, "backends");
  if (backends != nullptr && backends->is_array()) {
    for (const Json& backend : *backends) {
      const Json* spec = member(backend, "spec");
      if (spec != nullptr && spec->is_string()) specs.push_back(spec->get<std::string>());
    }
  }
  // Through JSON once more, so that bytes which are not UTF-8 do not reach the page.
  std::string title =
      specs.empty() ? "Gnomon report" : absl::StrCat("Gnomon: ", absl::StrJoin(specs, ", "));
  const std::string valid = Json(title).dump(-1, ' ', false, Json::error_handler_t::replace);
  return Json::parse(valid).get<std::string>();
}

/// Replaces each {{name}} of the template; what is put in is not looked at again.
std::string filled(absl::string_view page,
                   absl::Span<const std::pair<absl::string_view, absl::string_view>> parts) {
  std::string out;
  while (!page.empty()) {
    const size_t open = page.find("{{");
    const size_t close = open == page.npos ? page.npos : page.find("}}", open);
    if (close == page.npos) break;
    out.append(page.data(), open);
    const absl::string_view name = page.substr(open + 2, close - open - 2);
    for (const auto& [key, value] : parts) {
      if (key == name) out.append(value.data(), value.size());
    }
    page.remove_prefix(close + 2);
  }
  out.append(page.data(), page.size());
  return out;
}

}  // namespace

std::string html_report(const Json& document) {
  const std::string json = embedded_json(document);
  const std::string title = escaped_text(title_of(document));
  const std::string rules = policy();
  return filled(kReportTemplate, {{"policy", rules},
                                  {"title", title},
                                  {"style", kReportStyle},
                                  {"document", json},
                                  {"chart", kReportChart},
                                  {"script", kReportScript}});
}

}  // namespace gnomon::tools
