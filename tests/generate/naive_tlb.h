// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_GENERATE_NAIVE_TLB_H_
#define TESTS_GENERATE_NAIVE_TLB_H_

#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "gnomon/tlb/config.h"

namespace gnomon::generate_test {

/// A TLB that holds 4K pages with all rights, written from the rules in gnomon/tlb/config.h and
/// nothing else: each set is a list of pages, the most recently used in front. Only LRU.
class NaiveTlb {
 public:
  explicit NaiveTlb(const TlbConfig& config);

  /// Looks one page up for one operation, and keeps it where it was missing. The level that
  /// answered; 0: none.
  unsigned access(uint64_t page, AccessOp op, uint16_t pcid);
  void invalidate(uint64_t page, uint16_t pcid);
  void flush(uint16_t pcid);

  uint64_t hits[3] = {}, misses[3] = {};  ///< by level
  struct Structure {
    TlbStructureConfig config;
    size_t ways = 0;  // for 4K pages
    uint64_t hits = 0, misses = 0, fills = 0, evictions = 0, invalidations = 0;
    struct Page {
      uint64_t page;
      uint16_t pcid;
      friend bool operator==(const Page&, const Page&) = default;
    };
    std::vector<std::list<Page>> sets;
  };
  std::vector<Structure> structures;

 private:
  Structure* serving(unsigned level, AccessOp op, uint64_t page);
  bool hit(Structure& s, uint64_t page, uint16_t pcid);
  void fill(Structure& s, uint64_t page, uint16_t pcid);
  void become(uint16_t pcid);

  uint16_t pcid_ = 0;
};

}  // namespace gnomon::generate_test

#endif  // TESTS_GENERATE_NAIVE_TLB_H_
