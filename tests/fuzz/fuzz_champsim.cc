// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as ChampSim records of both lengths.
#include <cstdint>

#include "tests/fuzz/reader_checks.h"
#include "traces/formats/all.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gnomon;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_reader(&make_champsim_reader, bytes);
  check_reader(&make_cloudsuite_reader, bytes);
  return 0;
}
