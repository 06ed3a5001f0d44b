// SPDX-License-Identifier: Apache-2.0
//
// A guest with hostile tables on the nested MMU, in step with the same guest on the native one: the first
// byte chooses the configuration, the others the table entries, accesses and changes of the p2m.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/nested/lockstep.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using gnomon::nested_test::Lockstep;
  if (size == 0) return 0;
  Lockstep lockstep(Lockstep::kConfigs[data[0] % Lockstep::kConfigs.size()]);
  size_t at = 1;
  // As many bytes as the bound needs; zeros when the input is used up.
  const Lockstep::Draw draw = [&](uint64_t bound) {
    uint64_t value = 0;
    for (uint64_t left = bound - 1; left != 0; left >>= 8) value = value << 8 | (at < size ? data[at++] : 0);
    return value % bound;
  };
  constexpr unsigned kMaxSteps = 512;
  for (unsigned i = 0; i < kMaxSteps && at < size; ++i) {
    const std::string wrong = lockstep.step(draw);
    if (wrong.empty()) continue;
    std::fprintf(stderr, "step %u: %s\n", i, wrong.c_str());
    std::abort();
  }
  return 0;
}
