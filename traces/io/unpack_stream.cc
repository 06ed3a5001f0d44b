// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "traces/io/unpack.h"

namespace gnomon {
namespace {

/// Everything that can be unpacked comes out, whatever comes after it.
class UnpackedStream final : public ByteSource {
 public:
  UnpackedStream(std::unique_ptr<ByteSource> source, absl::string_view packing,
                 std::unique_ptr<StreamDecoder> decoder)
      : source_(std::move(source)), packing_(packing), decoder_(std::move(decoder)) {}

  absl::StatusOr<size_t> read(absl::Span<char> to) override {
    while (!to.empty() && !ended_ && error_.ok()) {
      absl::Span<char> room = to;
      const size_t had = in_.size();
      const StreamDecoder::State state = decoder_->step(in_, room, source_ended_);
      const bool moved = had != in_.size() || room.size() != to.size();
      if (state == StreamDecoder::State::kDamaged || state == StreamDecoder::State::kTooLarge) {
        error_ = refusal(state);
      } else if (!moved && in_.empty() && !source_ended_) {
        take_more();
      } else if (!moved && state == StreamDecoder::State::kBetween) {
        ended_ = true;
      } else if (!moved) {
        error_ = unpacking_error(name(), handed_in_, packing_, /*cut_off=*/in_.empty());
      }
      if (room.size() != to.size()) return to.size() - room.size();
    }
    if (!error_.ok()) return error_;
    return 0;
  }
  absl::string_view name() const override { return source_->name(); }
  std::optional<uint64_t> total_bytes() const override { return source_->total_bytes(); }
  std::optional<uint64_t> stored_bytes_taken() const override { return handed_in_; }

 private:
  void take_more() {
    const absl::StatusOr<size_t> got = source_->read(absl::MakeSpan(piece_));
    if (!got.ok()) {
      error_ = got.status();
      return;
    }
    source_ended_ = *got == 0;
    handed_in_ += *got;
    in_ = absl::string_view(piece_.data(), *got);
  }

  absl::Status refusal(StreamDecoder::State state) const {
    if (state == StreamDecoder::State::kTooLarge) {
      return absl::ResourceExhaustedError(absl::StrCat(
          name(), ": unpacking it takes too much memory; unpack it with ", packing_, " first"));
    }
    return unpacking_error(name(), handed_in_ - in_.size(), packing_, /*cut_off=*/false);
  }

  std::unique_ptr<ByteSource> source_;
  absl::string_view packing_;
  std::unique_ptr<StreamDecoder> decoder_;
  std::vector<char> piece_ = std::vector<char>(size_t{64} << 10);
  absl::string_view in_;  // of piece_, still to be unpacked
  uint64_t handed_in_ = 0;
  bool source_ended_ = false;
  bool ended_ = false;
  absl::Status error_;
};

}  // namespace

std::unique_ptr<ByteSource> unpack_stream(std::unique_ptr<ByteSource> source,
                                          absl::string_view packing,
                                          std::unique_ptr<StreamDecoder> decoder) {
  return std::make_unique<UnpackedStream>(std::move(source), packing, std::move(decoder));
}

absl::Status unpacking_error(absl::string_view file, uint64_t byte, absl::string_view packing,
                             bool cut_off) {
  return absl::DataLossError(absl::StrFormat("%s: byte %d: the %s data are %s", file, byte, packing,
                                             cut_off ? "cut off" : "damaged"));
}

absl::Status with_way_out(const absl::Status& unpacking_error) {
  return absl::DataLossError(
      absl::StrCat(unpacking_error.message(), "; --lenient uses what comes before"));
}

}  // namespace gnomon
