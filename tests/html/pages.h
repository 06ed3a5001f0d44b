// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_HTML_PAGES_H_
#define TESTS_HTML_PAGES_H_

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/string_view.h"

namespace gnomon::html_test {

/// fixture.json: a comparison of five backends.
nlohmann::json comparison();
/// The same with only the members that no document lacks.
nlohmann::json smallest_comparison();
/// Two keys, three by two points, made by scaling the comparison.
nlohmann::json sweep();
/// Every string of the comparison that a user or a trace chooses, with markup in it.
nlohmann::json hostile_comparison();

/// Members of kinds that the schema does not allow, everywhere.
nlohmann::json malformed_comparison();

/// What would run, load or end an element if it reached the page as markup.
inline constexpr absl::string_view kHostile =
    "</script><script>window.hacked=1</script><!--<img src=http://evil.test/x "
    "onerror=window.hacked=1>\xE2\x80\xA8\xE2\x80\xA9'\"&amp;{{document}}";

}  // namespace gnomon::html_test

#endif  // TESTS_HTML_PAGES_H_
