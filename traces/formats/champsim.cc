// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstddef>
#include <optional>

#include "absl/strings/str_format.h"
#include "traces/formats/all.h"
#include "traces/formats/reader_base.h"
#include "traces/formats/writer_base.h"

// One record an instruction, without header, sizes or threads; 0 stands for a memory operand that
// is not there. The files are what a C++ compiler makes of these structures on x86-64.

namespace gnomon {
namespace {

template <size_t Destinations>
struct Instruction {
  uint64_t ip;
  uint8_t is_branch;
  uint8_t branch_taken;
  std::array<uint8_t, Destinations> destination_registers;
  std::array<uint8_t, 4> source_registers;
  std::array<uint64_t, Destinations> stores;
  std::array<uint64_t, 4> loads;
};
struct Plain : Instruction<2> {};
struct CloudSuite : Instruction<4> {
  std::array<uint8_t, 2> address_space;
};
static_assert(sizeof(Plain) == 64 && offsetof(Instruction<2>, stores) == 16 &&
              offsetof(Instruction<2>, loads) == 32);
// 18 bytes of small fields are padded to 24, and the two bytes at the end to 8.
static_assert(sizeof(CloudSuite) == 96 && offsetof(Instruction<4>, stores) == 24 &&
              offsetof(Instruction<4>, loads) == 56 && sizeof(Instruction<4>) == 88);

constexpr uint64_t kGuessedFetch = 4;

/// The next instruction usually follows this one directly, which tells how long this one is.
uint16_t fetch_size(uint64_t ip, std::optional<uint64_t> next_ip) {
  constexpr uint64_t kLongest = 15;
  if (next_ip && *next_ip - ip - 1 < kLongest) return static_cast<uint16_t>(*next_ip - ip);
  return assumed_size(ip, kGuessedFetch);
}

template <class Layout>
class ChampsimReader final : public BinaryReader {
 public:
  ChampsimReader(std::unique_ptr<ByteSource> source, ReadMode mode, absl::string_view format)
      : BinaryReader(std::move(source), mode, format, kReadBuffer) {}

 private:
  static constexpr size_t kMost = 1 + 4 + 4;  // records that one instruction makes

  size_t decode(absl::Span<TraceRecord> out, std::vector<TraceEvent>& /*events*/) override {
    size_t taken = 0;
    while (taken + kMost <= out.size() && !stopped()) {
      const bool more = have(2 * sizeof(Layout));
      if (stopped() || available() == 0) break;
      if (available() < sizeof(Layout)) {
        cut_off(instructions_ + 1, sizeof(Layout));
        break;
      }
      const auto instruction = load<Layout>(0);
      const auto next_ip = more ? std::optional(load<uint64_t>(sizeof(Layout))) : std::nullopt;
      ++instructions_;
      taken += take(instruction, next_ip, out.subspan(taken));
      skip(sizeof(Layout));
    }
    return taken;
  }

  /// The records of one instruction; none if any of them is impossible.
  size_t take(const Layout& instruction, std::optional<uint64_t> next_ip,
              absl::Span<TraceRecord> out) {
    size_t taken = 0;
    const auto add = [&](uint64_t address, uint16_t size, RecordKind kind, const char* what) {
      if (const char* const wrong = operation_fault(address, size); wrong != nullptr) {
        fault(place(instructions_), absl::StrFormat("%s of 0x%x: %s", what, address, wrong));
        return false;
      }
      out[taken++] = {Gva(address), size, kind, false};
      return true;
    };
    if (!add(instruction.ip, fetch_size(instruction.ip, next_ip), RecordKind::kFetch, "fetch")) {
      return 0;
    }
    for (const uint64_t a : instruction.loads) {
      if (a != 0 && !add(a, assumed_size(a), RecordKind::kLoad, "load")) return 0;
    }
    for (const uint64_t a : instruction.stores) {
      if (a != 0 && !add(a, assumed_size(a), RecordKind::kStore, "store")) return 0;
    }
    return taken;
  }

  uint64_t instructions_ = 0;
};

/// Gathers a fetch and what follows it into one instruction.
class ChampsimWriter final : public WriterBase {
 public:
  using WriterBase::WriterBase;

 private:
  void put(const TraceRecord& record) override {
    const uint64_t address = record.address.value();
    if (record.kind == RecordKind::kFetch) {
      put_instruction(address);
      start(address);
      end_ = address + record.size;
      return;
    }
    if (address == 0) return leave_out();  // means "none" there
    if (record.kind != RecordKind::kStore) add(address, now_.loads, loads_);
    if (record.kind != RecordKind::kLoad) add(address, now_.stores, stores_);
  }
  void put_end() override { put_instruction(end_); }

  template <size_t N>
  void add(uint64_t address, std::array<uint64_t, N>& slots, size_t& used) {
    if (!started_) start(kNoFetch);
    if (used == N) {  // no room left: the same instruction once more
      const uint64_t ip = now_.ip;
      put_instruction(end_);
      start(ip);
    }
    slots[used++] = address;
  }

  void start(uint64_t ip) {
    now_ = {};
    now_.ip = ip;
    loads_ = stores_ = 0;
    started_ = true;
  }

  void put_instruction(uint64_t next_ip) {
    constexpr uint8_t kInstructionPointer = 26;  // its register number for ChampSim
    if (!started_) return;
    if (now_.ip != kNoFetch && next_ip != end_ && next_ip != now_.ip) {
      now_.is_branch = now_.branch_taken = 1;
      now_.destination_registers[0] = kInstructionPointer;
    }
    text_.append(reinterpret_cast<const char*>(&now_), sizeof(now_));
  }

  /// The instruction of data accesses that come before any fetch.
  static constexpr uint64_t kNoFetch = 0x400000;

  Plain now_{};
  uint64_t end_ = kNoFetch;  // of the instruction
  size_t loads_ = 0;
  size_t stores_ = 0;
  bool started_ = false;
};

}  // namespace

Reader make_champsim_reader(std::unique_ptr<ByteSource> source, ReadMode mode) {
  return std::make_unique<ChampsimReader<Plain>>(std::move(source), mode, "champsim");
}
Reader make_cloudsuite_reader(std::unique_ptr<ByteSource> source, ReadMode mode) {
  return std::make_unique<ChampsimReader<CloudSuite>>(std::move(source), mode,
                                                      "champsim-cloudsuite");
}
Writer create_champsim_writer(std::unique_ptr<ByteSink> sink, const TraceInfo& /*info*/) {
  return std::make_unique<ChampsimWriter>(std::move(sink));
}

}  // namespace gnomon
