// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "tests/cpu_native/campaign.h"
#include "tests/cpu_native/values.h"
#include "tests/support/scale.h"

// Instructions of the interpreter against those of the host's processor: the same code, registers
// and memory, run by both.
//
//   GNOMON_TEST_SCALE=small|full  fewer or many more cases
//   GNOMON_NATIVE_SEED=N          other random numbers
//   GNOMON_NATIVE_HEX="48 01 d8"  nothing but this snippet, told in full; GNOMON_NATIVE_MODE=32 for
//   32-bit code

namespace gnomon::vmm::native {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // its shadow memory lies where wild addresses may go
#else
constexpr bool kSanitized = false;
#endif

absl::string_view environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

uint64_t seed() {
  const auto text = environment("GNOMON_NATIVE_SEED");
  return text.empty() ? 1 : std::strtoull(std::string(text).c_str(), nullptr, 0);
}

uint64_t scaled(uint64_t normal) {
  return kSanitized ? normal / 24 : by_scale(normal / 24, normal, normal * 16);
}

class Native : public testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    host_ = HostRunner::create(why);
    if (host_ == nullptr) GTEST_SKIP() << why;
  }

  void check(const GeneratorOptions& options, uint64_t cases) {
    if (options.mode == Mode::k32) {
      std::string why;
      if (!host_->runs_32(why)) GTEST_SKIP() << why;
    }
    Campaign campaign(*host_, guest_, seed());
    campaign.run(options, cases);
    tell(campaign.tally());
    EXPECT_EQ(campaign.tally().mismatches, 0u);
    EXPECT_TRUE(campaign.tally().unbound.empty());
  }

  static void tell(const Tally& t) {
    RecordProperty("cases", std::to_string(t.cases));
    std::printf("%llu cases, %llu snippets, %llu instructions of %zu mnemonics; faults:",
                static_cast<unsigned long long>(t.cases),
                static_cast<unsigned long long>(t.snippets),
                static_cast<unsigned long long>(t.instructions), t.executed.size());
    for (const auto& [vector, count] : t.faults)
      std::printf(" #%u %llu", vector, static_cast<unsigned long long>(count));
    std::printf("\n");
    if (!environment("GNOMON_NATIVE_COVERAGE").empty()) {
      for (const auto& [name, count] : t.executed)
        std::printf("  %s %llu\n", name.c_str(), static_cast<unsigned long long>(count));
    }
    for (const auto& [key, finding] : t.findings) {
      std::printf("MISMATCH (%llu times) %s\n%s\n", static_cast<unsigned long long>(finding.first),
                  key.c_str(), finding.second.c_str());
    }
    for (const auto& [name, finding] : t.unbound) {
      std::printf("not implemented (%llu times): %s, for example in\n%s",
                  static_cast<unsigned long long>(finding.first), name.c_str(),
                  finding.second.c_str());
    }
  }

  std::unique_ptr<HostRunner> host_;
  GuestRunner guest_;
};

// That what is compared is determined by what is given.
TEST_F(Native, HostAgreesWithItself) {
  scenario::Random rng(seed());
  Image image;
  fill_image(rng, image);
  uint64_t cases = 0;
  uint64_t faults = 0;
  std::string why;
  const bool runs_32 = host_->runs_32(why);
  const uint64_t wanted = scaled(100'000);
  while (cases < wanted) {
    GeneratorOptions options;
    options.mode = runs_32 && rng.percent(30) ? Mode::k32 : Mode::k64;
    options.random_bytes = rng.percent(30);
    options.wild = !kSanitized;
    const Snippet s = generate(rng, options);
    host_->load(s.mode, s.code, s.end);
    Input input;
    if (!make_input(rng, s, input)) continue;
    input.state.fx = random_fx(rng);
    Result first, second;
    Image after;
    for (Result* r : {&first, &second}) {
      host_->write_memory(image);
      for (const Poke& p : input.pokes) host_->write_bytes(p.address, {p.bytes.data(), p.size});
      r->state = input.state;
      r->stop = host_->run(s.mode, r->state);
      if (r == &first) host_->read_memory(after);
    }
    ++cases;
    faults += first.stop.vector != Stop::kEnd;
    ASSERT_TRUE(same(s, first, second, 0) &&
                host_->memory_equals(after.data(), after.data() + 3 * kPage))
        << s.text() << describe(s, input) << differences(s, first, second, 0);
    ASSERT_NE(first.stop.vector, Stop::kEndless) << s.text();
  }
  std::printf("%llu cases, %llu with faults\n", static_cast<unsigned long long>(cases),
              static_cast<unsigned long long>(faults));
  EXPECT_GT(cases, faults);
}

TEST_F(Native, Every64BitInstruction) { check({Mode::k64, false, !kSanitized}, scaled(600'000)); }
TEST_F(Native, Every32BitInstruction) { check({Mode::k32, false, !kSanitized}, scaled(400'000)); }
TEST_F(Native, Random64BitCode) { check({Mode::k64, true, !kSanitized}, scaled(200'000)); }
TEST_F(Native, Random32BitCode) { check({Mode::k32, true, !kSanitized}, scaled(100'000)); }

// An instruction that the decoder refuses: undefined, with LOCK where it must not be, or with too
// many prefixes.
std::vector<uint8_t> undecodable(scenario::Random& rng, Mode mode) {
  static constexpr auto kPrefixes =
      std::to_array<uint8_t>({0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x3e, 0x26, 0x36});
  static constexpr auto kMany = std::to_array<uint8_t>({0x67, 0xf0, 0x2e, 0x3e, 0x26, 0x36});
  for (;;) {
    std::vector<uint8_t> code;
    const bool is_long = rng.percent(10);
    const size_t prefixes = is_long ? 8 + rng.below(8) : rng.below(3);
    while (code.size() < prefixes) code.push_back(is_long ? rng.pick(kMany) : rng.pick(kPrefixes));
    if (mode == Mode::k64 && rng.percent(30))
      code.push_back(static_cast<uint8_t>(0x40 | rng.below(16)));
    const size_t start = code.size();
    const bool two = rng.percent(60);
    if (two) code.push_back(0x0f);
    const auto opcode = static_cast<uint8_t>(rng.next());
    // Maps in which the host may know more: VEX, EVEX, XOP, 3DNow, 0F 38, 0F 3A.
    if (!two &&
        (opcode == 0xc4 || opcode == 0xc5 || opcode == 0x62 || opcode == 0x8f || opcode == 0x0f))
      continue;
    // And system instructions with LOCK, and undefined ones with ModRM or without, of which vendors
    // differ.
    static constexpr auto kVendors = std::to_array<uint8_t>(
        {0x0f, 0x38, 0x3a, 0x00, 0x01, 0x20, 0x21, 0x22, 0x23, 0x78, 0x79, 0xb9, 0xff});
    if (two && std::find(kVendors.begin(), kVendors.end(), opcode) != kVendors.end()) continue;
    code.push_back(opcode);
    while (code.size() < start + 16) code.push_back(static_cast<uint8_t>(rng.next()));
    Decoding d;
    if (decode(mode, code.data(), 15, d)) continue;
    // What is undefined and too long raises either.
    if (is_long && !decode(mode, code.data() + start, 15, d)) continue;
    return code;
  }
}

TEST_F(Native, WhatCannotBeDecodedFaultsAlike) {
  scenario::Random rng(seed());
  std::string why;
  const bool runs_32 = host_->runs_32(why);
  std::map<unsigned, uint64_t> faults;
  unsigned differences = 0;
  for (uint64_t i = scaled(48'000); i-- > 0 && differences < 20;) {
    const Mode mode = runs_32 && rng.percent(40) ? Mode::k32 : Mode::k64;
    const auto code = undecodable(rng, mode);
    const uint64_t end = kCode + 0x800;
    host_->load(mode, code, end);
    guest_.load(mode, code, end);
    Result host, guest;
    for (State* s : {&host.state, &guest.state}) {
      s->gpr.fill(kHole + 0x800);
      s->rip = end - code.size();
    }
    host.stop = host_->run(mode, host.state);
    guest.stop = guest_.run(mode, guest.state);
    ++faults[host.stop.vector];
    if (host.stop.vector == guest.stop.vector && host.state.rip == guest.state.rip) continue;
    ++differences;
    std::string text;
    for (const uint8_t b : code) absl::StrAppendFormat(&text, "%02x ", b);
    ADD_FAILURE() << (mode == Mode::k32 ? "32: " : "64: ") << text << "host #" << host.stop.vector
                  << ", guest #" << guest.stop.vector;
  }
  for (const auto& [vector, count] : faults)
    std::printf("#%u %llu\n", vector, static_cast<unsigned long long>(count));
}

TEST_F(Native, SnippetFromTheEnvironment) {
  const auto text = environment("GNOMON_NATIVE_HEX");
  if (text.empty()) GTEST_SKIP() << "GNOMON_NATIVE_HEX names no code";
  std::string bytes;
  std::string digits;
  for (const char c : text) {
    if (std::isxdigit(static_cast<unsigned char>(c)) != 0) digits += c;
    if (digits.size() < 2) continue;
    bytes += static_cast<char>(std::stoi(digits, nullptr, 16));
    digits.clear();
  }
  Snippet s;
  s.mode = environment("GNOMON_NATIVE_MODE") == "32" ? Mode::k32 : Mode::k64;
  for (size_t at = 0; at < bytes.size(); at += s.pieces.back().length) {
    const auto* const from = reinterpret_cast<const uint8_t*>(bytes.data()) + at;
    ASSERT_TRUE(append(s, from, static_cast<unsigned>(bytes.size() - at)))
        << "cannot decode from byte " << at;
  }
  assemble(s);
  Campaign campaign(*host_, guest_, seed());
  campaign.run_snippet(s, 16, true);
  EXPECT_EQ(campaign.tally().mismatches, 0u);
}

}  // namespace
}  // namespace gnomon::vmm::native
