// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_TLB_NAIVE_TLB_H_
#define TESTS_TLB_NAIVE_TLB_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "gnomon/tlb/config.h"
#include "gnomon/tlb/entry.h"
#include "gnomon/x86/rules.h"

// The TLB of config.h simulated as literally as possible: every entry says whose it is, every flush
// visits every entry, replacement follows its textbook definition. It shares no code with the
// engine beyond the configuration and the plain data types.

namespace gnomon::naive {

struct Way {
  bool valid = false;
  uint64_t vpn = 0;
  TlbEntry entry;
  uint64_t used = 0, filled = 0;
};

struct Set {
  std::vector<Way> ways;
  std::map<std::pair<uint32_t, uint32_t>, bool> prefer_right;  // tree-plru, by range of ways
};

struct Structure {
  TlbStructureConfig config;
  uint32_t ways = 0;
  std::vector<Set> sets;
  uint64_t random = 0;
  uint64_t hits = 0, fills = 0, evictions = 0, invalidations = 0, denied = 0;
};

struct Answer {
  TlbEntry entry;
  unsigned level;
};

class NaiveTlb {
 public:
  explicit NaiveTlb(const TlbConfig& config);

  std::optional<Answer> lookup(Gva va, Access access, uint16_t pcid, const PagingRules& rules);
  void insert(Gva va, Access access, const Translation& t, uint16_t pcid);
  void invalidate_page(Gva va, uint16_t pcid, bool globals);
  void flush_pcid(uint16_t pcid);
  void flush_non_global();
  void flush_vpid();
  void flush_all();
  void set_vpid(uint16_t vpid) { become(pcid_, vpid); }

  const std::vector<Structure>& structures() const { return structures_; }
  size_t valid_entries() const;

 private:
  void become(uint16_t pcid, uint16_t vpid);
  Structure* structure_for(unsigned level, AccessOp op, PageSize size, Gva va);
  Way* find(Structure& s, PageSize size, Gva va, uint16_t pcid, bool globals = true);
  void fill(unsigned level, Gva va, AccessOp op, const Translation& t, uint16_t pcid);
  uint32_t choose(Structure& s, Set& set, uint32_t limit);
  void touch(Structure& s, Set& set, uint32_t way);
  template <class F>
  void drop_if(F&& f);

  std::vector<Structure> structures_;
  uint64_t time_ = 0;
  uint16_t pcid_ = 0, vpid_ = 0;
};

}  // namespace gnomon::naive

#endif  // TESTS_TLB_NAIVE_TLB_H_
