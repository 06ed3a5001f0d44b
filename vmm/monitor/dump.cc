// SPDX-License-Identifier: Apache-2.0
// `x` and `xp`: memory in QEMU's layouts, and as instructions.
#include <Zydis/Zydis.h>

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "gnomon/memory/bytes.h"
#include "vmm/cpu/cpu.h"
#include "vmm/monitor/context.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kMostItems = 4096;
constexpr size_t kMostText = 4096;  // bytes of a string
constexpr absl::string_view kNoMemory = " Cannot access memory\n";

struct DumpFormat {
  uint64_t count = 1;
  char letter = 'x';
  unsigned size = 4;  ///< bytes of an item
};

// [COUNT][FORMAT][SIZE] behind the slash.
absl::StatusOr<DumpFormat> parse_format(absl::string_view text) {
  DumpFormat f;
  const absl::string_view whole = text.substr(0, 40);
  uint64_t count = 0;
  bool counted = false;
  while (!text.empty() && absl::ascii_isdigit(static_cast<unsigned char>(text[0]))) {
    count = std::min<uint64_t>(count * 10 + static_cast<uint64_t>(text[0] - '0'), kMostItems + 1);
    counted = true;
    text.remove_prefix(1);
  }
  if (counted) f.count = count;
  bool sized = false;
  for (const char c : text) {
    constexpr absl::string_view kSizes = "bhwg";
    if (const size_t size = kSizes.find(c); size != absl::string_view::npos) {
      f.size = 1u << size;
      sized = true;
    } else if (absl::string_view("xduocis").find(c) != absl::string_view::npos) {
      f.letter = c;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("\"/", whole, "\": not a count, one of x d u o c i s, and one of b h w g"));
    }
  }
  if (f.count == 0 || f.count > kMostItems) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"/", whole, "\": not between 1 and ", kMostItems, " items"));
  }
  if (f.letter == 'c' || (f.letter == 's' && !sized)) f.size = 1;
  return f;
}

std::string character(uint64_t v) {
  if (v == '\n') return "'\\n'";
  if (v == '\r') return "'\\r'";
  if (v == '\'' || v == '\\') return absl::StrFormat("'\\%c'", static_cast<char>(v));
  if (v >= 32 && v < 127) return absl::StrFormat("'%c'", static_cast<char>(v));
  return absl::StrFormat("'\\x%02x'", v);
}

std::string item(const DumpFormat& f, uint64_t v) {
  const auto bits = static_cast<int>(8 * f.size);
  switch (f.letter) {
    case 'o': return absl::StrFormat("0%0*o", (bits + 2) / 3, v);
    case 'u': return absl::StrFormat("%*u", (bits * 10 + 32) / 33, v);
    case 'd': {
      const auto value = static_cast<int64_t>(v << (64 - bits)) >> (64 - bits);
      return absl::StrFormat("%*d", (bits * 10 + 32) / 33, value);
    }
    case 'c': return character(v);
    default: return absl::StrFormat("0x%0*x", bits / 4, v);
  }
}

/// Reads bytes at an address, as many as there are.
struct Source {
  MonitorContext& context;
  bool physical;

  size_t read(uint64_t at, absl::Span<uint8_t> to) const {
    const GuestView view = context.view();
    if (!physical) return view.read(at, to);
    size_t done = 0;
    while (done < to.size()) {
      const size_t n = std::min<uint64_t>(to.size() - done, 4096 - (at + done) % 4096);
      if (!view.read_physical(Gpa(at + done), to.subspan(done, n))) break;
      done += n;
    }
    return done;
  }
};

std::string dump_items(const Source& source, const DumpFormat& f, uint64_t at) {
  std::string text;
  const uint64_t line = f.size == 1 ? 8 : 16;
  for (uint64_t left = f.count * f.size; left != 0;) {
    absl::StrAppendFormat(&text, "%016x:", at);
    std::array<uint8_t, 16> bytes;
    const uint64_t n = std::min(left, line);
    if (source.read(at, absl::MakeSpan(bytes).first(n)) != n) return absl::StrCat(text, kNoMemory);
    for (uint64_t i = 0; i < n; i += f.size) {
      absl::StrAppend(&text, " ", item(f, load_bytes(&bytes[i], f.size)));
    }
    text += '\n';
    at += n;
    left -= n;
  }
  return text;
}

std::string dump_strings(const Source& source, const DumpFormat& f, uint64_t at) {
  std::string text;
  for (uint64_t i = 0; i < f.count; ++i) {
    absl::StrAppendFormat(&text, "%016x: \"", at);
    for (size_t n = 0; n < kMostText; ++n) {
      uint8_t byte = 0;
      if (source.read(at, absl::MakeSpan(&byte, 1)) != 1)
        return absl::StrCat(text, "\"", kNoMemory);
      ++at;
      if (byte == 0) break;
      const std::string quoted = character(byte);
      absl::StrAppend(&text, byte == '"'    ? "\\\""
                             : byte == '\'' ? "'"
                                            : quoted.substr(1, quoted.size() - 2));
    }
    text += "\"\n";
  }
  return text;
}

std::string instructions(const Source& source, uint64_t at, uint64_t count) {
  const Cpu& cpu = source.context.machine.cpu(source.context.cpu);
  ZydisDecoder decoder;
  switch (cpu.mode & code_mode::kBits) {
    case code_mode::k64:
      ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
      break;
    case code_mode::k32:
      ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
      break;
    default: ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16); break;
  }
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
  std::string text;
  for (uint64_t i = 0; i < count; ++i) {
    absl::StrAppendFormat(&text, "0x%08x:", at);
    std::array<uint8_t, ZYDIS_MAX_INSTRUCTION_LENGTH> bytes;
    const size_t available = source.read(at, absl::MakeSpan(bytes));
    if (available == 0) return absl::StrCat(text, kNoMemory);
    ZydisDecodedInstruction instruction;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
    const bool good = ZYAN_SUCCESS(
        ZydisDecoderDecodeFull(&decoder, bytes.data(), available, &instruction, operands.data()));
    const size_t length = good ? instruction.length : 1;
    std::string hex;
    for (size_t n = 0; n < length; ++n) absl::StrAppendFormat(&hex, "%02x ", bytes[n]);
    std::array<char, 256> line = {"(bad)"};
    if (good) {
      ZydisFormatterFormatInstruction(&formatter, &instruction, operands.data(),
                                      instruction.operand_count_visible, line.data(), line.size(),
                                      at, ZYAN_NULL);
    }
    absl::StrAppendFormat(&text, "  %-24s %s\n", hex, line.data());
    at += length;
  }
  return text;
}

absl::StatusOr<std::string> dump(MonitorContext& context, absl::string_view arguments,
                                 bool physical) {
  DumpFormat f;
  if (absl::ConsumePrefix(&arguments, "/")) {
    auto parsed = parse_format(take_word(arguments));
    if (!parsed.ok()) return parsed.status();
    f = *parsed;
  }
  const auto at = evaluate(context, arguments);
  if (!at.ok()) return at.status();
  const Source source{context, physical};
  if (f.letter == 'i') return instructions(source, *at, f.count);
  if (f.letter == 's') return dump_strings(source, f, *at);
  return dump_items(source, f, *at);
}

}  // namespace

absl::StatusOr<std::string> dump_virtual(MonitorContext& context, absl::string_view arguments) {
  return dump(context, arguments, /*physical=*/false);
}
absl::StatusOr<std::string> dump_physical(MonitorContext& context, absl::string_view arguments) {
  return dump(context, arguments, /*physical=*/true);
}
std::string disassemble(MonitorContext& context, uint64_t linear, unsigned count) {
  return instructions(Source{context, /*physical=*/false}, linear, count);
}

}  // namespace gnomon::vmm
