// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/pit.h"

#include <utility>

#include "vmm/devices/rate.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kRefreshNs = 15'085;  // counter 1 of a PC counts 18 ticks

}  // namespace

Pit::Pit(Clock& clock, IrqLine irq)
    : clock_(&clock), irq_(std::move(irq)), timer_(clock.add_timer([this] { fire(); })) {
  counters_[2].set_gate(false, 0);
}

void Pit::reset() {
  counters_ = {};
  counters_[2].set_gate(false, tick());
  speaker_ = 0;
  clock_->disarm(timer_);
  irq_(false);
}

uint64_t Pit::tick() const { return ticks_at(clock_->now(), kHz); }

uint8_t Pit::read_port(uint16_t port) {
  if (port == 0x61) {
    const bool refresh = (clock_->now() / kRefreshNs & 1) != 0;
    return static_cast<uint8_t>(speaker_ | (refresh ? 0x10 : 0) |
                                (counters_[2].out(tick()) ? 0x20 : 0));
  }
  if (port == 0x43) return 0xff;  // write only
  return counters_[port & 3].read(tick());
}

void Pit::write_port(uint16_t port, uint8_t value) {
  if (port == 0x61) {
    speaker_ = value & 3;
    counters_[2].set_gate((value & 1) != 0, tick());
    return;
  }
  if (port == 0x43) {
    control(value);
    return;
  }
  counters_[port & 3].write(value, tick());
  if ((port & 3) == 0) schedule();
}

void Pit::control(uint8_t value) {
  if (value >> 6 == 3) {
    read_back(value);
    return;
  }
  PitCounter& counter = counters_[value >> 6];
  if ((value & 0x30) == 0) {
    counter.latch_count(tick());
    return;
  }
  counter.set_control(value);
  if (value >> 6 == 0) schedule();
}

void Pit::read_back(uint8_t value) {
  for (unsigned i = 0; i < 3; ++i) {
    if ((value & (2u << i)) == 0) continue;
    if ((value & 0x20) == 0) counters_[i].latch_count(tick());
    if ((value & 0x10) == 0) counters_[i].latch_status(tick());
  }
}

// Only rising edges of OUT request IRQ 0. Where it falls in between is not shown to the interrupt
// controllers, except that it has fallen before it rises.
void Pit::schedule() {
  irq_(counters_[0].out(tick()));
  const uint64_t rise = counters_[0].next_rise(ticks_at(clock_->target(), kHz));
  clock_->arm(timer_, rise == PitCounter::kNever ? Clock::kNever : time_of_tick(rise, kHz));
}

void Pit::fire() {
  irq_(false);
  irq_(true);
  schedule();
}

}  // namespace gnomon::vmm
