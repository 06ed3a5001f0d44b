// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a guest image of every format: an error of one line, or a guest that lies in RAM.
// The first byte gives the size of memory and where raw images go; the rest is the image.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/guest_images/check_load.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gnomon;
  using namespace gnomon::vmm;
  if (size == 0) return 0;
  const std::vector<uint8_t> image(data + 1, data + size);
  constexpr uint64_t kMemory[] = {2_MiB, 20_MiB, 64_MiB};
  LoadOptions options;
  options.load_address = uint64_t{data[0]} << 14;
  for (const LoaderInfo& loader : loaders()) {
    const bool known = loader.recognizes(image, image.size());
    Ram ram(kMemory[data[0] % 3]);
    const std::string wrong = check_load(loader.name, image, ram, options);
    if (!wrong.empty()) {
      std::fprintf(stderr, "%.*s%s: %s\n", static_cast<int>(loader.name.size()), loader.name.data(),
                   known ? " (recognized)" : "", wrong.c_str());
      std::abort();
    }
  }
  return 0;
}
