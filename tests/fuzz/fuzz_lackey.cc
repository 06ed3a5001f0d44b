// SPDX-License-Identifier: Apache-2.0
//
// Any bytes at all as a recording: the reader must not depend on how they arrive, must account for
// every line, and may only hand out records that a guest can make.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "gnomon/traces/lackey.h"
#include "gnomon/x86/format_long.h"

namespace gnomon {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Reading {
  std::vector<TraceRecord> records;
  LackeyStats stats;
  bool failed;
};

Reading read_all(absl::string_view text, LackeyReader::Mode mode, size_t piece, size_t at_once) {
  constexpr size_t kSmallBuffer = 64;
  MemoryBytes bytes(text, "fuzz", piece);
  LackeyReader reader(bytes, mode, kSmallBuffer);
  std::vector<TraceRecord> some(at_once);
  Reading all;
  while (true) {
    const absl::StatusOr<size_t> got = reader.read(absl::MakeSpan(some));
    all.failed = !got.ok();
    if (!got.ok() || *got == 0) break;
    require(*got <= some.size());
    all.records.insert(all.records.end(), some.begin(),
                       some.begin() + static_cast<std::ptrdiff_t>(*got));
  }
  all.stats = reader.stats();
  return all;
}

}  // namespace
}  // namespace gnomon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gnomon;
  using Mode = LackeyReader::Mode;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const Reading whole = read_all(text, Mode::kLenient, ~size_t{0}, 100);
  const Reading pieces = read_all(text, Mode::kLenient, 1 + size % 13, 3);
  require(!whole.failed && !pieces.failed);
  require(whole.records == pieces.records);
  require(whole.stats.lines == pieces.stats.lines);
  require(whole.stats.bytes == size);
  require(whole.stats.records == whole.records.size());

  const uint64_t accounted = whole.stats.records + whole.stats.notes + whole.stats.rejected_lines();
  const uint64_t cut_records = whole.stats.glued + (whole.stats.cut_off ? 1 : 0);
  require(accounted <= whole.stats.lines && whole.stats.lines <= accounted + cut_records);
  for (const TraceRecord& r : whole.records) {
    require(r.size >= 1 && r.size <= kMaxRecordBytes);
    require(Long4::canonical(r.address) && Long4::canonical(Gva(r.address.value() + r.size - 1)));
  }

  const Reading strict = read_all(text, Mode::kStrict, ~size_t{0}, 100);
  require(strict.failed == (whole.stats.rejected_lines() > 0));
  require(strict.records.size() <= whole.records.size());
  return 0;
}
