// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "vmm/cpu/cpu.h"
#include "vmm/monitor/context.h"

namespace gnomon::vmm {
namespace {

constexpr absl::string_view kWide[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"};
constexpr absl::string_view kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};

std::optional<uint64_t> register_value(const MonitorContext& context, absl::string_view name) {
  const Cpu& cpu = context.machine.cpu(context.cpu);
  const Controls& c = cpu.controls();
  for (unsigned r = 0; r < 8; ++r) {
    if (name == kWide[r]) return cpu.gpr[r];
    if (name.size() == 3 && name[0] == 'e' && name.substr(1) == kWide[r].substr(1)) {
      return cpu.gpr[r] & 0xffff'ffff;
    }
    if (name == kWide[r].substr(1)) return cpu.gpr[r] & 0xffff;
  }
  for (unsigned r = 8; r < 16; ++r) {
    if (name == absl::StrCat("r", r)) return cpu.gpr[r];
  }
  for (unsigned s = 0; s < kSegmentRegisters; ++s) {
    if (name == kSegments[s]) return cpu.state.segments[s].selector;
    if (name == absl::StrCat(kSegments[s], "_base") ||
        name == absl::StrCat(kSegments[s], ".base")) {
      return cpu.state.segments[s].base;
    }
  }
  const struct {
    absl::string_view name;
    uint64_t value;
  } others[] = {
      {"rip", context.view().linear_pc()},
      {"eip", context.view().linear_pc()},
      {"pc", context.view().linear_pc()},
      {"sp", cpu.linear(kSs, cpu.gpr[kRsp])},
      {"rflags", cpu.rflags()},
      {"eflags", cpu.rflags()},
      {"cr0", c.cr0},
      {"cr2", cpu.state.cr2},
      {"cr3", c.cr3},
      {"cr4", c.cr4},
      {"cr8", cpu.state.cr8},
      {"efer", c.efer},
      {"k_gs_base", cpu.state.msrs.kernel_gs_base},
  };
  for (const auto& row : others) {
    if (name == row.name) return row.value;
  }
  return std::nullopt;
}

bool in_name(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
}

/// sum: product { + or - product }; product: unary { * unary }; unary: - unary, number, $register,
/// ( sum ).
class Parser {
 public:
  Parser(const MonitorContext& context, absl::string_view text) : context_(context), rest_(text) {}

  absl::StatusOr<uint64_t> all() {
    auto value = sum();
    if (!value.ok()) return value;
    skip_blanks();
    if (!rest_.empty()) return wrong(rest_);
    return value;
  }

 private:
  static constexpr int kMostDepth = 64;

  absl::Status wrong(absl::string_view what) const {
    return absl::InvalidArgumentError(
        what.empty()
            ? "an address or number is missing"
            : absl::StrCat("\"", what.substr(0, 40), "\": not a number, $register or expression"));
  }
  void skip_blanks() { rest_ = absl::StripLeadingAsciiWhitespace(rest_); }
  bool take(char c) {
    skip_blanks();
    return absl::ConsumePrefix(&rest_, absl::string_view(&c, 1));
  }

  absl::StatusOr<uint64_t> sum() {
    auto left = product();
    while (left.ok()) {
      const bool plus = take('+');
      if (!plus && !take('-')) break;
      const auto right = product();
      if (!right.ok()) return right;
      left = plus ? *left + *right : *left - *right;
    }
    return left;
  }
  absl::StatusOr<uint64_t> product() {
    auto left = unary();
    while (left.ok() && take('*')) {
      const auto right = unary();
      if (!right.ok()) return right;
      left = *left * *right;
    }
    return left;
  }
  absl::StatusOr<uint64_t> unary() {
    if (++depth_ > kMostDepth) return absl::InvalidArgumentError("the expression is too deep");
    auto value = primary();
    --depth_;
    return value;
  }
  absl::StatusOr<uint64_t> primary() {
    if (take('-')) {
      auto value = unary();
      if (value.ok()) value = uint64_t{0} - *value;
      return value;
    }
    if (take('(')) {
      auto value = sum();
      if (value.ok() && !take(')')) return absl::InvalidArgumentError("a ) is missing");
      return value;
    }
    const bool is_register = take('$');
    size_t n = 0;
    while (n < rest_.size() && in_name(rest_[n])) ++n;
    const absl::string_view word = rest_.substr(0, n);
    if (n == 0) return wrong(rest_);
    if (!is_register) {
      const auto value = number(word);
      if (!value) return wrong(word);
      rest_.remove_prefix(n);
      return *value;
    }
    const auto value = register_value(context_, absl::AsciiStrToLower(word));
    if (!value) {
      return absl::InvalidArgumentError(absl::StrCat("no register \"$", word.substr(0, 40), "\""));
    }
    rest_.remove_prefix(n);
    return *value;
  }

  static std::optional<uint64_t> number(absl::string_view word) {
    const bool hex = absl::ConsumePrefix(&word, "0x") || absl::ConsumePrefix(&word, "0X");
    const unsigned base = hex ? 16 : 10;
    uint64_t value = 0;
    for (const char c : word) {
      const auto byte = static_cast<unsigned char>(c);
      unsigned digit = 99;
      if (absl::ascii_isdigit(byte))
        digit = static_cast<unsigned>(c - '0');
      else if (absl::ascii_isxdigit(byte))
        digit = static_cast<unsigned>(absl::ascii_tolower(byte) - 'a' + 10);
      if (digit >= base || value > (std::numeric_limits<uint64_t>::max() - digit) / base)
        return std::nullopt;
      value = value * base + digit;
    }
    if (word.empty()) return std::nullopt;
    return value;
  }

  const MonitorContext& context_;
  absl::string_view rest_;
  int depth_ = 0;
};

}  // namespace

absl::StatusOr<uint64_t> evaluate(const MonitorContext& context, absl::string_view expression) {
  return Parser(context, absl::StripAsciiWhitespace(expression)).all();
}

absl::string_view take_word(absl::string_view& text) {
  text = absl::StripLeadingAsciiWhitespace(text);
  size_t n = 0;
  while (n < text.size() && !absl::ascii_isspace(static_cast<unsigned char>(text[n]))) ++n;
  const absl::string_view word = text.substr(0, n);
  text = absl::StripAsciiWhitespace(text.substr(n));
  return word;
}

absl::Status no_arguments(absl::string_view arguments) {
  if (arguments.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", arguments.substr(0, 40), "\": no argument is expected"));
}

}  // namespace gnomon::vmm
