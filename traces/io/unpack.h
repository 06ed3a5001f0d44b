// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_IO_UNPACK_H_
#define TRACES_IO_UNPACK_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gnomon/traces/byte_source.h"
#include "traces/io/stream_decoder.h"

namespace gnomon {

/// What a stream compression made of the bytes. `packing`: its name, for messages.
std::unique_ptr<ByteSource> unpack_stream(std::unique_ptr<ByteSource> source,
                                          absl::string_view packing,
                                          std::unique_ptr<StreamDecoder> decoder);
/// The regular files of a ZIP archive, joined in their order.
std::unique_ptr<ByteSource> unpack_zip(std::unique_ptr<ByteSource> source);

/// DataLoss: "FILE: byte 17: the gzip data are cut off", or damaged, by the byte in the stored
/// file.
absl::Status unpacking_error(absl::string_view file, uint64_t byte, absl::string_view packing,
                             bool cut_off);
/// That, with the way out, for who reads strictly.
absl::Status with_way_out(const absl::Status& unpacking_error);

}  // namespace gnomon

#endif  // TRACES_IO_UNPACK_H_
