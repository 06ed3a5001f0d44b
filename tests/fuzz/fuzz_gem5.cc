// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as gem5 packets, as they are and behind the magic.
#include <cstdint>

#include "tests/fuzz/reader_checks.h"
#include "traces/formats/all.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gnomon;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_reader(&make_gem5_reader, bytes);
  const std::string packets = "gem5" + std::string(bytes);
  check_reader(&make_gem5_reader, packets);
  is_gem5(bytes);
  return 0;
}
