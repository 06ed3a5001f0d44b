// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as CSV, as they are and below a header; and what was read can be written and read.
#include <cstdint>

#include "tests/fuzz/reader_checks.h"
#include "traces/formats/all.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gnomon;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_reader(&make_csv_reader, bytes);
  const std::string rows =
      "op,address,size,process,thread,flags,length,value,extra,file,text\n" + std::string(bytes);
  check_reader(&make_csv_reader, rows);
  const Reading r = read_all(&make_csv_reader, rows, ReadMode::kLenient);
  const Writing w = write_all(&create_csv_writer, r.records, r.events, r.info);
  require(w.status.ok() && w.left_out == 0);
  const Reading again = read_all(&make_csv_reader, w.bytes);
  require(again.status.ok() && again.records == r.records && again.events == r.events);
  require(again.info.program == r.info.program && again.info.note == r.info.note);
  is_csv(bytes);
  return 0;
}
