// SPDX-License-Identifier: Apache-2.0
//
// churn: mappings come, are touched and go, as under an allocator that gives memory back to the
// system.
#include <memory>
#include <vector>

#include "traces/generate/random.h"
#include "traces/generate/reader.h"

namespace gnomon::generate {
namespace {

struct ChurnKeys {
  uint64_t least, most;  ///< bytes of a mapping
  uint64_t live;         ///< mappings at once
  uint64_t step;         ///< bytes from one access to the next
  uint64_t passes;       ///< over each mapping
};

class ChurnReader final : public GeneratorReader {
 public:
  ChurnReader(const Keys& keys, const CommonKeys& common, const AccessKeys& access,
              const ChurnKeys& churn)
      : GeneratorReader(keys, common),
        access_(access),
        churn_(churn),
        random_(common.seed),
        lengths_(churn.live) {}

 private:
  bool step(Output& out) override {
    if (!begun_) {
      map_code(out);
      begun_ = true;
    } else if (out.left() == 0) {
      return leave(out);
    } else if (passes_left_ == 0) {
      renew(out);
    } else {
      touch(out);
    }
    return true;
  }

  uint64_t place_of(size_t slot) const {
    return common_.base + slot * round_up(churn_.most, kPage);
  }

  /// The oldest mapping goes, a new one takes its place.
  void renew(Output& out) {
    slot_ = (slot_ + 1) % lengths_.size();
    uint64_t& length = lengths_[slot_];
    if (length != 0) unmap(out, place_of(slot_), length);
    const uint64_t least = round_up(churn_.least, kPage) / kPage;
    const uint64_t most = round_up(churn_.most, kPage) / kPage;
    length = (least + random_.below(most - least + 1)) * kPage;
    map_data(out, place_of(slot_), length, "churn");
    passes_left_ = churn_.passes;
    offset_ = 0;
  }
  void touch(Output& out) {
    const bool store = access_.writes == 100 || random_.percent(access_.writes);
    const uint64_t address = place_of(slot_) + offset_;
    store ? out.store(address, access_.size) : out.load(address, access_.size);
    offset_ += churn_.step;
    if (offset_ + access_.size <= lengths_[slot_]) return;
    offset_ = 0;
    --passes_left_;
  }
  bool leave(Output& out) {
    while (leaving_ < lengths_.size() && lengths_[leaving_] == 0) ++leaving_;
    if (leaving_ == lengths_.size()) {
      exit(out, 0);
      return false;
    }
    unmap(out, place_of(leaving_), lengths_[leaving_]);
    ++leaving_;
    return true;
  }

  const AccessKeys access_;
  const ChurnKeys churn_;
  Random random_;
  std::vector<uint64_t> lengths_;  // of the mapping in each slot; 0: none yet
  size_t slot_ = ~size_t{0};       // the newest; the first is 0
  uint64_t passes_left_ = 0, offset_ = 0;
  size_t leaving_ = 0;
  bool begun_ = false;
};

}  // namespace

Created create_churn(absl::string_view options) {
  absl::StatusOr<Keys> keys = Keys::parse("churn", options);
  if (!keys.ok()) return keys.status();
  const CommonKeys common = common_keys(*keys);
  ChurnKeys churn;
  churn.most = keys->bytes("bytes", uint64_t{4} << 20, kPage, kMostBytes);
  churn.least = keys->bytes("least", uint64_t{64} << 10, 1, kMostBytes);
  churn.live = keys->number("live", 8, 1, 65536);
  churn.step = keys->bytes("step", kPage, 1, kMostBytes);
  churn.passes = keys->count("passes", 1, 1, kMostReferences);
  const AccessKeys access = access_keys(*keys, /*writes=*/100);
  keys->require(churn.least <= churn.most, "least is more than bytes");
  keys->require(churn.most <= kMostBytes / churn.live,
                "live mappings of bytes do not fit in 2^46 bytes");
  require_room(*keys, common, round_up(churn.most, kPage) * churn.live);
  if (absl::Status status = keys->finish(); !status.ok()) return status;
  return std::make_unique<ChurnReader>(*keys, common, access, churn);
}

}  // namespace gnomon::generate
