// SPDX-License-Identifier: Apache-2.0
#include "vmm/gdb/packet.h"

#include "absl/strings/str_format.h"

namespace gnomon::vmm::gdb {
namespace {

constexpr char kEscape = '}';
constexpr char kEscapeBit = 0x20;
// Each byte of a payload may be escaped.
constexpr size_t kMostOnWire = 2 * kMostPayload;

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

unsigned checksum(absl::string_view payload) {
  unsigned sum = 0;
  for (const char c : payload) sum += static_cast<uint8_t>(c);
  return sum & 0xff;
}

std::string unescape(absl::string_view wire) {
  std::string payload;
  for (size_t i = 0; i < wire.size(); ++i) {
    if (wire[i] == kEscape && i + 1 < wire.size()) {
      payload += static_cast<char>(wire[++i] ^ kEscapeBit);
    } else {
      payload += wire[i];
    }
  }
  return payload;
}

}  // namespace

std::optional<PacketEvent> PacketReader::next() {
  using Kind = PacketEvent::Kind;
  size_t skipped = 0;
  std::optional<PacketEvent> event;
  for (; skipped < bytes_.size() && bytes_[skipped] != '$' && !event; ++skipped) {
    switch (bytes_[skipped]) {
      case '+': event = PacketEvent{Kind::kAck, {}}; break;
      case '-': event = PacketEvent{Kind::kNak, {}}; break;
      case 3: event = PacketEvent{Kind::kInterrupt, {}}; break;
      default: break;
    }
  }
  bytes_.erase(0, skipped);
  if (event || bytes_.empty()) return event;
  const size_t end = bytes_.find('#');
  if (end == std::string::npos || end > kMostOnWire) {
    if (bytes_.size() <= kMostOnWire) return std::nullopt;
    bytes_.clear();
    return PacketEvent{Kind::kTooLong, {}};
  }
  if (bytes_.size() < end + 3) return std::nullopt;
  const absl::string_view wire = absl::string_view(bytes_).substr(1, end - 1);
  const int high = digit(bytes_[end + 1]), low = digit(bytes_[end + 2]);
  const bool good =
      high >= 0 && low >= 0 && checksum(wire) == static_cast<unsigned>(high * 16 + low);
  event = good ? PacketEvent{Kind::kPacket, unescape(wire)} : PacketEvent{Kind::kDamaged, {}};
  bytes_.erase(0, end + 3);
  return event;
}

std::string to_packet(absl::string_view payload) {
  std::string wire;
  for (const char c : payload) {
    if (c == '$' || c == '#' || c == kEscape || c == '*') {
      wire += kEscape;
      wire += static_cast<char>(c ^ kEscapeBit);
    } else {
      wire += c;
    }
  }
  return absl::StrFormat("$%s#%02x", wire, checksum(wire));
}

std::string to_hex(absl::Span<const uint8_t> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const uint8_t b : bytes) {
    text += kDigits[b >> 4];
    text += kDigits[b & 15];
  }
  return text;
}

std::string to_hex(absl::string_view text) {
  return to_hex(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

std::optional<std::string> from_hex(absl::string_view digits) {
  if (digits.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(digits.size() / 2);
  for (size_t i = 0; i < digits.size(); i += 2) {
    const int high = digit(digits[i]), low = digit(digits[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

std::optional<uint64_t> take_hex(absl::string_view& text) {
  uint64_t value = 0;
  size_t n = 0;
  for (; n < text.size() && digit(text[n]) >= 0; ++n) {
    if (n == 16) return std::nullopt;
    value = value << 4 | static_cast<uint64_t>(digit(text[n]));
  }
  if (n == 0) return std::nullopt;
  text.remove_prefix(n);
  return value;
}

}  // namespace gnomon::vmm::gdb
