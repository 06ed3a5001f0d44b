// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/code_cache.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "vmm/cpu/chain.h"
#include "vmm/cpu/cpu.h"
#include "vmm/cpu/decode.h"

namespace gnomon::vmm {
namespace {

constexpr unsigned kPageBytes = 4096;
constexpr unsigned kLongest = 15;  // bytes of an instruction

const uint8_t* page_of(const uint8_t* host) {
  return reinterpret_cast<const uint8_t*>(reinterpret_cast<uintptr_t>(host) &
                                          ~uintptr_t{kPageBytes - 1});
}

unsigned offset_in_page(const uint8_t* host) {
  return static_cast<unsigned>(reinterpret_cast<uintptr_t>(host) & (kPageBytes - 1));
}

uint64_t chunk_bits(unsigned offset, unsigned size) {
  const unsigned first = offset / 64;
  const unsigned last = std::min(offset + size - 1, kPageBytes - 1) / 64;
  return (~uint64_t{0} >> (63 - last)) & (~uint64_t{0} << first);
}

Block* fetch_failed(Cpu& cpu) {
  if (cpu.memory.fetch_from_device) {
    // Reads as FF FF: an undefined instruction.
    cpu.exit.reason = ExitReason::kFault;
    cpu.exit.fault = Fault::plain(kInvalidOpcode);
  } else {
    cpu.exit.reason = cpu.memory.host_failed ? ExitReason::kHostFailed : ExitReason::kFault;
    cpu.exit.fault = cpu.memory.fault;
  }
  return nullptr;
}

// The page after that of `linear`, where an instruction goes on. Null: that is a fault, which the
// processor's exit says.
const uint8_t* fetch_rest(Cpu& cpu, uint64_t linear, uint8_t mode) {
  const uint64_t here = kPageBytes - linear % kPageBytes;
  if ((mode & code_mode::kFlat) == 0 && cpu.rip + here > cpu.state.segments[kCs].limit) {
    cpu.exit.reason = ExitReason::kFault;
    cpu.exit.fault = Fault::gp();
    return nullptr;
  }
  const uint8_t* const rest = cpu.memory.fetch(linear + here);
  if (rest == nullptr) fetch_failed(cpu);
  return rest;
}

// The bytes of a block in one page, which may be both of its pages. None: it has none there (any
// more).
struct Part {
  unsigned offset = 0, bytes = 0;
};
std::array<Part, 2> parts_in(const Block& b, const uint8_t* page) {
  const unsigned offset = offset_in_page(b.host);
  const unsigned here = std::min<unsigned>(b.bytes, kPageBytes - offset);
  std::array<Part, 2> parts;
  if (page == page_of(b.host)) parts[0] = {offset, here};
  if (page == b.rest) parts[1] = {0, b.bytes - here};
  return parts;
}

uint64_t chunks_of(const std::array<Part, 2>& parts) {
  uint64_t chunks = 0;
  for (const Part& p : parts) {
    if (p.bytes != 0) chunks |= chunk_bits(p.offset, p.bytes);
  }
  return chunks;
}

void relocate(Op& op, unsigned offset, unsigned number) {
  op.offset = static_cast<uint16_t>(offset);
  op.number = static_cast<uint16_t>(number);
  const unsigned end = offset + op.length;
  if (op.base == kBlockStart) op.disp += static_cast<int32_t>(end);
  if ((op.flags & op_flag::kRelative) != 0) op.imm += end;
}

}  // namespace

CodeCache::CodeCache() = default;
CodeCache::~CodeCache() = default;

Op* CodeCache::allocate(size_t ops) {
  if (used_ + ops > kChunkOps) {
    chunks_.emplace_back(kChunkOps);
    used_ = 0;
  }
  Op* const first = chunks_.back().data() + used_;
  used_ += ops;
  return first;
}

bool CodeCache::make_room() {
  if (chunks_.size() * kChunkOps < kMaxOps && storage_.size() < kMaxOps / 4) return false;
  clear();
  return true;
}

void CodeCache::clear() {
  ++generation_;
  blocks_.clear();
  pages_.clear();
  storage_.clear();
  chunks_.clear();
  used_ = kChunkOps;
  for (MemoryPath* path : paths_) path->flush();
}

// `block` has bytes in `page`: stores there need attention from now on.
void CodeCache::note(Block* block, const uint8_t* page) {
  const auto [found, is_new] = pages_.try_emplace(page);
  if (is_new) {
    for (MemoryPath* path : paths_) path->protect_code();
  }
  Page& p = found->second;
  // One that crosses pages is noted again each time another page comes after it.
  const bool noted =
      block->crosses() && std::find(p.blocks.begin(), p.blocks.end(), block) != p.blocks.end();
  if (!noted) p.blocks.push_back(block);
  p.chunks |= chunks_of(parts_in(*block, page));
}

void CodeCache::code_written(const uint8_t* host, unsigned size) {
  const uint8_t* const at = page_of(host);
  const auto found = pages_.find(at);
  if (found == pages_.end()) return;
  Page& page = found->second;
  const unsigned offset = offset_in_page(host);
  if ((page.chunks & chunk_bits(offset, size)) == 0) return;
  uint64_t left = 0;
  std::erase_if(page.blocks, [&](Block* b) {
    const std::array<Part, 2> parts = parts_in(*b, at);
    const uint64_t chunks = chunks_of(parts);
    if (b->stale || chunks == 0) return true;
    const bool written = std::any_of(parts.begin(), parts.end(), [&](const Part& p) {
      return p.bytes != 0 && offset < p.offset + p.bytes && p.offset < offset + size;
    });
    if (written) {
      retire(*b);
    } else {
      left |= chunks;
    }
    return written;
  });
  page.chunks = left;
}

void CodeCache::retire(Block& b) {
  b.stale = true;
  ++invalidated_;
  // All of them, the check before an instruction too.
  for (Op* op = b.ops;; ++op) {
    const bool last = op->length == 0 && op->number == b.instructions;
    make_stale(*op);
    if (last) break;
  }
  for (const Op* link : b.links) unresolve_link(link, b);
  b.links.clear();
  blocks_.erase(Key{b.host, b.mode});
}

Block* CodeCache::find(Cpu& cpu, uint8_t mode) {
  const uint64_t linear = cpu.linear(kCs, cpu.rip);
  const uint8_t* host = cpu.memory.fetch(linear);
  if (host == nullptr) return fetch_failed(cpu);
  const auto found = blocks_.find(Key{host, mode});
  if (found == blocks_.end()) return make(cpu, host, mode);
  Block* const b = found->second;
  if (!b->crosses()) return b;
  const uint8_t* const rest = fetch_rest(cpu, linear, mode);
  if (rest == nullptr) return nullptr;
  if (rest == b->rest) return b;
  return make_crossing(cpu, host, mode);
}

Block* CodeCache::make(Cpu& cpu, const uint8_t* host, uint8_t mode) {
  const unsigned room = kPageBytes - offset_in_page(host);
  const unsigned most = (mode & code_mode::kSingle) != 0 ? 1 : kMaxInstructions;
  Op ops[2 * kMaxInstructions + kTakenLink];
  size_t count = 0;
  unsigned offset = 0;
  unsigned instructions = 0;
  bool ended = false;
  while (!ended && instructions < most && offset < room) {
    DecodedOp d;
    const unsigned length = decode(host + offset, std::min(room - offset, kLongest), mode, d);
    if (length == 0) break;
    relocate(d.op, offset, instructions);
    if (d.checked) {
      d.check.offset = d.op.offset;
      d.check.number = d.op.number;
      d.check.length = d.op.length;
      ops[count++] = d.check;
    }
    ops[count++] = d.op;
    offset += length;
    ++instructions;
    ended = (d.op.flags & op_flag::kEnds) != 0;
  }
  if (instructions == 0) return make_crossing(cpu, host, mode);
  const bool relative = (ops[count - 1].flags & op_flag::kRelative) != 0;
  const uint64_t target = ops[count - 1].imm;
  ops[count++] = make_link(mode, host, offset, instructions, ended);
  if (relative) ops[count++] = make_link(mode, host, target, instructions, true);
  decoded_ += instructions;

  Block& block = storage_.emplace_back();
  block.host = host;
  block.bytes = static_cast<uint16_t>(offset);
  block.instructions = static_cast<uint16_t>(instructions);
  block.mode = mode;
  block.ops = allocate(count);
  std::copy_n(ops, count, block.ops);
  blocks_[Key{host, mode}] = &block;
  note(&block, page_of(host));
  return &block;
}

Block* CodeCache::make_crossing(Cpu& cpu, const uint8_t* host, uint8_t mode) {
  const unsigned here = kPageBytes - offset_in_page(host);
  const uint8_t* const rest = fetch_rest(cpu, cpu.linear(kCs, cpu.rip), mode);
  if (rest == nullptr) return nullptr;
  uint8_t bytes[kLongest];
  std::memcpy(bytes, host, here);
  std::memcpy(bytes + here, rest, kLongest - here);
  DecodedOp d;
  const unsigned length = decode(bytes, kLongest, mode, d);
  // The same block with another page after it is decoded in place.
  Block*& slot = blocks_[Key{host, mode}];
  if (slot == nullptr) {
    slot = &storage_.emplace_back();
    slot->ops = allocate(2 + kTakenLink);
    slot->host = host;
    slot->mode = mode;
    slot->instructions = 1;
  }
  Block& block = *slot;
  block.rest = rest;
  block.bytes = static_cast<uint16_t>(length);
  ++decoded_;
  relocate(d.op, 0, 0);
  Op* op = block.ops;
  if (d.checked) {
    d.check.length = d.op.length;
    *op++ = d.check;
  }
  *op++ = d.op;
  // Nothing is linked to what another page says.
  const uint8_t unlinked = mode | code_mode::kSingle;
  *op++ = make_link(unlinked, host, length, 1, (d.op.flags & op_flag::kEnds) != 0);
  if ((d.op.flags & op_flag::kRelative) != 0) *op = make_link(unlinked, host, d.op.imm, 1, true);
  note(&block, page_of(host));
  note(&block, rest);
  return &block;
}

}  // namespace gnomon::vmm
