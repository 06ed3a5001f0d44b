// SPDX-License-Identifier: Apache-2.0
//
// Bytes choose a guest: its mode, registers, descriptors, page tables and code. Under bare metal's
// tables and one backend of the bytes' choice it must end cleanly, with sound tables, and leave all
// memory alone but its own.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/hostile_guest/guest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gnomon::vmm::hostile;
  if (size == 0) return 0;
  uint64_t seed = size;
  for (size_t i = 0; i < size; ++i) seed = (seed ^ data[i]) * 0x100000001b3;
  Choices choices(absl::MakeConstSpan(data + 1, size - 1), seed);
  const Guest guest = make_guest(choices);
  const std::string& other = backends()[1 + data[0] % (backends().size() - 1)];
  for (const std::string& backend : {backends()[0], other}) {
    const Result r = run(guest, backend, 1'000, /*audit=*/true);
    if (r.wrong.empty()) continue;
    std::fprintf(stderr, "%s: %s\n", backend.c_str(), r.wrong.c_str());
    std::abort();
  }
  return 0;
}
