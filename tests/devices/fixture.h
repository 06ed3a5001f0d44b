// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_DEVICES_FIXTURE_H_
#define TESTS_DEVICES_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gnomon/vmm/board.h"

namespace gnomon::vmm {

/// Writes down what a board asks of its machine.
class ControlLog : public MachineControl {
 public:
  void send_init(unsigned cpu) override { add("init", cpu); }
  void send_startup(unsigned cpu, uint8_t vector) override { add("startup", cpu, vector); }
  void send_nmi(unsigned cpu) override { add("nmi", cpu); }
  void request_reset() override { add("reset"); }
  void request_exit(int status) override { add("exit", status); }

  /// What was asked since the last call: "init 1; startup 1 8".
  std::string take() { return std::exchange(text_, {}); }

 private:
  template <class... Numbers>
  void add(const char* what, Numbers... numbers) {
    if (!text_.empty()) text_ += "; ";
    text_ += what;
    ((text_ += " " + std::to_string(numbers)), ...);
  }
  std::string text_;
};

/// A board with a clock, as its processors see it.
class BoardFixture {
 public:
  explicit BoardFixture(BoardOptions options = {}) {
    options.console_output = [this](absl::string_view bytes) {
      console.append(bytes.data(), bytes.size());
    };
    auto made = create_board(options, clock, control);
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    if (made.ok()) board = *std::move(made);
  }

  uint8_t in(uint16_t port) { return static_cast<uint8_t>(board->ports().read(port, 1)); }
  uint16_t in16(uint16_t port) { return static_cast<uint16_t>(board->ports().read(port, 2)); }
  uint32_t in32(uint16_t port) { return static_cast<uint32_t>(board->ports().read(port, 4)); }
  void out(uint16_t port, uint64_t value) { board->ports().write(port, 1, value); }
  void out16(uint16_t port, uint64_t value) { board->ports().write(port, 2, value); }
  void out32(uint16_t port, uint64_t value) { board->ports().write(port, 4, value); }

  uint32_t apic(uint32_t offset, unsigned cpu = 0) {
    return static_cast<uint32_t>(board->device_memory().read(0xfee0'0000 + offset, 4, cpu));
  }
  void set_apic(uint32_t offset, uint32_t value, unsigned cpu = 0) {
    board->device_memory().write(0xfee0'0000 + offset, 4, value, cpu);
  }
  uint32_t io_apic(uint8_t index) {
    board->device_memory().write(0xfec0'0000, 4, index);
    return static_cast<uint32_t>(board->device_memory().read(0xfec0'0010, 4));
  }
  void set_io_apic(uint8_t index, uint32_t value) {
    board->device_memory().write(0xfec0'0000, 4, index);
    board->device_memory().write(0xfec0'0010, 4, value);
  }
  void redirect(unsigned pin, uint32_t low, uint32_t high = 0) {
    set_io_apic(static_cast<uint8_t>(0x11 + 2 * pin), high);
    set_io_apic(static_cast<uint8_t>(0x10 + 2 * pin), low);
  }
  void pass_ns(uint64_t ns) { clock.advance_to(clock.now() + ns); }
  /// The vector that a processor with interrupts enabled takes, -1 for none.
  int take_interrupt(unsigned cpu = 0) {
    if (!board->interrupt_pending(cpu)) return -1;
    const auto vector = board->acknowledge_interrupt(cpu);
    return vector ? *vector : -2;
  }
  /// As every kernel does: IRQ 0 to 15 become vectors 32 to 47, none masked but those given.
  void init_pics(uint16_t masked = 0) {
    const uint8_t master[] = {0x20, 0x04, 0x01}, slave[] = {0x28, 0x02, 0x01};
    out(0x20, 0x11);
    for (const uint8_t v : master) out(0x21, v);
    out(0xa0, 0x11);
    for (const uint8_t v : slave) out(0xa1, v);
    out(0x21, masked & 0xff);
    out(0xa1, masked >> 8);
  }

  Clock clock;
  ControlLog control;
  std::string console;
  std::unique_ptr<Board> board;
};

}  // namespace gnomon::vmm

#endif  // TESTS_DEVICES_FIXTURE_H_
