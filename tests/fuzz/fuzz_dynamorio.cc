// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as DynamoRIO records, as they are and behind a header.
#include <cstdint>

#include "tests/fuzz/reader_checks.h"
#include "traces/formats/all.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gnomon;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_reader(&make_dynamorio_reader, bytes);
  // Random bytes have random types, mostly unknown ones: small numbers get further.
  std::string close(bytes);
  for (size_t i = 0; i < close.size(); ++i) {
    const char c = close[i];
    if (i % 12 == 0) close[i] = static_cast<char>(i == 0 ? 25 : static_cast<uint8_t>(c) % 52);
    if (i % 12 == 1 || i % 12 == 3 || i % 12 >= 9) close[i] = 0;
  }
  check_reader(&make_dynamorio_reader, close);
  is_dynamorio(bytes);
  return 0;
}
