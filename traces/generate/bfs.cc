// SPDX-License-Identifier: Apache-2.0
//
// bfs: breadth-first searches of a random graph in compressed sparse rows, as in Graph500's second
// kernel. Every vertex has `degree` edges, whose ends are a hash of the edge's number, so that only
// the visited flags and the queue take memory here.
//
//   offsets  8 bytes a vertex, and one more      edges[offsets[v] .. offsets[v + 1]) are those of v
//   edges    4 bytes an edge                     the vertex at its end
//   visited  1 bit a vertex, in words of 8 bytes
//   queue    4 bytes a vertex
#include <memory>
#include <vector>

#include "traces/generate/random.h"
#include "traces/generate/reader.h"

namespace gnomon::generate {
namespace {

constexpr uint64_t kWord = 8, kOffset = 8, kNumber = 4;

struct Graph {
  uint64_t vertices, degree, seed;

  /// In [0, vertices), fairly: a hash that would favour some is hashed again.
  uint64_t end_of(uint64_t edge) const {
    uint64_t hash = mix(seed + edge * kGolden);
    Wide product = Wide{hash} * vertices;
    while (low_word(product) < vertices && low_word(product) < (0 - vertices) % vertices) {
      hash = mix(hash + kGolden);
      product = Wide{hash} * vertices;
    }
    return high_word(product);
  }
};

/// Where the arrays lie. Each starts on a huge page.
struct Layout {
  uint64_t offsets, edges, visited, queue, end;

  Layout(const Graph& graph, uint64_t base) {
    constexpr uint64_t kHugePage = uint64_t{2} << 20;
    offsets = base;
    edges = round_up(offsets + (graph.vertices + 1) * kOffset, kHugePage);
    visited = round_up(edges + graph.vertices * graph.degree * kNumber, kHugePage);
    queue = round_up(visited + words(graph) * kWord, kHugePage);
    end = queue + graph.vertices * kNumber;
  }
  static uint64_t words(const Graph& graph) { return (graph.vertices + 63) / 64; }
};

class BfsReader final : public GeneratorReader {
 public:
  BfsReader(const Keys& keys, const CommonKeys& common, const Graph& graph)
      : GeneratorReader(keys, common),
        graph_(graph),
        at_(graph, common.base),
        roots_(~common.seed) {}

 private:
  enum class State { kMap, kClear, kRoot, kVertex, kEdges };

  bool step(Output& out) override {
    if (state_ != State::kMap && out.left() == 0) {
      exit(out, 0);
      return false;
    }
    switch (state_) {
      case State::kMap: map(out); break;
      case State::kClear: clear(out); break;
      case State::kRoot: start(out); break;
      case State::kVertex: take_vertex(out); break;
      case State::kEdges: follow_edge(out); break;
    }
    return true;
  }

  void map(Output& out) {
    map_code(out);
    map_data(out, at_.offsets, (graph_.vertices + 1) * kOffset, "offsets");
    map_data(out, at_.edges, graph_.vertices * graph_.degree * kNumber, "edges");
    map_data(out, at_.visited, Layout::words(graph_) * kWord, "visited");
    map_data(out, at_.queue, graph_.vertices * kNumber, "queue");
    visited_.resize(Layout::words(graph_));
    state_ = State::kClear;
  }
  void clear(Output& out) {
    out.store(at_.visited + cursor_ * kWord, kWord);
    visited_[cursor_] = 0;
    if (++cursor_ < visited_.size()) return;
    queue_.clear();
    head_ = 0;
    state_ = State::kRoot;
  }
  void start(Output& out) {
    const uint64_t root = roots_.below(graph_.vertices);
    out.load(at_.visited + root / 64 * kWord, kWord);
    discover(out, root);
    state_ = State::kVertex;
  }
  void take_vertex(Output& out) {
    if (head_ == queue_.size()) {
      cursor_ = 0;
      state_ = State::kClear;
      return;
    }
    const uint64_t vertex = queue_[head_];
    out.load(at_.queue + head_ * kNumber, kNumber);
    out.load(at_.offsets + vertex * kOffset, kOffset);
    out.load(at_.offsets + (vertex + 1) * kOffset, kOffset);
    ++head_;
    edge_ = vertex * graph_.degree;
    last_edge_ = edge_ + graph_.degree;
    state_ = State::kEdges;
  }
  void follow_edge(Output& out) {
    const uint64_t vertex = graph_.end_of(edge_);
    out.load(at_.edges + edge_ * kNumber, kNumber);
    out.load(at_.visited + vertex / 64 * kWord, kWord);
    if ((visited_[vertex / 64] >> (vertex % 64) & 1) == 0) discover(out, vertex);
    if (++edge_ == last_edge_) state_ = State::kVertex;
  }
  /// Its flag has been loaded already.
  void discover(Output& out, uint64_t vertex) {
    visited_[vertex / 64] |= uint64_t{1} << (vertex % 64);
    out.store(at_.visited + vertex / 64 * kWord, kWord);
    out.store(at_.queue + queue_.size() * kNumber, kNumber);
    queue_.push_back(static_cast<uint32_t>(vertex));
  }

  const Graph graph_;
  const Layout at_;
  Random roots_;
  State state_ = State::kMap;
  std::vector<uint64_t> visited_;
  std::vector<uint32_t> queue_;
  uint64_t head_ = 0;    // of the queue
  uint64_t cursor_ = 0;  // word of the flags that is cleared next
  uint64_t edge_ = 0, last_edge_ = 0;
};

}  // namespace

Created create_bfs(absl::string_view options) {
  absl::StatusOr<Keys> keys = Keys::parse("bfs", options);
  if (!keys.ok()) return keys.status();
  const CommonKeys common = common_keys(*keys);
  Graph graph;
  graph.vertices = keys->count("vertices", 1'000'000, 1, uint64_t{1} << 26);
  graph.degree = keys->number("degree", 16, 1, 1024);
  graph.seed = mix(common.seed);
  require_room(*keys, common, Layout(graph, common.base).end - common.base);
  if (absl::Status status = keys->finish(); !status.ok()) return status;
  return std::make_unique<BfsReader>(*keys, common, graph);
}

}  // namespace gnomon::generate
