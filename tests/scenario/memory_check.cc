// SPDX-License-Identifier: Apache-2.0
#include "tests/scenario/memory_check.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gnomon::scenario {

Problem MemoryCheck::compare(absl::Span<const Gpa> touched) const {
  for (const Gpa at : touched) {
    if (Problem p = compare_frame(at.frame())) return p;
    if (!m_.p2m().lookup(at).is_ram()) continue;
    if (Problem p = compare_as_read(Gpa(at.value() & ~uint64_t{7}))) return p;
  }
  return {};
}

Problem MemoryCheck::compare_all() const {
  for (uint64_t f = 0; f < kBigBase / kFrame + kBigFrames; ++f) {
    if (f >= kRamFrames && !mirror_.p2m().lookup(Gpa::from_frame(f)).is_ram()) continue;
    if (Problem p = compare_frame(f)) return p;
  }
  return {};
}

Problem MemoryCheck::compare_frame(uint64_t frame) const {
  static const uint8_t kZero[kFrame] = {};
  const Gpa base = Gpa::from_frame(frame);
  const uint8_t* memory = m_.p2m().ram_at(base);
  if (memory == nullptr) return {};
  const uint8_t* should = mirror_.p2m().ram_at(base);
  if (should == nullptr) should = kZero;
  if (std::memcmp(memory, should, kFrame) == 0) return {};
  if (raw_differs_) {
    for (uint64_t i = 0; i < kFrame; i += 8) {
      if (Problem p = compare_as_read(Gpa(base.value() + i))) return p;
    }
    return {};
  }
  const auto at =
      static_cast<uint64_t>(std::mismatch(memory, memory + kFrame, should).first - memory);
  const Gpa word(base.value() + at / 8 * 8);
  return absl::StrFormat("guest memory differs at %s: 0x%x, expected 0x%x", to_string(word),
                         load_bytes(memory + at / 8 * 8, 8), mirror_.load(word, 8));
}

Problem MemoryCheck::compare_as_read(Gpa word) const {
  uint64_t seen = 0;
  if (!m_.backend().read_physical(m_.cpu(0), word, 8, seen)) {
    return absl::StrCat("read_physical refuses ", to_string(word));
  }
  const uint64_t should = mirror_.load(word, 8);
  if (seen == should) return {};
  return absl::StrFormat("the guest reads 0x%x at %s, expected 0x%x", seen, to_string(word),
                         should);
}

}  // namespace gnomon::scenario
