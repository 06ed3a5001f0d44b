// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as valgrind's text; also with a buffer so small that lines do not fit.
#include <cstdint>

#include "tests/fuzz/reader_checks.h"
#include "traces/formats/all.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gnomon;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_reader([](std::unique_ptr<ByteSource> source,
                  ReadMode mode) { return make_lackey_reader(std::move(source), mode); },
               bytes);
  check_reader([](std::unique_ptr<ByteSource> source,
                  ReadMode mode) { return make_lackey_reader(std::move(source), mode, 64); },
               bytes);
  is_lackey(bytes);
  return 0;
}
