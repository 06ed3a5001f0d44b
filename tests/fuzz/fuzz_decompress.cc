// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a compressed file: the same comes out however they arrive, and an end or an error
// stays. What expands a thousandfold is cut short here, as it would take too long.
#include <cstdint>

#include "gnomon/traces/formats.h"
#include "tests/fuzz/reader_checks.h"

namespace gnomon {
namespace {

constexpr size_t kEnough = size_t{4} << 20;

struct Unpacked {
  std::string bytes;
  absl::Status status;
};

Unpacked unpack(absl::string_view packed, size_t piece) {
  Unpacked all;
  auto source = decompress(std::make_unique<MemoryBytes>(packed, "fuzz", piece));
  require(source.ok());
  std::string some(100000, '\0');
  while (all.bytes.size() < kEnough) {
    const absl::StatusOr<size_t> got = (*source)->read(absl::MakeSpan(some));
    all.status = got.status();
    if (!got.ok() || *got == 0) {
      const absl::StatusOr<size_t> again = (*source)->read(absl::MakeSpan(some));
      require(again.status() == got.status() && (!got.ok() || *again == 0));
      break;
    }
    require(*got <= some.size());
    all.bytes.append(some, 0, *got);
  }
  all.bytes.resize(std::min(all.bytes.size(), kEnough));
  return all;
}

void check(absl::string_view packed) {
  const Unpacked whole = unpack(packed, ~size_t{0});
  for (const size_t piece : {size_t{1}, size_t{100}}) {
    const Unpacked r = unpack(packed, piece);
    require(r.bytes == whole.bytes && r.status.code() == whole.status.code());
  }
}

}  // namespace
}  // namespace gnomon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gnomon;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  check(bytes);
  static const std::string kFronts[] = {std::string("\x1f\x8b\x08\0", 4),
                                        std::string("\xfd\x37zXZ\0", 6), "\x28\xb5\x2f\xfd",
                                        "BZh91AY&SY", "PK\x03\x04"};
  check(kFronts[size % 5] + std::string(bytes));
  return 0;
}
