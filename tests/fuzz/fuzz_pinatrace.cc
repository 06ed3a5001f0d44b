// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as pinatrace text.
#include <cstdint>

#include "tests/fuzz/reader_checks.h"
#include "traces/formats/all.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gnomon;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_reader(&make_pinatrace_reader, bytes);
  is_pinatrace(bytes);
  return 0;
}
