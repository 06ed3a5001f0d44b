// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "tests/cpu/sse_native.h"

namespace gnomon::vmm {
namespace {

using O = SseOpcode;

// Rows of the opcode map that are operations on two vectors, with and without the prefix 66.
bool two_vectors(unsigned opcode, bool xmm) {
  if (opcode >= 0x60 && opcode <= 0x6b) return true;
  if (opcode == 0x6c || opcode == 0x6d) return xmm;
  if (opcode >= 0x74 && opcode <= 0x76) return true;
  if (opcode < 0xd1 || opcode > 0xfe) return false;
  return opcode != 0xd6 && opcode != 0xd7 && opcode != 0xe6 && opcode != 0xe7 && opcode != 0xf0 &&
         opcode != 0xf7;
}

std::vector<O> operations(bool xmm) {
  std::vector<O> all;
  const uint8_t prefix = xmm ? 0x66 : 0;
  const O::Operands operands = xmm ? O::kXmm : O::kMmx;
  for (unsigned opcode = 0x60; opcode < 0xff; ++opcode) {
    if (two_vectors(opcode, xmm))
      all.push_back({prefix, static_cast<uint8_t>(opcode), O::kBoth, false, operands});
  }
  // Shifts by an immediate.
  for (const uint8_t opcode : {0x71, 0x72, 0x73}) {
    for (const uint8_t extension : {2, 4, 6, 3, 7}) {
      if (opcode == 0x73 ? extension == 4 || (!xmm && extension % 2 == 1) : extension % 2 == 1)
        continue;
      all.push_back({prefix, opcode, O::kGroup, true, operands, extension});
    }
  }
  all.push_back({prefix, 0xc4, O::kRegister, true, xmm ? O::kFromGpr : O::kGprToMmx});  // PINSRW
  all.push_back({prefix, 0xc4, O::kMemory, true, operands});
  all.push_back({prefix, 0xc5, O::kRegister, true, xmm ? O::kToGpr : O::kMmxToGpr});   // PEXTRW
  all.push_back({prefix, 0xd7, O::kRegister, false, xmm ? O::kToGpr : O::kMmxToGpr});  // PMOVMSKB
  all.push_back({prefix, 0x70, O::kBoth, true, operands});  // PSHUFD, PSHUFW
  return all;
}

std::vector<O> of_floats() {
  std::vector<O> all;
  for (const uint8_t prefix : {0, 0x66}) {
    for (const uint8_t opcode : {0x14, 0x15, 0x54, 0x55, 0x56, 0x57})
      all.push_back({prefix, opcode});
    all.push_back({prefix, 0xc6, O::kBoth, true});
    all.push_back({prefix, 0x50, O::kRegister, false, O::kToGpr});
  }
  all.push_back({0xf2, 0x70, O::kBoth, true});
  all.push_back({0xf3, 0x70, O::kBoth, true});
  return all;
}

TEST(SseInteger, OperationsOnXmmAreTheHosts) { compare_with_host(operations(true), false, 3, 400); }
TEST(SseInteger, OperationsOnMmxAreTheHosts) {
  compare_with_host(operations(false), false, 4, 400);
}
TEST(SseInteger, ShufflesAndLogicAreTheHosts) { compare_with_host(of_floats(), false, 5, 400); }

}  // namespace
}  // namespace gnomon::vmm
