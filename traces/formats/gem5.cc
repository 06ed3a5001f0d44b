// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <protozero/pbf_reader.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "traces/formats/all.h"
#include "traces/formats/reader_base.h"

// "gem5", then messages of protocol buffers (proto/packet.proto), each after its length as a
// varint: a PacketHeader, then Packets. The address is the one on the bus: physical.

namespace gnomon {
namespace {

constexpr absl::string_view kMagic = "gem5";
constexpr size_t kMostMessageBytes = size_t{64} << 10;
constexpr uint64_t kMostPhysical = uint64_t{1} << 52;
constexpr uint32_t kInstructionFetch = 0x100;  // Request::INST_FETCH, in the flags

enum class Use : uint8_t { kSkip, kLoad, kStore, kModify };

/// The numbers of MemCmd as of gem5 22.1. ReadReq and WriteReq were always 1 and 4. Requests of the
/// program only: no responses, evictions, upgrades, prefetches or cache maintenance.
constexpr uint32_t kCommands = 64;
constexpr std::array<Use, kCommands> uses() {
  std::array<Use, kCommands> table{};
  // ReadReq, ReadExReq, ReadCleanReq, ReadSharedReq, LoadLockedReq, LockedRMWReadReq
  for (const size_t command : {1, 22, 24, 25, 26, 30}) table[command] = Use::kLoad;
  // WriteReq, WriteLineReq, StoreCondReq, LockedRMWWriteReq
  for (const size_t command : {4, 16, 27, 32}) table[command] = Use::kStore;
  table[34] = Use::kModify;  // SwapReq
  return table;
}
constexpr std::array<Use, kCommands> kUses = uses();

struct Packet {
  bool has_command = false, has_address = false, has_size = false;
  uint32_t command = 0;
  uint32_t size = 0;
  uint32_t flags = 0;
  uint64_t address = 0;
};

/// Protozero reports damage by throwing; it ends here.
template <class Field>
bool parse(absl::string_view message, const Field& field) {
  try {
    protozero::pbf_reader reader(message.data(), message.size());
    while (reader.next()) {
      if (!field(reader)) reader.skip();
    }
    return true;
  } catch (const protozero::exception&) {
    return false;
  }
}

bool parse_packet(absl::string_view message, Packet& packet) {
  using protozero::pbf_wire_type;
  using protozero::tag_and_type;
  return parse(message, [&](protozero::pbf_reader& reader) {
    switch (reader.tag_and_type()) {
      case tag_and_type(2, pbf_wire_type::varint):
        packet.command = reader.get_uint32();
        return packet.has_command = true;
      case tag_and_type(3, pbf_wire_type::varint):
        packet.address = reader.get_uint64();
        return packet.has_address = true;
      case tag_and_type(4, pbf_wire_type::varint):
        packet.size = reader.get_uint32();
        return packet.has_size = true;
      case tag_and_type(5, pbf_wire_type::varint): packet.flags = reader.get_uint32(); return true;
      default: return false;
    }
  });
}

class Gem5Reader final : public BinaryReader {
 public:
  Gem5Reader(std::unique_ptr<ByteSource> source, ReadMode mode)
      : BinaryReader(std::move(source), mode, "gem5", kReadBuffer) {
    info_.physical = true;
    info_.recorder = "gem5";
  }

 private:
  size_t decode(absl::Span<TraceRecord> out, std::vector<TraceEvent>& /*events*/) override {
    size_t taken = 0;
    if (!started_ && !start()) return 0;
    while (taken < out.size() && !stopped()) {
      const size_t front = message_front();
      if (front == 0) break;
      const absl::string_view message(next_ + front, message_bytes_);
      if (messages_ == 1) {
        header(message);
      } else if (packet(message, out[taken])) {
        ++taken;
      }
      skip(front + message_bytes_);
    }
    return taken;
  }

  bool start() {
    started_ = true;
    if (have(kMagic.size()) && absl::string_view(next_, kMagic.size()) == kMagic) {
      skip(kMagic.size());
      return true;
    }
    if (!stopped() && available() > 0) {
      fault(place(0), "not a gem5 packet trace: it does not start with \"gem5\"");
      give_up();
    }
    return false;
  }

  /// Bytes of the length before the next message, which lies in the buffer after it; 0 at the end.
  size_t message_front() {
    constexpr size_t kLongestLength = 5;
    uint64_t length = 0;
    size_t front = 0;
    while (true) {
      if (!have(front + 1)) {
        if (!stopped() && front > 0) cut_off(messages_ + 1, front + 1);
        return 0;
      }
      const auto byte = static_cast<uint8_t>(next_[front]);
      length |= uint64_t{byte & 0x7fu} << (7 * front);
      ++front;
      if (byte < 0x80) break;
      if (front == kLongestLength) return lost("its length is no number");
    }
    if (length > kMostMessageBytes) return lost(absl::StrCat("a message of ", length, " bytes"));
    message_bytes_ = static_cast<size_t>(length);
    if (!have(front + message_bytes_)) {
      if (!stopped()) cut_off(messages_ + 1, front + message_bytes_);
      return 0;
    }
    ++messages_;
    return front;
  }
  size_t lost(absl::string_view what) {
    fault(place(messages_ + 1), what);
    give_up();  // the messages behind it cannot be found
    return 0;
  }

  void header(absl::string_view message) {
    using protozero::pbf_wire_type;
    const bool good = parse(message, [&](protozero::pbf_reader& reader) {
      if (reader.tag_and_type() != protozero::tag_and_type(1, pbf_wire_type::length_delimited)) {
        return false;
      }
      const protozero::data_view view = reader.get_view();
      info_.note = absl::StrCat("recorded by ", absl::string_view(view.data(), view.size()));
      return true;
    });
    if (!good) fault(place(messages_), "the header is damaged");
  }

  bool packet(absl::string_view message, TraceRecord& record) {
    Packet packet;
    if (!parse_packet(message, packet)) return refuse("a damaged packet");
    if (!packet.has_command || !packet.has_address || !packet.has_size) {
      return refuse("a packet without command, address or size");
    }
    if (packet.command == 0 || packet.command >= kCommands) {
      return refuse(absl::StrCat("command ", packet.command, " is unknown"));
    }
    const Use use = kUses[packet.command];
    if (use == Use::kSkip) return false;
    if (packet.size == 0 || packet.size > kMaxRecordBytes) {
      return refuse(absl::StrCat("size ", packet.size, " is not 1 to 4096 bytes"));
    }
    if (packet.address > kMostPhysical - packet.size) {
      return refuse(
          absl::StrFormat("address 0x%x lies outside 52-bit physical memory", packet.address));
    }
    const bool fetch = use == Use::kLoad && (packet.flags & kInstructionFetch) != 0;
    record = {Gva(packet.address), static_cast<uint16_t>(packet.size),
              fetch                ? RecordKind::kFetch
              : use == Use::kLoad  ? RecordKind::kLoad
              : use == Use::kStore ? RecordKind::kStore
                                   : RecordKind::kModify,
              false};
    return true;
  }
  bool refuse(absl::string_view what) {
    fault(place(messages_), what);
    return false;
  }

  uint64_t messages_ = 0;  // the header is number 1
  size_t message_bytes_ = 0;
  bool started_ = false;
};

}  // namespace

bool is_gem5(absl::string_view front) { return absl::StartsWith(front, kMagic); }

Reader make_gem5_reader(std::unique_ptr<ByteSource> source, ReadMode mode) {
  return std::make_unique<Gem5Reader>(std::move(source), mode);
}

}  // namespace gnomon
