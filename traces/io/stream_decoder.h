// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_IO_STREAM_DECODER_H_
#define TRACES_IO_STREAM_DECODER_H_

#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace gnomon {

/// Undoes one kind of stream compression, a step at a time, by the library of that compression: so
/// that everything before damage comes out, to the byte.
class StreamDecoder {
 public:
  enum class State : uint8_t {
    kWithin,   ///< inside what was compressed: it must go on
    kBetween,  ///< the input may end here
    kDamaged,
    kTooLarge,  ///< unpacking takes more memory than any usual file needs
  };
  virtual ~StreamDecoder() = default;
  /// Takes from the front of `in` and puts to the front of `out`, which both move on. `last`:
  /// nothing comes after `in`. A step that does neither waits for more input.
  virtual State step(absl::string_view& in, absl::Span<char>& out, bool last) = 0;
};

/// Null: no memory. Files that were appended to one another are one.
std::unique_ptr<StreamDecoder> make_gzip_decoder();
std::unique_ptr<StreamDecoder> make_xz_decoder();
std::unique_ptr<StreamDecoder> make_zstd_decoder();
std::unique_ptr<StreamDecoder> make_bzip2_decoder();

}  // namespace gnomon

#endif  // TRACES_IO_STREAM_DECODER_H_
