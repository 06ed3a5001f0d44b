// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_UART_H_
#define VMM_DEVICES_UART_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>

#include "absl/strings/string_view.h"
#include "vmm/devices/ports.h"

namespace gnomon::vmm {

/// National Semiconductor PC16550D serial port (data sheet of June 1995), eight ports from `base`.
/// Bytes are sent in no time, so the transmitter is always empty; the time-out interrupt of the
/// receiver comes at once. As on most boards OUT2 does not gate the interrupt.
class Uart : public PortDevice {
 public:
  using Output = std::function<void(absl::string_view)>;

  Uart(Output output, IrqLine irq);
  void reset();
  /// Bytes from the line. How many the receiver had room for: none before the guest listens, so
  /// that what is typed during the start is not lost when the guest sets the port up. It listens
  /// while the receiver's interrupt is enabled, and once it has looked at the line status again and
  /// again (who sends, or clears the port, looks a few times).
  size_t receive(absl::string_view bytes);

  uint8_t read_port(uint16_t port) override;
  void write_port(uint16_t port, uint8_t value) override;

 private:
  size_t capacity() const;
  bool divisor_access() const;
  bool loops_back() const;
  uint8_t interrupt_id() const;
  uint8_t line_status() const;
  uint8_t modem_lines() const;
  bool is_listened_to() const;
  void transmit(uint8_t value);
  uint8_t take_received();
  void set_fifo_control(uint8_t value);
  void set_modem_control(uint8_t value);
  void update();

  Output output_;
  IrqLine irq_;
  std::deque<uint8_t> received_;  // at most 16
  uint16_t divisor_ = 12;         // 9600 baud
  uint8_t interrupt_enable_ = 0;
  uint8_t fifo_control_ = 0;
  uint8_t line_control_ = 0;
  uint8_t modem_control_ = 0;
  uint8_t modem_deltas_ = 0;
  uint8_t scratch_ = 0;
  unsigned looks_ = 0;      // reads of the line status since the last byte that was sent
  unsigned all_looks_ = 0;  // and those of before
  bool polled_ = false;  // the guest looks for what is received
  bool overrun_ = false;
  bool holding_empty_ = false;  // "transmitter holding register empty" is to be reported
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_UART_H_
