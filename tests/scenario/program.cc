// SPDX-License-Identifier: Apache-2.0
#include "tests/scenario/program.h"

#include <array>
#include <iterator>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"

namespace gnomon::scenario {
namespace {

using Names = absl::Span<const absl::string_view>;

constexpr absl::string_view kKinds[] = {"user-read",  "supervisor-read",  "implicit-read",
                                        "user-write", "supervisor-write", "implicit-write",
                                        "user-fetch", "supervisor-fetch", "implicit-fetch"};
constexpr absl::string_view kBits[] = {"wp",   "pse", "pge", "pcide", "smep",
                                       "smap", "pke", "nxe", "ac"};
static_assert(std::size(kBits) == static_cast<size_t>(ControlBit::kCount));
constexpr absl::string_view kModes[] = {"off", "32-bit", "pae", "4-level", "5-level"};
constexpr absl::string_view kInvpcidTypes[] = {"address", "context", "all-with-globals", "all"};

enum class Member : uint8_t { kCpu, kChoice, kSize, kFlag, kAddress, kValue };

struct Field {
  absl::string_view key;
  Member member = Member::kCpu;
  Names names = {};  // for kChoice: what the numbers are called
};

constexpr Field kCpuField{"cpu", Member::kCpu};
constexpr Field kVaField{"va", Member::kAddress};
constexpr Field kAtField{"at", Member::kAddress};
constexpr Field kFramesField{"frames", Member::kValue};

struct VerbRow {
  Verb verb;
  absl::string_view name;
  std::array<Field, 5> fields;
  size_t field_count;
};

template <class... F>
constexpr VerbRow row(Verb verb, absl::string_view name, F... fields) {
  return {verb, name, {fields...}, sizeof...(fields)};
}

constexpr VerbRow kVerbs[] = {
    row(Verb::kStore, "store", kCpuField, kAtField, Field{"value", Member::kValue},
        Field{"size", Member::kSize}),
    row(Verb::kAccess, "access", kCpuField, Field{"kind", Member::kChoice, kKinds}, kVaField,
        Field{"value", Member::kValue}, Field{"size", Member::kSize}),
    row(Verb::kCr3, "cr3", kCpuField, Field{"to", Member::kAddress},
        Field{"noflush", Member::kFlag}),
    row(Verb::kSet, "set", kCpuField, Field{"bit", Member::kChoice, kBits},
        Field{"to", Member::kFlag}),
    row(Verb::kPkru, "pkru", kCpuField, Field{"value", Member::kValue}),
    row(Verb::kMode, "mode", kCpuField, Field{"mode", Member::kChoice, kModes},
        Field{"cr3", Member::kAddress}),
    row(Verb::kInvlpg, "invlpg", kCpuField, kVaField),
    row(Verb::kInvpcid, "invpcid", kCpuField, Field{"type", Member::kChoice, kInvpcidTypes},
        Field{"pcid", Member::kValue}, kVaField),
    row(Verb::kRemap, "remap", kAtField),
    row(Verb::kBalloon, "balloon", kAtField),
    row(Verb::kDeflate, "deflate", kAtField),
    row(Verb::kSplit, "split", kAtField),
    row(Verb::kPromote, "promote", kAtField),
    row(Verb::kPlug, "plug"),
    row(Verb::kUnplug, "unplug"),
    row(Verb::kLogStart, "log_start", kAtField, kFramesField),
    row(Verb::kLogTake, "log_take", kAtField, kFramesField),
    row(Verb::kLogStop, "log_stop", kAtField, kFramesField),
    row(Verb::kReclaim, "reclaim"),
};
static_assert(std::size(kVerbs) == static_cast<size_t>(Verb::kCount));

struct SetupRow {
  absl::string_view key;
  uint8_t Setup::*number = nullptr;
  bool Setup::*flag = nullptr;
};
constexpr SetupRow kSetup[] = {
    {"cpus", &Setup::cpus},
    {"strict", nullptr, &Setup::strict},
    {"large_backing", nullptr, &Setup::large_backing},
    {"scattered", nullptr, &Setup::scattered},
    {"eager", nullptr, &Setup::eager},
    {"late_accessed", nullptr, &Setup::late_accessed},
    {"maxphyaddr", &Setup::maxphyaddr},
    {"pse36", nullptr, &Setup::pse36},
    {"gb_pages", nullptr, &Setup::gb_pages},
    {"pdptes_in_memory", nullptr, &Setup::pdptes_in_memory},
};

std::string text_of(const Action& a, const Field& f) {
  switch (f.member) {
    case Member::kCpu: return absl::StrCat(a.cpu);
    case Member::kChoice:
      return std::string(a.choice < f.names.size() ? f.names[a.choice] : absl::string_view("?"));
    case Member::kSize: return absl::StrCat(a.size);
    case Member::kFlag: return a.flag ? "1" : "0";
    case Member::kAddress: return absl::StrFormat("0x%x", a.address);
    case Member::kValue: return absl::StrFormat("0x%x", a.value);
  }
  return "?";
}

std::optional<uint64_t> number(absl::string_view text) {
  uint64_t value = 0;
  const bool hex = text.size() > 2 && text[0] == '0' && text[1] == 'x';
  if (hex ? absl::SimpleHexAtoi(text, &value) : absl::SimpleAtoi(text, &value)) return value;
  return std::nullopt;
}

// Sets the member that `f` names; false when `text` is no value for it.
bool assign(Action& a, const Field& f, absl::string_view text) {
  if (f.member == Member::kChoice) {
    for (size_t i = 0; i < f.names.size(); ++i) {
      if (f.names[i] != text) continue;
      a.choice = static_cast<uint8_t>(i);
      return true;
    }
    return false;
  }
  const std::optional<uint64_t> n = number(text);
  if (!n) return false;
  switch (f.member) {
    case Member::kCpu: a.cpu = static_cast<uint8_t>(*n); return *n < 4;
    case Member::kSize: a.size = static_cast<uint8_t>(*n); return *n >= 1 && *n <= 8;
    case Member::kFlag: a.flag = *n != 0; return *n <= 1;
    case Member::kAddress: a.address = *n; return true;
    case Member::kValue: a.value = *n; return true;
    case Member::kChoice: break;
  }
  return false;
}

bool assign(Setup& setup, absl::string_view key, absl::string_view text) {
  const std::optional<uint64_t> n = number(text);
  if (!n) return false;
  for (const SetupRow& r : kSetup) {
    if (r.key != key) continue;
    if (r.flag != nullptr) {
      setup.*r.flag = *n != 0;
      return *n <= 1;
    }
    setup.*r.number = static_cast<uint8_t>(*n);
    return *n <= 52;
  }
  return false;
}

absl::Status bad(size_t line, absl::string_view what, absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrFormat("line %d: %s \"%s\"", static_cast<int>(line), what, text));
}

absl::Status parse_action(size_t line, absl::Span<const absl::string_view> words,
                          Program& program) {
  for (const VerbRow& verb : kVerbs) {
    if (verb.name != words[0]) continue;
    Action a;
    a.verb = verb.verb;
    if (words.size() != verb.field_count + 1) {
      return bad(line, "wrong number of fields for", verb.name);
    }
    for (size_t i = 0; i < verb.field_count; ++i) {
      const Field& f = verb.fields[i];
      const std::pair<absl::string_view, absl::string_view> kv =
          absl::StrSplit(words[i + 1], absl::MaxSplits('=', 1));
      if (kv.first != f.key)
        return bad(line, absl::StrCat("wanted ", f.key, "=, not"), words[i + 1]);
      if (!assign(a, f, kv.second)) return bad(line, "no legal value:", words[i + 1]);
    }
    program.actions.push_back(a);
    return absl::OkStatus();
  }
  return bad(line, "unknown verb", words[0]);
}

}  // namespace

std::string to_string(const Action& action) {
  const VerbRow& verb = kVerbs[static_cast<size_t>(action.verb)];
  std::string text(verb.name);
  for (size_t i = 0; i < verb.field_count; ++i) {
    absl::StrAppend(&text, " ", verb.fields[i].key, "=", text_of(action, verb.fields[i]));
  }
  return text;
}

std::string to_string(const Program& program) {
  std::string text = "machine";
  const Setup defaults;
  for (const SetupRow& r : kSetup) {
    const unsigned value = r.flag != nullptr ? program.setup.*r.flag : program.setup.*r.number;
    const unsigned usual = r.flag != nullptr ? defaults.*r.flag : defaults.*r.number;
    if (value != usual) absl::StrAppend(&text, " ", r.key, "=", value);
  }
  absl::StrAppend(&text, "\n");
  for (const Action& a : program.actions) absl::StrAppend(&text, to_string(a), "\n");
  return text;
}

absl::StatusOr<Program> parse_program(absl::string_view text) {
  Program program;
  size_t line = 0;
  for (absl::string_view raw : absl::StrSplit(text, '\n')) {
    ++line;
    raw = raw.substr(0, raw.find('#'));
    const std::vector<absl::string_view> words =
        absl::StrSplit(raw, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty()) continue;
    if (words[0] == "machine") {
      for (size_t i = 1; i < words.size(); ++i) {
        const std::pair<absl::string_view, absl::string_view> kv =
            absl::StrSplit(words[i], absl::MaxSplits('=', 1));
        if (!assign(program.setup, kv.first, kv.second)) return bad(line, "bad setting", words[i]);
      }
      if (program.setup.cpus < 1 || program.setup.cpus > 4)
        return bad(line, "cpus are 1 to 4", raw);
      if (program.setup.maxphyaddr < 32) return bad(line, "maxphyaddr is 32 to 52", raw);
      continue;
    }
    if (absl::Status status = parse_action(line, words, program); !status.ok()) return status;
  }
  return program;
}

}  // namespace gnomon::scenario
