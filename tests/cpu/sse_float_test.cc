// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "tests/cpu/flat_machine.h"
#include "tests/cpu/sse_native.h"

namespace gnomon::vmm {
namespace {

using O = SseOpcode;

std::vector<O> arithmetic() {
  std::vector<O> all;
  for (const uint8_t prefix : {0, 0x66, 0xf2, 0xf3}) {
    for (const uint8_t opcode : {0x51, 0x58, 0x59, 0x5a, 0x5c, 0x5d, 0x5e, 0x5f}) all.push_back({prefix, opcode});
    all.push_back({prefix, 0xc2, O::kBoth, true});
  }
  for (const uint8_t prefix : {0, 0xf3}) {
    for (const uint8_t opcode : {0x52, 0x53}) all.push_back({prefix, opcode});
  }
  for (const uint8_t prefix : {0, 0x66}) {
    for (const uint8_t opcode : {0x2e, 0x2f}) all.push_back({prefix, opcode});
  }
  return all;
}

std::vector<O> conversions() {
  std::vector<O> all;
  for (const uint8_t prefix : {0, 0x66, 0xf3}) all.push_back({prefix, 0x5b});
  for (const uint8_t prefix : {0x66, 0xf2, 0xf3}) all.push_back({prefix, 0xe6});
  for (const uint8_t prefix : {0xf2, 0xf3}) {
    all.push_back({prefix, 0x2a, O::kBoth, false, O::kFromGpr});
    all.push_back({prefix, 0x2c, O::kBoth, false, O::kToGpr});
    all.push_back({prefix, 0x2d, O::kBoth, false, O::kToGpr});
  }
  // CVTPI2PS from memory makes some processors enter MMX, and others not.
  all.push_back({0, 0x2a, O::kRegister, false, O::kMmxToXmm});
  all.push_back({0x66, 0x2a, O::kBoth, false, O::kMmxToXmm});
  for (const uint8_t prefix : {0, 0x66}) {
    all.push_back({prefix, 0x2c, O::kBoth, false, O::kXmmToMmx});
    all.push_back({prefix, 0x2d, O::kBoth, false, O::kXmmToMmx});
  }
  return all;
}

TEST(SseFloat, ArithmeticIsTheHosts) { compare_with_host(arithmetic(), true, 1, 800); }
TEST(SseFloat, ConversionsAreTheHosts) { compare_with_host(conversions(), true, 2, 1000); }

}  // namespace
}  // namespace gnomon::vmm
