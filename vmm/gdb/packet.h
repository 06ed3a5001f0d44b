// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_GDB_PACKET_H_
#define VMM_GDB_PACKET_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

// The framing of GDB's remote protocol (GDB manual, appendix E.1): $payload#xx with a checksum of
// two hexadecimal digits, + and - to acknowledge, and the byte 3 to interrupt.

namespace gnomon::vmm::gdb {

/// Longest payload that is taken, and that is said to be taken (PacketSize).
inline constexpr size_t kMostPayload = 0x4000;

struct PacketEvent {
  enum class Kind : uint8_t {
    kPacket,   ///< `payload`, escapes resolved
    kDamaged,  ///< the checksum is wrong
    kTooLong,  ///< nobody who follows the protocol sends this
    kInterrupt,
    kAck,
    kNak,
  };
  Kind kind;
  std::string payload;
};

/// Cuts a stream into packets. Bytes between packets that mean nothing are dropped.
class PacketReader {
 public:
  void add(absl::string_view bytes) { bytes_.append(bytes.data(), bytes.size()); }
  /// Nullopt: more bytes are needed.
  std::optional<PacketEvent> next();

 private:
  std::string bytes_;
};

/// A packet with this payload, as it goes over the wire.
std::string to_packet(absl::string_view payload);

std::string to_hex(absl::Span<const uint8_t> bytes);
std::string to_hex(absl::string_view text);
/// Nullopt: an odd number of digits, or something else.
std::optional<std::string> from_hex(absl::string_view digits);
/// Cuts a hexadecimal number (1 to 16 digits) off a text.
std::optional<uint64_t> take_hex(absl::string_view& text);

}  // namespace gnomon::vmm::gdb

#endif  // VMM_GDB_PACKET_H_
