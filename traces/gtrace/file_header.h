// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_FILE_HEADER_H_
#define TRACES_GTRACE_FILE_HEADER_H_

#include <string>

#include "absl/strings/string_view.h"
#include "gnomon/traces/trace_reader.h"

// The front of a file:
//
//   magic | version (4) | bytes of the fields (4) | fields | checksum (8)
//   field:  tag (2) | bytes (4) | its value
//
// A reader skips tags it does not know, unless they carry kMustKnow.

namespace gnomon::gtrace {

inline constexpr size_t kFileHeaderFront = 16;  ///< up to the fields
inline constexpr size_t kFileHeaderChecksum = 8;
/// Longest text of TraceInfo that is kept.
inline constexpr size_t kMaxInfoText = 1u << 14;

std::string encode_file_header(const TraceInfo& info);
/// From a whole header whose checksum is right. Returns what keeps this program from reading the
/// file; empty if nothing.
std::string decode_file_header(absl::string_view header, TraceInfo& info);

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_FILE_HEADER_H_
