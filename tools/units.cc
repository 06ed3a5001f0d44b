// SPDX-License-Identifier: Apache-2.0
#include "tools/units.h"

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace gnomon::tools {
namespace {

constexpr absl::string_view kPrefixes = "kmgt";

bool all_of(absl::string_view text, bool (*is_one)(unsigned char)) {
  return !text.empty() && absl::c_all_of(text, [&](char c) {
    return is_one(static_cast<unsigned char>(c));
  });
}

absl::StatusOr<uint64_t> parse(absl::string_view text, uint64_t base, absl::string_view unit) {
  const auto bad = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' ", why));
  };
  const std::string lower = absl::AsciiStrToLower(text);
  absl::string_view digits = lower;
  uint64_t n = 0;
  if (absl::ConsumePrefix(&digits, "0x")) {
    if (!all_of(digits, absl::ascii_isxdigit)) return bad("is not a number");
    if (!absl::SimpleHexAtoi(digits, &n)) return bad("is too large");
    return n;
  }
  if (!unit.empty() && !absl::ConsumeSuffix(&digits, "ib")) absl::ConsumeSuffix(&digits, unit);
  uint64_t scale = 1;
  if (!digits.empty()) {
    if (const size_t p = kPrefixes.find(digits.back()); p != absl::string_view::npos) {
      for (size_t i = 0; i <= p; ++i) scale *= base;
      digits.remove_suffix(1);
    }
  }
  if (!all_of(digits, absl::ascii_isdigit)) return bad("is not a number");
  if (!absl::SimpleAtoi(digits, &n) || n > ~uint64_t{0} / scale) return bad("is too large");
  return n * scale;
}

}  // namespace

absl::StatusOr<uint64_t> parse_bytes(absl::string_view text) { return parse(text, 1024, "b"); }
absl::StatusOr<uint64_t> parse_count(absl::string_view text) { return parse(text, 1000, ""); }

std::string with_separators(uint64_t n) {
  std::string text = absl::StrCat(n);
  for (size_t i = text.size(); i > 3;) {
    i -= 3;
    text.insert(i, 1, ',');
  }
  return text;
}

std::string short_bytes(uint64_t n) {
  constexpr absl::string_view kUnits = "KMGT";
  for (size_t i = kUnits.size(); i-- > 0;) {
    const uint64_t unit = uint64_t{1} << (10 * (i + 1));
    if (n >= unit && n % unit == 0) return absl::StrCat(n / unit, kUnits.substr(i, 1));
  }
  return with_separators(n) + " bytes";
}

}  // namespace gnomon::tools
