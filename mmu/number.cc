// SPDX-License-Identifier: Apache-2.0
#include "mmu/number.h"

#include <string>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace gnomon {
namespace {

constexpr absl::string_view kPrefixes = "kmgt";

bool is_prefix(char c) { return kPrefixes.find(c) != absl::string_view::npos; }

bool all_of(absl::string_view text, bool (*is_one)(unsigned char)) {
  return !text.empty() &&
         absl::c_all_of(text, [&](char c) { return is_one(static_cast<unsigned char>(c)); });
}

}  // namespace

absl::StatusOr<uint64_t> parse_number(absl::string_view text, NumberUnit unit) {
  const auto bad = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' ", why));
  };
  const std::string lower = absl::AsciiStrToLower(text);
  absl::string_view digits = lower;
  const bool hex = absl::ConsumePrefix(&digits, "0x");
  if (unit == NumberUnit::kBytes && !absl::ConsumeSuffix(&digits, "ib")) {
    // B is a hexadecimal digit, too.
    const bool is_unit = !hex || (digits.size() > 1 && is_prefix(digits[digits.size() - 2]));
    if (is_unit) absl::ConsumeSuffix(&digits, "b");
  }
  uint64_t scale = 1;
  if (unit != NumberUnit::kNone && !digits.empty() && is_prefix(digits.back())) {
    const size_t power = kPrefixes.find(digits.back()) + 1;
    for (size_t i = 0; i < power; ++i) scale *= unit == NumberUnit::kBytes ? 1024 : 1000;
    digits.remove_suffix(1);
  }
  if (!all_of(digits, hex ? absl::ascii_isxdigit : absl::ascii_isdigit))
    return bad("is not a number");
  uint64_t n = 0;
  const bool fits = hex ? absl::SimpleHexAtoi(digits, &n) : absl::SimpleAtoi(digits, &n);
  if (!fits || n > ~uint64_t{0} / scale) return bad("is too large");
  return n * scale;
}

}  // namespace gnomon
