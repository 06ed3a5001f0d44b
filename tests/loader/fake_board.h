// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LOADER_FAKE_BOARD_H_
#define TESTS_LOADER_FAKE_BOARD_H_

#include <utility>

#include "gnomon/vmm/board.h"

namespace gnomon::vmm {

/// A board that has nothing but a memory map, which is all that loaders look at.
class FakeBoard final : public Board {
 public:
  explicit FakeBoard(std::vector<MemoryRange> map) : map_(std::move(map)) {}

  absl::string_view name() const override { return "fake"; }
  IoBus& ports() override { return bus_; }
  IoBus& device_memory() override { return bus_; }
  std::vector<MemoryRange> memory_map() const override { return map_; }
  absl::Status place_tables(GuestMemory& /*memory*/) override { return absl::OkStatus(); }
  bool interrupt_pending(unsigned /*cpu*/) const override { return false; }
  std::optional<uint8_t> acknowledge_interrupt(unsigned /*cpu*/) override { return std::nullopt; }
  void set_task_priority(unsigned /*cpu*/, uint8_t /*cr8*/) override {}
  uint8_t task_priority(unsigned /*cpu*/) const override { return 0; }
  uint64_t apic_base(unsigned /*cpu*/) const override { return 0; }
  bool set_apic_base(unsigned /*cpu*/, uint64_t /*value*/) override { return false; }
  size_t console_input(absl::string_view /*bytes*/) override { return 0; }
  std::vector<std::string> text_screen(const GuestMemory& /*memory*/) const override { return {}; }
  void reset() override {}

 private:
  std::vector<MemoryRange> map_;
  IoBus bus_;
};

}  // namespace gnomon::vmm

#endif  // TESTS_LOADER_FAKE_BOARD_H_
