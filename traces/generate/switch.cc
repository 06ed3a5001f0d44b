// SPDX-License-Identifier: Apache-2.0
//
// switch: processes take turns, each with a working set of its own at the same addresses.
#include <memory>

#include "traces/generate/random.h"
#include "traces/generate/reader.h"

namespace gnomon::generate {
namespace {

struct SwitchKeys {
  uint64_t bytes;  ///< of each working set
  uint64_t processes;
  uint64_t slice;  ///< accesses in a turn
};

class SwitchReader final : public GeneratorReader {
 public:
  SwitchReader(const Keys& keys, const CommonKeys& common, const AccessKeys& access,
               const SwitchKeys& keys_of_switch)
      : GeneratorReader(keys, common),
        access_(access),
        switch_(keys_of_switch),
        places_(keys_of_switch.bytes / access.size),
        random_(common.seed) {}

 private:
  bool step(Output& out) override {
    if (out.left() == 0) return leave(out);
    if (slice_left_ == 0) {
      take_turn(out);
      return true;
    }
    --slice_left_;
    const bool store = access_.writes != 0 && random_.percent(access_.writes);
    const uint64_t address = common_.base + random_.below(places_) * access_.size;
    store ? out.store(address, access_.size) : out.load(address, access_.size);
    return true;
  }

  void take_turn(Output& out) {
    const bool first = turns_ < switch_.processes;
    // Process 0 runs when a trace starts.
    if (turns_ > 0) switch_to(out, static_cast<uint32_t>(turns_ % switch_.processes));
    if (first) {
      map_code(out);
      map_data(out, common_.base, switch_.bytes, "working set");
    }
    ++turns_;
    slice_left_ = switch_.slice;
  }
  /// One process after the other ends, of those that ever ran.
  bool leave(Output& out) {
    const uint64_t started = turns_ < switch_.processes ? turns_ : switch_.processes;
    switch_to(out, static_cast<uint32_t>(left_));
    exit(out, static_cast<uint32_t>(left_));
    return ++left_ < started;
  }

  const AccessKeys access_;
  const SwitchKeys switch_;
  const uint64_t places_;
  Random random_;
  uint64_t turns_ = 0;  // so far
  uint64_t slice_left_ = 0;
  uint64_t left_ = 0;  // processes that have ended
};

}  // namespace

Created create_switch(absl::string_view options) {
  absl::StatusOr<Keys> keys = Keys::parse("switch", options);
  if (!keys.ok()) return keys.status();
  const CommonKeys common = common_keys(*keys);
  SwitchKeys wanted;
  wanted.bytes = keys->bytes("bytes", uint64_t{1} << 20, 1, kMostBytes);
  wanted.processes = keys->number("processes", 4, 1, 65536);
  wanted.slice = keys->count("slice", 10'000, 1, kMostReferences);
  const AccessKeys access = access_keys(*keys);
  keys->require(wanted.bytes >= access.size, "bytes is less than size");
  require_room(*keys, common, wanted.bytes);
  if (absl::Status status = keys->finish(); !status.ok()) return status;
  return std::make_unique<SwitchReader>(*keys, common, access, wanted);
}

}  // namespace gnomon::generate
