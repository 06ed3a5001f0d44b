// SPDX-License-Identifier: Apache-2.0
#include "traces/gtrace/index.h"

#include "traces/gtrace/coding.h"
#include "traces/gtrace/layout.h"

namespace gnomon::gtrace {

std::string encode_index(absl::Span<const GtraceBlock> blocks) {
  std::string out(kIndexMagic);
  put_fixed(out, uint64_t{blocks.size()});
  put_fixed(out, blocks.empty() ? 0 : blocks.back().first_reference + blocks.back().references);
  for (const GtraceBlock& block : blocks) {
    put_fixed(out, block.offset);
    put_fixed(out, block.bytes);
    put_fixed(out, block.references);
    put_fixed(out, block.events);
  }
  put_fixed(out, checksum(out));
  return out;
}

std::optional<size_t> index_bytes(absl::string_view front) {
  if (front.size() < kIndexFront || front.substr(0, kMagicBytes) != kIndexMagic) {
    return std::nullopt;
  }
  const uint64_t rows = get_fixed<uint64_t>(&front[kMagicBytes]);
  if (rows > kMaxIndexRows) return std::nullopt;
  return kIndexFront + rows * kIndexRow + kIndexChecksum;
}

std::optional<std::vector<GtraceBlock>> decode_index(absl::string_view bytes, uint64_t offset) {
  if (index_bytes(bytes) != bytes.size()) return std::nullopt;
  const size_t checked = bytes.size() - kIndexChecksum;
  if (get_fixed<uint64_t>(&bytes[checked]) != checksum(bytes.substr(0, checked))) {
    return std::nullopt;
  }
  std::vector<GtraceBlock> blocks;
  uint64_t references = 0;
  uint64_t end = 0;  // of the blocks so far
  for (size_t at = kIndexFront; at < checked; at += kIndexRow) {
    GtraceBlock block;
    block.offset = get_fixed<uint64_t>(&bytes[at]);
    block.bytes = get_fixed<uint64_t>(&bytes[at + 8]);
    block.references = get_fixed<uint64_t>(&bytes[at + 16]);
    block.events = get_fixed<uint64_t>(&bytes[at + 24]);
    block.first_reference = references;
    const bool sane =
        block.offset >= end && block.offset <= offset && block.bytes >= BlockHeader::kBytes &&
        block.bytes <= BlockHeader::kBytes + uint64_t{kMaxStoredBytes} &&
        block.bytes <= offset - block.offset &&
        block.references <= uint64_t{kMaxBlockRecords} * 2 && block.events <= kMaxBlockRecords;
    if (!sane) return std::nullopt;
    end = block.offset + block.bytes;
    references += block.references;
    blocks.push_back(block);
  }
  if (references != get_fixed<uint64_t>(&bytes[16])) return std::nullopt;
  return blocks;
}

}  // namespace gnomon::gtrace
