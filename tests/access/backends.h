// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_ACCESS_BACKENDS_H_
#define TESTS_ACCESS_BACKENDS_H_

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace gnomon::access_test {

/// The backends that must agree with the naive model on every access. `direct` is not among them: it
/// refuses many of these tables by design. GNOMON_ACCESS_BACKENDS=SPEC;SPEC names others.
inline std::vector<std::string> backends_under_test() {
  if (const char* list = std::getenv("GNOMON_ACCESS_BACKENDS"); list != nullptr) {
    return absl::StrSplit(list, ';', absl::SkipEmpty());
  }
  return {"native", "shadow", "vtlb", "nested", "nested:ad=off,levels=5", "npt", "agile"};
}

/// A backend's name with its options as part of a test's name, which allows letters and digits only.
inline std::string test_name(absl::string_view backend) {
  std::string name;
  for (const char c : backend) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c))) name += c;
  }
  return name;
}

}  // namespace gnomon::access_test

#endif  // TESTS_ACCESS_BACKENDS_H_
