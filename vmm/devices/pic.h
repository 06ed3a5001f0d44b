// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_PIC_H_
#define VMM_DEVICES_PIC_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "vmm/devices/ports.h"

// Intel 8259A programmable interrupt controller (data sheet 231468), two of them as in a PC, with
// the edge/level control registers of the 82371 (PIIX).

namespace gnomon::vmm {

/// What decides which interrupt level an 8259A serves.
struct PicPriorities {
  uint8_t requests = 0;    ///< IRR
  uint8_t in_service = 0;  ///< ISR
  uint8_t masked = 0;      ///< IMR
  uint8_t lowest = 7;      ///< the level of lowest priority; the next one has the highest
  bool special_mask = false;
  /// Levels that may interrupt their own service: the cascade in special fully nested mode.
  uint8_t nested = 0;
};

/// The level to serve next, or -1: the first in order of priority that is requested and not masked,
/// unless one that is in service comes before it.
int pic_level_to_serve(const PicPriorities& p);

/// One 8259A. The pair around it knows the wiring.
class PicChip {
 public:
  explicit PicChip(uint8_t level_capable) : level_capable_(level_capable) {}

  void reset() { *this = PicChip(level_capable_); }
  void set_line(unsigned level, bool high);
  /// For the cascade: a request lasts as long as the other chip makes it.
  void follow(unsigned level, bool requested);
  bool wants_service() const { return pic_level_to_serve(p_) >= 0; }
  /// INTA: the level that is served, from then in service. When the request went away it is level
  /// 7, and not in service ("spurious").
  unsigned acknowledge();
  uint8_t vector(unsigned level) const { return static_cast<uint8_t>(base_ | level); }

  uint8_t read(bool a0);
  void write(bool a0, uint8_t value);
  uint8_t level_triggered() const { return level_triggered_; }
  void set_level_triggered(uint8_t levels);

 private:
  enum class Expect : uint8_t { kNothing, kIcw2, kIcw3, kIcw4 };

  void start_initialization(uint8_t icw1);
  void write_initialization(uint8_t value);
  void write_ocw2(uint8_t value);
  void write_ocw3(uint8_t value);
  int highest_in_service() const;

  PicPriorities p_;
  uint8_t lines_ = 0;
  uint8_t level_capable_;
  uint8_t level_triggered_ = 0;
  uint8_t base_ = 0;
  Expect expect_ = Expect::kNothing;
  bool has_icw4_ = false;
  bool is_single_ = false;
  bool auto_eoi_ = false;
  bool rotate_on_auto_eoi_ = false;
  bool reads_isr_ = false;
  bool poll_ = false;
};

/// Master at ports 0x20 and 0x21, slave at 0xa0 and 0xa1 on level 2 of the master, trigger modes at
/// 0x4d0 and 0x4d1.
class PicPair : public PortDevice {
 public:
  /// `intr` is told when the output to the processor changes.
  explicit PicPair(IrqLine intr) : intr_(std::move(intr)) {}

  void reset();
  void set_irq(unsigned irq, bool high);
  bool intr() const { return asserted_; }
  uint8_t acknowledge();

  uint8_t read_port(uint16_t port) override;
  void write_port(uint16_t port, uint8_t value) override;

 private:
  void update();

  IrqLine intr_;
  PicChip master_{0xf8};  // IRQ 0, 1, 2, 8 and 13 can only be edge triggered
  PicChip slave_{0xde};
  bool asserted_ = false;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_PIC_H_
