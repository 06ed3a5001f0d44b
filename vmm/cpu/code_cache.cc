// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/code_cache.h"

#include <algorithm>
#include <cstring>

#include "vmm/cpu/chain.h"
#include "vmm/cpu/cpu.h"
#include "vmm/cpu/decode.h"

namespace gnomon::vmm {
namespace {

constexpr unsigned kPageBytes = 4096;
constexpr unsigned kLongest = 15;  // bytes of an instruction

const uint8_t* page_of(const uint8_t* host) {
  return reinterpret_cast<const uint8_t*>(reinterpret_cast<uintptr_t>(host) & ~uintptr_t{kPageBytes - 1});
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

void relocate(Op& op, unsigned offset, unsigned number) {
  op.offset = static_cast<uint16_t>(offset);
  op.number = static_cast<uint16_t>(number);
  const unsigned end = offset + op.length;
  if (op.base == kBlockStart) {
    // A displacement within a page of 2^31 wraps here, as no linker makes it: then the address is wrong by 2^32.
    op.disp = static_cast<int32_t>(static_cast<uint32_t>(op.disp) + end);
  }
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

// Stores to this page need attention from now on.
void CodeCache::watch(const uint8_t* page) {
  if (!pages_.try_emplace(page).second) return;
  for (MemoryPath* path : paths_) path->protect_code();
}

void CodeCache::note(Block* block) {
  watch(page_of(block->host));
  Page& page = pages_[page_of(block->host)];
  page.blocks.push_back(block);
  page.chunks[0] |= chunk_bits(offset_in_page(block->host), block->bytes);
}

void CodeCache::code_written(const uint8_t* host, unsigned size) {
  const auto found = pages_.find(page_of(host));
  if (found == pages_.end()) return;
  Page& page = found->second;
  if ((page.chunks[0] & chunk_bits(offset_in_page(host), size)) == 0) return;
  uint64_t left = 0;
  std::erase_if(page.blocks, [&](Block* b) {
    if (b->host + b->bytes <= host || host + size <= b->host) {
      left |= chunk_bits(offset_in_page(b->host), b->bytes);
      return false;
    }
    b->stale = true;
    ++invalidated_;
    // All of them, the check before an instruction too.
    for (Op* op = b->ops;; ++op) {
      const bool last = op->length == 0 && op->number == b->instructions;
      make_stale(*op);
      if (last) break;
    }
    blocks_.erase(Key{b->host, b->mode});
    return true;
  });
  page.chunks[0] = left;
}

Block* CodeCache::find(Cpu& cpu, uint8_t mode) {
  const uint64_t linear = cpu.linear(kCs, cpu.rip);
  const uint8_t* host = cpu.memory.fetch(linear);
  if (host == nullptr) return fetch_failed(cpu);
  if (const auto found = blocks_.find(Key{host, mode}); found != blocks_.end()) {
    Block* const b = found->second;
    if (!b->crosses) return b;
    const unsigned here = kPageBytes - offset_in_page(host);
    const uint8_t* rest = cpu.memory.fetch(linear + here);
    if (rest != nullptr && std::memcmp(rest, b->copy + here, b->bytes - here) == 0) return b;
    return make_crossing(cpu, host, mode);
  }
  return make(cpu, host, mode);
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
  note(&block);
  return &block;
}

Block* CodeCache::make_crossing(Cpu& cpu, const uint8_t* host, uint8_t mode) {
  const uint64_t linear = cpu.linear(kCs, cpu.rip);
  const unsigned here = kPageBytes - offset_in_page(host);
  uint8_t bytes[16] = {};
  std::memcpy(bytes, host, here);
  const uint8_t* rest = cpu.memory.fetch(linear + here);
  if (rest == nullptr) return fetch_failed(cpu);
  std::memcpy(bytes + here, rest, kLongest - here);
  DecodedOp d;
  unsigned length = decode(bytes, kLongest, mode, d);
  if (length == 0) length = 1;
  const Key key{host, mode};
  Block*& slot = blocks_[key];
  if (slot == nullptr) {
    slot = &storage_.emplace_back();
    slot->ops = allocate(2 + kTakenLink);
    slot->host = host;
    slot->mode = mode;
    slot->crosses = true;
    slot->instructions = 1;
    slot->bytes = static_cast<uint16_t>(here);
    note(slot);
  }
  Block& block = *slot;
  std::memcpy(block.copy, bytes, sizeof bytes);
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
  return &block;
}

}  // namespace gnomon::vmm
