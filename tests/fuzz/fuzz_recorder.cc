// SPDX-License-Identifier: Apache-2.0
//
// What recorded programs send may be anything: they share an address space with the tool. The first
// byte chooses how the stream is cut and whether magic number and sequence are put right, so that
// random input gets past them.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "traces/record/decoder.h"

namespace {

// Bytes of a packet in the input: short ones, so that a small input holds many.
constexpr size_t kBody = 64;

std::string with_headers(const uint8_t* data, size_t size) {
  std::string out;
  uint32_t sequences[4] = {};
  for (size_t at = 0; at + 2 <= size; at += 2 + kBody) {
    const size_t body = std::min(kBody, size - at - 2) & ~size_t{7};
    const uint32_t who = data[at] & 3;
    gnomon_packet packet = {};
    packet.magic = GNOMON_PACKET_MAGIC;
    packet.kind = static_cast<uint16_t>(1 + (data[at] >> 2 & 1));
    packet.bytes = static_cast<uint16_t>(sizeof packet + body);
    packet.process = who + 1;
    packet.thread = data[at + 1] & 7;
    packet.sequence = data[at] & 0x80 ? 0 : sequences[who];
    sequences[who] = packet.sequence + 1;
    out.append(reinterpret_cast<const char*>(&packet), sizeof packet);
    std::string content(reinterpret_cast<const char*>(data + at + 2), body);
    if (body >= sizeof(gnomon_event) && packet.kind == GNOMON_EVENT) {
      // Small numbers where most values would be refused at once.
      const uint32_t kind = static_cast<uint8_t>(content[0]) % (GNOMON_EVENT_KINDS + 1);
      std::memcpy(content.data(), &kind, sizeof kind);
      const uint64_t value = static_cast<uint8_t>(content[24]) & 7;
      std::memcpy(content.data() + 24, &value, sizeof value);
    }
    out += content;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const uint8_t mode = data[0];
  const std::string stream = mode & 1
                                 ? with_headers(data + 1, size - 1)
                                 : std::string(reinterpret_cast<const char*>(data + 1), size - 1);
  const size_t piece = mode & 2 ? 1 + (mode >> 4) * 16 : stream.size() + 1;
  gnomon::recording::Decoder decoder(mode & 4 ? 5 : 0);
  std::string held;
  for (size_t at = 0; at < stream.size(); at += piece) {
    held += stream.substr(at, piece);
    const auto taken = decoder.take(held);
    if (!taken.ok()) break;
    if (*taken > held.size()) std::abort();
    held.erase(0, *taken);
    if (held.size() >= GNOMON_PACKET_MOST + piece) std::abort();
  }
  decoder.finish();
  uint64_t references = 0;
  uint64_t events = 0;
  for (const gnomon::TraceRecord& record : decoder.batch().records) {
    references += references_of(record.kind);
    if (record.kind != gnomon::RecordKind::kEvent) {
      if (record.size == 0 || record.size > gnomon::kMaxRecordBytes) std::abort();
    } else if (record.address.value() != events++) {
      std::abort();
    }
  }
  if (references != decoder.references() || events != decoder.events() || decoder.alive() != 0) {
    std::abort();
  }
  return 0;
}
