// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TESTS_RECORD_PACKETS_H_
#define GNOMON_TESTS_RECORD_PACKETS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "traces/valgrind/gnomon_protocol.h"

namespace gnomon {

/// Writes a stream as the tool does.
class Packets {
 public:
  static uint64_t word(gnomon_word_kind kind, uint64_t address, uint32_t size) {
    return address << GNOMON_WORD_ADDRESS_SHIFT |
           static_cast<uint64_t>(kind) << GNOMON_WORD_KIND_SHIFT | size;
  }

  Packets& references(uint64_t process, uint32_t thread, const std::vector<uint64_t>& words) {
    header(GNOMON_REFERENCES, process, thread, words.size() * 8);
    append(words.data(), words.size() * 8);
    return *this;
  }

  Packets& event(uint64_t process, uint32_t thread, gnomon_event event,
                 absl::string_view text = "") {
    event.text_bytes = static_cast<uint32_t>(text.size());
    const size_t padded = (text.size() + 7) & ~size_t{7};
    header(GNOMON_EVENT, process, thread, sizeof event + padded);
    append(&event, sizeof event);
    bytes.append(text.data(), text.size());
    bytes.append(padded - text.size(), '\0');
    return *this;
  }
  Packets& event(uint64_t process, uint32_t thread, gnomon_event_kind kind, uint64_t value = 0,
                 absl::string_view text = "") {
    gnomon_event plain = {};
    plain.kind = kind;
    plain.value = value;
    if (kind == GNOMON_BEGIN || kind == GNOMON_FORKED) sequences_[process] = 0;
    return event(process, thread, plain, text);
  }

  std::string bytes;

 private:
  void append(const void* data, size_t length) {
    bytes.append(static_cast<const char*>(data), length);
  }
  void header(gnomon_packet_kind kind, uint64_t process, uint32_t thread, size_t body) {
    const gnomon_packet packet = {.magic = GNOMON_PACKET_MAGIC,
                                  .kind = static_cast<uint16_t>(kind),
                                  .bytes = static_cast<uint16_t>(sizeof packet + body),
                                  .process = process,
                                  .thread = thread,
                                  .sequence = sequences_[process]++};
    append(&packet, sizeof packet);
  }

  std::map<uint64_t, uint32_t> sequences_;
};

}  // namespace gnomon

#endif  // GNOMON_TESTS_RECORD_PACKETS_H_
