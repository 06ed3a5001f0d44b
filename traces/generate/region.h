// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GENERATE_REGION_H_
#define TRACES_GENERATE_REGION_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "traces/generate/random.h"
#include "traces/generate/reader.h"

namespace gnomon::generate {

/// A program that does nothing but access one region of data. What differs is where, which `Place`
/// says:
///
///   uint64_t operator()(Random& random);   // offset of the next access in the region
///
/// It is copied for each batch, so that the loop keeps it in registers.
template <class Place>
class RegionReader final : public GeneratorReader {
 public:
  /// `modify`: every access is a load and a store; otherwise `access.writes` decides.
  RegionReader(const Keys& keys, const CommonKeys& common, const AccessKeys& access, uint64_t bytes,
               bool modify, Place place)
      : GeneratorReader(keys, common),
        access_(access),
        bytes_(bytes),
        modify_(modify),
        random_(common.seed),
        place_(std::move(place)) {}

 private:
  bool step(Output& out) override {
    if (!mapped_) {
      map_code(out);
      map_data(out, common_.base, bytes_, "data");
      mapped_ = true;
      return true;
    }
    if (out.left() == 0) {
      exit(out, 0);
      return false;
    }
    Random random = random_;
    Place place = place_;
    const uint64_t base = common_.base, size = access_.size, writes = access_.writes;
    if (modify_ || writes == 0 || writes == 100) {
      const RecordKind kind = modify_       ? RecordKind::kModify
                              : writes == 0 ? RecordKind::kLoad
                                            : RecordKind::kStore;
      out.fill(references_of(kind), [&] { return Output::data(kind, base + place(random), size); });
    } else {
      out.fill(1, [&] {
        const RecordKind kind = random.percent(writes) ? RecordKind::kStore : RecordKind::kLoad;
        return Output::data(kind, base + place(random), size);
      });
    }
    random_ = random;
    place_ = std::move(place);
    return true;
  }

  const AccessKeys access_;
  const uint64_t bytes_;
  const bool modify_;
  bool mapped_ = false;
  Random random_;
  Place place_;
};

/// The reader, if the keys are all good. `place` is made only then: `make_place()`.
template <class MakePlace>
Created create_region(Keys& keys, const CommonKeys& common, const AccessKeys& access,
                      uint64_t bytes, bool modify, MakePlace make_place) {
  require_room(keys, common, bytes);
  if (absl::Status status = keys.finish(); !status.ok()) return status;
  return std::make_unique<RegionReader<decltype(make_place())>>(keys, common, access, bytes, modify,
                                                                make_place());
}

}  // namespace gnomon::generate

#endif  // TRACES_GENERATE_REGION_H_
