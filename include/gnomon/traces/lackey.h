// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_LACKEY_H_
#define GNOMON_TRACES_LACKEY_H_

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "gnomon/traces/byte_source.h"
#include "gnomon/traces/trace_reader.h"
#include "gnomon/traces/trace_writer.h"

// Recordings of `valgrind --tool=lackey --trace-mem=yes`, one record a line:
//
//   ==4242== Lackey, an example Valgrind tool        valgrind's own messages: notes
//   I  04001090,3                                    fetch:  letter in column 1, two spaces
//    L 1ffeffe7e,8                                   load, store, modify: letter in column 2
//    S 1ffeffe78,8
//   | | |        |
//   | | |        +-- bytes, decimal
//   | | +----------- address, hexadecimal without 0x
//   +-+------------- kind
//
// Valgrind writes its messages into the same stream, so a record may have one glued to its end. What
// --trace-syscalls=yes adds are notes too: lines that start with SYSCALL or " -->".

namespace gnomon {

inline constexpr size_t kLackeyBuffer = size_t{1} << 20;

/// A line that does not fit `buffer_bytes` is a fault.
std::unique_ptr<TraceReader> make_lackey_reader(std::unique_ptr<ByteSource> source, ReadMode mode,
                                                size_t buffer_bytes = kLackeyBuffer);
/// Events have no place in it.
absl::StatusOr<std::unique_ptr<TraceWriter>> create_lackey_writer(std::unique_ptr<ByteSink> sink,
                                                                  const TraceInfo& info);
/// Whether a text that starts like this is such a recording.
bool is_lackey(absl::string_view front);

}  // namespace gnomon

#endif  // GNOMON_TRACES_LACKEY_H_
