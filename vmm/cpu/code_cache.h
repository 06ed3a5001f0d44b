// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_CODE_CACHE_H_
#define VMM_CPU_CODE_CACHE_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "vmm/cpu/memory_path.h"
#include "vmm/cpu/op.h"

// Decoded blocks of guest code, by where their bytes lie in host memory and in what mode they were
// decoded; shared by all processors of a machine.
//
//  1. A block lies in one page, but for a block of one instruction that crosses into the next:
//     where its second part lies is looked up with it each time, as the next page may be another
//     one by then.
//  2. A store to bytes of a block makes the block stale: each of its ops leaves for the dispatcher.
//     So a block that overwrites itself ahead needs no test in between.
//  3. Stale blocks are freed, with all others, when there is no more room (`kMaxOps`), and never
//     while one runs.

namespace gnomon::vmm {

struct Block {
  const uint8_t* host = nullptr;  ///< its first byte
  uint16_t bytes = 0;
  uint16_t instructions = 0;
  uint8_t mode = 0;
  bool stale = false;
  /// Of a block that crosses into the next page: where that page's first byte lies.
  const uint8_t* rest = nullptr;
  Op* ops = nullptr;
  std::vector<const Op*> links;  ///< ends of other blocks that go to `ops`

  bool crosses() const { return rest != nullptr; }
};

class CodeCache final : public CodeWatch {
 public:
  static constexpr unsigned kMaxInstructions = 64;  ///< of a block
  static constexpr size_t kMaxOps = 1024 * 1024;    ///< 48 MiB of them

  CodeCache();
  ~CodeCache() override;
  CodeCache(const CodeCache&) = delete;
  CodeCache& operator=(const CodeCache&) = delete;

  /// A processor that stores to the same memory. It must outlive the cache's use.
  void attach(MemoryPath& memory) { paths_.push_back(&memory); }

  /// The block at the processor's RIP, decoded if need be. Null: fetching faults, and the
  /// processor's exit says so.
  Block* find(Cpu& cpu, uint8_t mode);

  bool has_code(const uint8_t* host_page) const override { return pages_.contains(host_page); }
  void code_written(const uint8_t* host, unsigned size) override;

  /// To be called between blocks: frees everything if there is little room. True: it did.
  bool make_room();
  uint64_t generation() const { return generation_; }    ///< grows whenever blocks are freed
  uint64_t decoded() const { return decoded_; }          ///< instructions so far
  uint64_t invalidated() const { return invalidated_; }  ///< blocks so far

 private:
  struct Page {
    std::vector<Block*> blocks;
    uint64_t chunks = 0;  ///< bit i: some block has bytes in the 64 bytes from 64 * i
  };
  struct Key {
    const uint8_t* host;
    uint8_t mode;
    friend bool operator==(const Key&, const Key&) = default;
    template <class H>
    friend H AbslHashValue(H h, const Key& k) {
      return H::combine(std::move(h), k.host, k.mode);
    }
  };
  static constexpr size_t kChunkOps = 16 * 1024;

  Block* make(Cpu& cpu, const uint8_t* host, uint8_t mode);
  Block* make_crossing(Cpu& cpu, const uint8_t* host, uint8_t mode);
  Op* allocate(size_t ops);
  void retire(Block& block);
  void note(Block* block, const uint8_t* page);
  void clear();

  std::vector<MemoryPath*> paths_;
  absl::flat_hash_map<Key, Block*> blocks_;
  absl::flat_hash_map<const uint8_t*, Page> pages_;
  std::deque<Block> storage_;
  std::vector<std::vector<Op>> chunks_;
  size_t used_ = kChunkOps;  // ops of the last chunk
  uint64_t generation_ = 1;
  uint64_t decoded_ = 0;
  uint64_t invalidated_ = 0;
};

}  // namespace gnomon::vmm

#endif  // VMM_CPU_CODE_CACHE_H_
