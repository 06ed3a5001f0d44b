// SPDX-License-Identifier: Apache-2.0
#include "traces/gtrace/layout.h"

#include <xxhash.h>

#include "traces/gtrace/coding.h"

namespace gnomon::gtrace {

uint64_t checksum(absl::string_view bytes) { return XXH64(bytes.data(), bytes.size(), 0); }

std::string BlockHeader::encode() const {
  std::string out(kBlockMagic);
  put_fixed(out, number);
  put_fixed(out, stored);
  put_fixed(out, records);
  put_fixed(out, events);
  put_fixed(out, references);
  put_fixed(out, first_reference);
  put_fixed(out, process);
  put_fixed(out, thread);
  put_fixed(out, stored_checksum);
  put_fixed(out, checksum(out));
  return out;
}

std::optional<BlockHeader> BlockHeader::decode(absl::string_view bytes) {
  if (bytes.size() < kBytes || bytes.substr(0, kMagicBytes) != kBlockMagic) return std::nullopt;
  if (get_fixed<uint64_t>(&bytes[kBytes - 8]) != checksum(bytes.substr(0, kBytes - 8))) {
    return std::nullopt;
  }
  BlockHeader header;
  header.number = get_fixed<uint32_t>(&bytes[8]);
  header.stored = get_fixed<uint32_t>(&bytes[12]);
  header.records = get_fixed<uint32_t>(&bytes[16]);
  header.events = get_fixed<uint32_t>(&bytes[20]);
  header.references = get_fixed<uint64_t>(&bytes[24]);
  header.first_reference = get_fixed<uint64_t>(&bytes[32]);
  header.process = get_fixed<uint32_t>(&bytes[40]);
  header.thread = get_fixed<uint32_t>(&bytes[44]);
  header.stored_checksum = get_fixed<uint64_t>(&bytes[48]);
  const bool sane = header.stored <= kMaxStoredBytes && header.records <= kMaxBlockRecords &&
                    header.events <= header.records &&
                    header.references <= uint64_t{header.records - header.events} * 2 &&
                    header.first_reference <= ~uint64_t{0} - header.references;
  if (!sane) return std::nullopt;
  return header;
}

std::string Trailer::encode() const {
  std::string out;
  put_fixed(out, index_offset);
  put_fixed(out, checksum(out));
  out += std::string(kTrailerMagic);
  return out;
}

std::optional<Trailer> Trailer::decode(absl::string_view bytes) {
  if (bytes.size() != kBytes || bytes.substr(16) != kTrailerMagic ||
      get_fixed<uint64_t>(&bytes[8]) != checksum(bytes.substr(0, 8))) {
    return std::nullopt;
  }
  return Trailer{get_fixed<uint64_t>(bytes.data())};
}

}  // namespace gnomon::gtrace
