// SPDX-License-Identifier: Apache-2.0
#include <cassert>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "vmm/board/board_info.h"
#include "vmm/devices/pic.h"
#include "vmm/devices/pit.h"
#include "vmm/devices/simple_ports.h"
#include "vmm/devices/uart.h"

namespace gnomon::vmm {
namespace {

constexpr unsigned kMostProcessors = 64, kMostDisks = 4;
constexpr uint64_t kLeastMemory = uint64_t{1} << 20, kMostMemory = uint64_t{1} << 40;

absl::Status check(const BoardOptions& options) {
  if (options.cpus < 1 || options.cpus > kMostProcessors) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%d processors; a board has 1 to %d", options.cpus, kMostProcessors));
  }
  if (options.memory_bytes < kLeastMemory || options.memory_bytes > kMostMemory ||
      options.memory_bytes % 4096 != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("0x%x bytes of memory; a board has 1 MiB to 1 TiB, in pages of 4 KiB",
                        options.memory_bytes));
  }
  if (options.disks.size() > kMostDisks) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%d disks; there are %d IDE drives", options.disks.size(), kMostDisks));
  }
  return absl::OkStatus();
}

}  // namespace

void PortPlan::add(IoBus& bus, uint16_t base, uint16_t count, PortDevice& device) {
  windows_.emplace_back(base, device);
  add(bus, base, count, windows_.back());
}

void PortPlan::add(IoBus& bus, uint16_t base, uint16_t count, IoHandler& handler) {
  const absl::Status status = bus.add(base, count, handler);
  assert(status.ok());
  (void)status;
}

void PortPlan::add_basics(IoBus& bus, PicPair& pic, Pit& pit, Uart& uart, DebugExit& debug_exit) {
  add(bus, 0x20, 2, pic);
  add(bus, 0xa0, 2, pic);
  add(bus, 0x4d0, 2, pic);
  add(bus, 0x40, 4, pit);
  add(bus, 0x61, 1, pit);
  add(bus, 0x3f8, 8, uart);
  add(bus, DebugExit::kPort, DebugExit::kPorts, debug_exit);
}

const std::vector<BoardInfo>& boards() {
  static const auto* all = new std::vector<BoardInfo>{kPcBoard, kMinimalBoard};
  return *all;
}

absl::StatusOr<std::unique_ptr<Board>> create_board(const BoardOptions& options, Clock& clock,
                                                    MachineControl& control) {
  for (const BoardInfo& info : boards()) {
    if (info.name != absl::string_view(options.board)) continue;
    if (const absl::Status status = check(options); !status.ok()) return status;
    return info.create(options, clock, control);
  }
  const std::string names = absl::StrJoin(
      boards(), ", ",
      [](std::string* out, const BoardInfo& info) { absl::StrAppend(out, info.name); });
  return absl::InvalidArgumentError(
      absl::StrFormat("unknown board %s; there are: %s", options.board, names));
}

}  // namespace gnomon::vmm
