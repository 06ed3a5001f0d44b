// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/uart.h"

#include <utility>

namespace gnomon::vmm {
namespace {

// Registers, by offset.
enum : uint16_t { kData, kIer, kIirFcr, kLcr, kMcr, kLsr, kMsr, kScratch };

constexpr uint8_t kIerData = 1, kIerHolding = 2, kIerLine = 4, kIerModem = 8;
constexpr uint8_t kIirNone = 1, kIirModem = 0, kIirHolding = 2, kIirData = 4, kIirLine = 6,
                  kIirTimeout = 12, kIirFifos = 0xc0;
constexpr uint8_t kFcrEnable = 1, kFcrClearReceiver = 2;
constexpr uint8_t kLcrDivisor = 0x80;
constexpr uint8_t kMcrLoop = 0x10;
constexpr uint8_t kLsrData = 1, kLsrOverrun = 2, kLsrHoldingEmpty = 0x20, kLsrEmpty = 0x40;
constexpr uint8_t kMsrCts = 0x10, kMsrDsr = 0x20, kMsrRing = 0x40, kMsrCarrier = 0x80;

constexpr unsigned kLooksOfAListener = 16;
// One that also sends between its looks, more than while any kernel starts.
constexpr unsigned kLooksOfAnyGuest = 1u << 20;

constexpr size_t kTriggers[] = {1, 4, 8, 14};

}  // namespace

Uart::Uart(Output output, IrqLine irq) : output_(std::move(output)), irq_(std::move(irq)) {}

void Uart::reset() {
  received_.clear();
  divisor_ = 12;
  interrupt_enable_ = fifo_control_ = line_control_ = modem_control_ = 0;
  modem_deltas_ = scratch_ = 0;
  overrun_ = holding_empty_ = polled_ = false;
  looks_ = all_looks_ = 0;
  update();
}

size_t Uart::capacity() const { return (fifo_control_ & kFcrEnable) != 0 ? 16 : 1; }
bool Uart::divisor_access() const { return (line_control_ & kLcrDivisor) != 0; }
bool Uart::loops_back() const { return (modem_control_ & kMcrLoop) != 0; }

bool Uart::is_listened_to() const { return polled_ || (interrupt_enable_ & kIerData) != 0; }

size_t Uart::receive(absl::string_view bytes) {
  if (loops_back() || !is_listened_to()) return 0;  // the input is cut off, or nobody would hear it
  size_t taken = 0;
  while (taken < bytes.size() && received_.size() < capacity()) {
    received_.push_back(static_cast<uint8_t>(bytes[taken++]));
  }
  update();
  return taken;
}

uint8_t Uart::line_status() const {
  return static_cast<uint8_t>(kLsrHoldingEmpty | kLsrEmpty | (overrun_ ? kLsrOverrun : 0) |
                              (received_.empty() ? 0 : kLsrData));
}

uint8_t Uart::modem_lines() const {
  if (!loops_back()) return kMsrCts | kMsrDsr | kMsrCarrier;  // somebody listens
  // DTR, RTS, OUT1 and OUT2 come back as DSR, CTS, RI and DCD.
  const uint8_t m = modem_control_;
  return static_cast<uint8_t>(((m & 1) != 0 ? kMsrDsr : 0) | ((m & 2) != 0 ? kMsrCts : 0) |
                              ((m & 4) != 0 ? kMsrRing : 0) | ((m & 8) != 0 ? kMsrCarrier : 0));
}

// The pending interrupt of highest priority (data sheet, table III).
uint8_t Uart::interrupt_id() const {
  const uint8_t enabled = interrupt_enable_;
  if ((enabled & kIerLine) != 0 && overrun_) return kIirLine;
  if ((enabled & kIerData) != 0 && !received_.empty()) {
    const bool fifos = (fifo_control_ & kFcrEnable) != 0;
    return !fifos || received_.size() >= kTriggers[fifo_control_ >> 6] ? kIirData : kIirTimeout;
  }
  if ((enabled & kIerHolding) != 0 && holding_empty_) return kIirHolding;
  if ((enabled & kIerModem) != 0 && modem_deltas_ != 0) return kIirModem;
  return kIirNone;
}

void Uart::update() { irq_(interrupt_id() != kIirNone); }

uint8_t Uart::take_received() {
  if (received_.empty()) return 0;
  const uint8_t value = received_.front();
  received_.pop_front();
  return value;
}

uint8_t Uart::read_port(uint16_t port) {
  uint8_t value = 0;
  switch (port & 7) {
    case kData:
      if (divisor_access()) return static_cast<uint8_t>(divisor_);
      value = take_received();
      break;
    case kIer: return divisor_access() ? static_cast<uint8_t>(divisor_ >> 8) : interrupt_enable_;
    case kIirFcr:
      value = interrupt_id();
      if (value == kIirHolding) holding_empty_ = false;
      if ((fifo_control_ & kFcrEnable) != 0) value |= kIirFifos;
      break;
    case kLcr: return line_control_;
    case kMcr: return modem_control_;
    case kLsr:
      if (!polled_) polled_ = ++looks_ == kLooksOfAListener || ++all_looks_ == kLooksOfAnyGuest;
      value = line_status();
      overrun_ = false;
      break;
    case kMsr:
      value = modem_lines() | modem_deltas_;
      modem_deltas_ = 0;
      break;
    default: return scratch_;
  }
  update();
  return value;
}

void Uart::transmit(uint8_t value) {
  looks_ = 0;
  holding_empty_ = false;  // for no time: a new edge if nothing else asks for service
  update();
  holding_empty_ = true;
  if (!loops_back()) {
    const char byte = static_cast<char>(value);
    if (output_) output_(absl::string_view(&byte, 1));
  } else if (received_.size() < capacity()) {
    received_.push_back(value);
  } else {
    overrun_ = true;
  }
}

void Uart::set_fifo_control(uint8_t value) {
  const bool toggled = ((fifo_control_ ^ value) & kFcrEnable) != 0;
  if (toggled || (value & kFcrClearReceiver) != 0) {
    received_.clear();
    // Somebody sets the port up: whether he listens is to be seen.
    polled_ = false;
    looks_ = all_looks_ = 0;
  }
  // The other bits can only be programmed while the FIFOs are enabled.
  fifo_control_ = (value & kFcrEnable) != 0 ? value & 0xc9 : 0;
}

void Uart::set_modem_control(uint8_t value) {
  const uint8_t before = modem_lines();
  modem_control_ = value & 0x1f;
  const uint8_t after = modem_lines();
  const uint8_t changed = before ^ after;
  // The ring indicator counts only when it ends.
  const uint8_t ring = before & ~after & kMsrRing;
  modem_deltas_ |= static_cast<uint8_t>(((changed & ~kMsrRing) | ring) >> 4);
}

void Uart::write_port(uint16_t port, uint8_t value) {
  switch (port & 7) {
    case kData:
      if (divisor_access()) {
        divisor_ = static_cast<uint16_t>((divisor_ & 0xff00) | value);
      } else {
        transmit(value);
      }
      break;
    case kIer:
      if (divisor_access()) {
        divisor_ = static_cast<uint16_t>((divisor_ & 0xff) | value << 8);
      } else {
        // Enabling the interrupt of an empty transmitter raises it.
        if ((value & ~interrupt_enable_ & kIerHolding) != 0) holding_empty_ = true;
        interrupt_enable_ = value & 0x0f;
      }
      break;
    case kIirFcr: set_fifo_control(value); break;
    case kLcr: line_control_ = value; break;
    case kMcr: set_modem_control(value); break;
    case kScratch: scratch_ = value; break;
    default: break;  // LSR and MSR are read only
  }
  update();
}

}  // namespace gnomon::vmm
