// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_PAIRING_H_
#define TRACES_GTRACE_PAIRING_H_

#include <cstdint>
#include <vector>

#include "traces/gtrace/dictionary.h"

namespace gnomon::gtrace {

/// Makes runs that often follow one another into pairs, and those again (byte-pair encoding, a
/// round for all frequent pairs at once): a reader copies one long run where it would have copied
/// several. Replaces `steps` (RunFinder), and sets the dictionary's pairs.
void make_pairs(Dictionary& dictionary, std::vector<uint32_t>& steps);

/// Puts the basic runs that are steps in front, in the order of their first step, so that
/// kTokenFresh names them; and the slots in the order in which those runs name them.
void put_in_order(Dictionary& dictionary, std::vector<uint32_t>& steps);

/// The basic runs that each run consists of, one run after another.
class Expansion {
 public:
  explicit Expansion(const Dictionary& dictionary);
  /// Of the run of this number.
  const uint32_t* begin(uint32_t run) const { return basics_.data() + first_[run]; }
  const uint32_t* end(uint32_t run) const { return basics_.data() + first_[run + 1]; }

 private:
  std::vector<uint32_t> basics_;
  std::vector<uint32_t> first_;
};

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_PAIRING_H_
