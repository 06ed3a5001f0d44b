// SPDX-License-Identifier: Apache-2.0
//
// The accesses of a breadth-first search, read backwards: from the addresses alone, each search
// must be one.
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/generate/stream.h"

namespace gnomon::generate_test {
namespace {

/// Takes the accesses apart again. Everything it knows is from the mapping events and the
/// addresses.
class Searches {
 public:
  Searches(const Stream& s, uint64_t vertices, uint64_t degree)
      : records_(s.data()), vertices_(vertices), degree_(degree) {
    for (const TraceEvent& e : s.events) {
      if (e.text == "offsets") offsets_ = e.address;
      if (e.text == "edges") edges_ = e.address;
      if (e.text == "visited") visited_ = e.address;
      if (e.text == "queue") queue_ = e.address;
    }
  }

  bool more() const { return at_ < records_.size(); }
  uint64_t found = 0;  ///< vertices in the last search
  uint64_t references = 0;
  uint64_t edges = 0;

  /// One whole search, or what there is of the last.
  void search() {
    const size_t first = at_;
    for (uint64_t w = 0; w < (vertices_ + 63) / 64; ++w)
      expect(RecordKind::kStore, visited_ + 8 * w, 8);
    std::vector<uint64_t> words;  // of the flags of the vertices in the queue
    const auto discover = [&](uint64_t word) {
      expect(RecordKind::kStore, visited_ + 8 * word, 8);
      expect(RecordKind::kStore, queue_ + 4 * words.size(), 4);
      words.push_back(word);
    };
    discover(word_loaded());
    std::set<uint64_t> taken;
    edges = 0;
    for (size_t head = 0; head < words.size() && more(); ++head) {
      expect(RecordKind::kLoad, queue_ + 4 * head, 4);
      if (!more()) break;
      const uint64_t vertex = (records_[at_].address.value() - offsets_) / 8;
      EXPECT_EQ(vertex / 64, words[head]) << "not the vertex that was found then";
      EXPECT_TRUE(taken.insert(vertex).second) << vertex << " is visited twice";
      EXPECT_LT(vertex, vertices_);
      expect(RecordKind::kLoad, offsets_ + 8 * vertex, 8);
      expect(RecordKind::kLoad, offsets_ + 8 * vertex + 8, 8);
      for (uint64_t e = vertex * degree_; e < (vertex + 1) * degree_ && more(); ++e, ++edges) {
        expect(RecordKind::kLoad, edges_ + 4 * e, 4);
        const uint64_t word = word_loaded();
        if (more() && records_[at_].kind == RecordKind::kStore &&
            records_[at_].address.value() >= visited_ && words.size() < vertices_ &&
            at_ + 1 < records_.size() &&
            records_[at_ + 1].address.value() == queue_ + 4 * words.size()) {
          discover(word);
        }
      }
    }
    found = taken.size();
    references = at_ - first;
  }

 private:
  void expect(RecordKind kind, uint64_t address, uint16_t size) {
    if (!more()) return;
    const TraceRecord want = {Gva(address), size, kind, false};
    EXPECT_EQ(records_[at_], want) << "access " << at_ << ": " << std::hex
                                   << records_[at_].address.value() << " not " << address;
    ++at_;
  }
  uint64_t word_loaded() {
    if (!more()) return 0;
    const uint64_t word = (records_[at_].address.value() - visited_) / 8;
    EXPECT_LE(word, vertices_ / 64);
    expect(RecordKind::kLoad, visited_ + 8 * word, 8);
    return word;
  }

  std::vector<TraceRecord> records_;
  uint64_t vertices_, degree_;
  size_t at_ = 0;
  uint64_t offsets_ = 0, edges_ = 0, visited_ = 0, queue_ = 0;
};

TEST(Bfs, IsABreadthFirstSearchAfterTheOther) {
  const Stream s = draw("bfs,vertices=3000,degree=8,refs=300K");
  Searches searches(s, 3000, 8);
  int n = 0;
  while (searches.more() && !testing::Test::HasFailure()) {
    searches.search();
    if (!searches.more()) break;
    ++n;
    // Nearly all vertices of a random graph with 8 edges each are reached from nearly all others.
    EXPECT_GT(searches.found, 2950u);
    EXPECT_EQ(searches.edges, searches.found * 8);
    EXPECT_EQ(searches.references, 47 + 1 + 5 * searches.found + 2 * 8 * searches.found);
  }
  EXPECT_GE(n, 4);
}

TEST(Bfs, ReachesLittleWhereThereAreFewEdges) {
  const Stream s = draw("bfs,vertices=1000,degree=1,refs=100K");
  Searches searches(s, 1000, 1);
  uint64_t most = 0;
  while (searches.more() && !testing::Test::HasFailure()) {
    searches.search();
    most = std::max(most, searches.found);
  }
  // A walk of single edges meets itself after about sqrt(1000 pi / 2) = 40.
  EXPECT_GT(most, 20u);
  EXPECT_LT(most, 200u);
}

TEST(Bfs, ASingleVertexIsAGraph) {
  const Stream s = draw("bfs,vertices=1,degree=2,refs=1100");
  Searches searches(s, 1, 2);
  while (searches.more()) {
    searches.search();
    EXPECT_LE(searches.found, 1u);
  }
  // clear, flag, mark, enqueue, dequeue, two offsets, two edges with their flags
  EXPECT_EQ(s.data()[0], s.data()[11]);
}

}  // namespace
}  // namespace gnomon::generate_test
