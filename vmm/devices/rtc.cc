// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/rtc.h"

#include <algorithm>
#include <utility>

#include "vmm/devices/calendar.h"
#include "vmm/devices/rate.h"

namespace gnomon::vmm {
namespace {

enum : uint8_t {
  kSeconds = 0,
  kSecondsAlarm = 1,
  kMinutes = 2,
  kMinutesAlarm = 3,
  kHours = 4,
  kHoursAlarm = 5,
  kWeekday = 6,
  kDay = 7,
  kMonth = 8,
  kYear = 9,
  kA = 10,
  kB = 11,
  kC = 12,
  kD = 13,
  kCentury = 0x32,
};

constexpr uint8_t kUip = 0x80;                                       // A
constexpr uint8_t kSet = 0x80, kBinary = 0x04, k24Hours = 0x02;      // B
constexpr uint8_t kIrqf = 0x80, kPf = 0x40, kAf = 0x20, kUf = 0x10;  // C; enables of B alike
constexpr uint8_t kPm = 0x80;                                        // hours
constexpr uint64_t kUipNs = 244'000;

bool is_time(uint8_t index) {
  return index == kSeconds || index == kMinutes ||
         (index >= kHours && index != kHoursAlarm && index <= kYear) || index == kCentury;
}

bool divider_held(uint8_t a) { return (a & 0x60) == 0x60; }

// Periodic interrupts a second (data sheet, table 5, time base 32768 Hz); 0: none.
uint64_t periodic_hz(uint8_t a) {
  const unsigned rate = a & 0x0f;
  if (rate == 0 || divider_held(a)) return 0;
  return uint64_t{32768} >> (rate < 3 ? rate + 6 : rate - 1);
}

}  // namespace

Rtc::Rtc(Clock& clock, const Options& options, IrqLine irq)
    : clock_(&clock),
      options_(options),
      irq_(std::move(irq)),
      timer_(clock.add_timer([this] {
        settle();
        schedule();
      })),
      start_seconds_(options.seconds),
      start_ns_(clock.now()) {
  fill_memory();
}

// The clock goes on: it has a battery. A time that was being set is forgotten.
void Rtc::reset() {
  fill_memory();
  index_ = 0;
  settled_ns_ = clock_->now();
  settle();
  schedule();
}

void Rtc::fill_memory() {
  cells_ = {};
  const auto put16 = [this](uint8_t at, uint64_t value) {
    value = std::min<uint64_t>(value, 0xffff);
    cells_[at] = static_cast<uint8_t>(value);
    cells_[at + 1u] = static_cast<uint8_t>(value >> 8);
  };
  cells_[kA] = 0x26;
  cells_[kB] = k24Hours;
  cells_[kD] = 0x80;  // the battery is good
  cells_[0x12] =
      static_cast<uint8_t>((options_.disks > 0 ? 0xf0 : 0) | (options_.disks > 1 ? 0x0f : 0));
  cells_[0x14] = 0x06;  // a coprocessor and a pointing device connector, 80-column colour display
  put16(0x15, 640);
  const uint64_t mib = uint64_t{1} << 20, below_hole = uint64_t{3} << 30;
  const uint64_t ram = options_.memory_bytes, low = std::min(ram, below_hole);
  const uint64_t extended = low > mib ? (low - mib) >> 10 : 0;
  put16(0x17, extended);
  put16(0x30, extended);
  put16(0x34, low > 16 * mib ? (low - 16 * mib) >> 16 : 0);
  const uint64_t high = std::min<uint64_t>((ram - low) >> 16, 0xffffff);
  put16(0x5b, high & 0xffff);
  cells_[0x5d] = static_cast<uint8_t>(high >> 16);
  unsigned sum = 0;
  for (unsigned i = 0x10; i < 0x2e; ++i) sum += cells_[i];
  cells_[0x2e] = static_cast<uint8_t>(sum >> 8);
  cells_[0x2f] = static_cast<uint8_t>(sum);
  show_time();
}

bool Rtc::is_set() const { return (cells_[kB] & kSet) != 0 || divider_held(cells_[kA]); }

uint64_t Rtc::seconds_at(uint64_t ns) const {
  return start_seconds_ + (ns - start_ns_) / kNsPerSecond;
}

uint8_t Rtc::encode(unsigned value) const {
  return static_cast<uint8_t>((cells_[kB] & kBinary) != 0 ? value
                                                          : value / 10 % 10 * 16 + value % 10);
}

unsigned Rtc::decode(uint8_t cell) const {
  return (cells_[kB] & kBinary) != 0 ? cell : (cell >> 4) * 10u + (cell & 15);
}

uint8_t Rtc::encode_hour(unsigned hour) const {
  if ((cells_[kB] & k24Hours) != 0) return encode(hour);
  return static_cast<uint8_t>(encode(hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? kPm : 0));
}

unsigned Rtc::decode_hour(uint8_t cell) const {
  if ((cells_[kB] & k24Hours) != 0) return decode(cell);
  return decode(cell & 0x7f) % 12 + ((cell & kPm) != 0 ? 12 : 0);
}

void Rtc::show_time() {
  const CalendarTime t = calendar_time(seconds_at(clock_->now()));
  cells_[kSeconds] = encode(t.second);
  cells_[kMinutes] = encode(t.minute);
  cells_[kHours] = encode_hour(t.hour);
  cells_[kWeekday] = encode(t.weekday + 1);
  cells_[kDay] = encode(t.day);
  cells_[kMonth] = encode(t.month);
  cells_[kYear] = encode(t.year % 100);
  cells_[kCentury] = encode(t.year / 100);
}

// The fraction of the second goes on.
void Rtc::take_time() {
  CalendarTime t;
  t.second = decode(cells_[kSeconds]);
  t.minute = decode(cells_[kMinutes]);
  t.hour = decode_hour(cells_[kHours]);
  t.day = decode(cells_[kDay]);
  t.month = decode(cells_[kMonth]);
  t.year = decode(cells_[kCentury]) * 100 + decode(cells_[kYear]);
  start_seconds_ += unix_seconds(t) - seconds_at(clock_->now());
}

// The first second after `after` that the alarm bytes match; kNone: none does.
uint64_t Rtc::next_alarm(uint64_t after) const {
  const uint8_t seconds = cells_[kSecondsAlarm], minutes = cells_[kMinutesAlarm],
                hours = cells_[kHoursAlarm];
  const auto matches = [](uint8_t cell, unsigned wanted, unsigned value) {
    return cell >= 0xc0 || wanted == value;  // "don't care"
  };
  // Else a guest could have us search two days for a second 77, at each access.
  const auto exists = [](uint8_t cell, unsigned wanted, unsigned limit) {
    return cell >= 0xc0 || wanted < limit;
  };
  if (!exists(hours, decode_hour(hours), 24) || !exists(minutes, decode(minutes), 60) ||
      !exists(seconds, decode(seconds), 60)) {
    return kNone;
  }
  const uint64_t first = after + 1;
  const uint64_t day = first - first % 86'400;
  const unsigned from = static_cast<unsigned>(first % 86'400);
  // Today from there on, then all of tomorrow.
  for (unsigned h = from / 3600; h < 48; ++h) {
    if (!matches(hours, decode_hour(hours), h % 24)) continue;
    for (unsigned m = 0; m < 60; ++m) {
      if (!matches(minutes, decode(minutes), m) || h * 3600 + m * 60 + 59 < from) continue;
      for (unsigned s = 0; s < 60; ++s) {
        const unsigned at = h * 3600 + m * 60 + s;
        if (at >= from && matches(seconds, decode(seconds), s)) return day + at;
      }
    }
  }
  return kNone;
}

// Brings the flags of register C up to now.
void Rtc::settle() {
  const uint64_t now = clock_->now();
  uint8_t& c = cells_[kC];
  if (const uint64_t hz = periodic_hz(cells_[kA]);
      hz != 0 && ticks_at(now, hz) != ticks_at(settled_ns_, hz)) {
    c |= kPf;
  }
  if (!is_set()) {
    const uint64_t before = seconds_at(settled_ns_), after = seconds_at(now);
    if (after != before) {
      c |= kUf;
      if (next_alarm(before) <= after) c |= kAf;
    }
  }
  settled_ns_ = now;
  const bool asserted = (c & cells_[kB] & (kPf | kAf | kUf)) != 0;
  c = static_cast<uint8_t>((c & ~kIrqf) | (asserted ? kIrqf : 0));
  irq_(asserted);
}

// When the next interrupt is asked for. None is while one is: reading register C makes way.
void Rtc::schedule() {
  const uint64_t now = clock_->now();
  const uint8_t b = cells_[kB];
  uint64_t at = Clock::kNever;
  if ((cells_[kC] & kIrqf) == 0) {
    const uint64_t hz = periodic_hz(cells_[kA]);
    if ((b & kPf) != 0 && hz != 0) at = time_of_tick(ticks_at(now, hz) + 1, hz);
    if (!is_set()) {
      const uint64_t to_next_second = kNsPerSecond - (now - start_ns_) % kNsPerSecond;
      const uint64_t second = seconds_at(now);
      if ((b & kUf) != 0) at = std::min(at, time_after(now, to_next_second));
      if ((b & kAf) != 0) {
        if (const uint64_t alarm = next_alarm(second); alarm != kNone) {
          const uint64_t seconds_more = alarm - second - 1;
          at = std::min(at, time_after(now, to_next_second + seconds_more * kNsPerSecond));
        }
      }
    }
  }
  clock_->arm(timer_, at);
}

uint8_t Rtc::read_port(uint16_t port) {
  if ((port & 1) == 0) return 0xff;  // the index cannot be read
  settle();
  if (is_time(index_) && !is_set()) show_time();
  uint8_t value = cells_[index_];
  if (index_ == kA && !is_set() &&
      (clock_->now() - start_ns_) % kNsPerSecond >= kNsPerSecond - kUipNs) {
    value |= kUip;
  }
  if (index_ == kC) {
    cells_[kC] = 0;
    irq_(false);
    schedule();
  }
  return value;
}

void Rtc::write_port(uint16_t port, uint8_t value) {
  if ((port & 1) == 0) {
    index_ = value & 0x7f;
    return;
  }
  settle();
  write_cell(index_, value);
  settle();
  schedule();
}

void Rtc::write_cell(uint8_t index, uint8_t value) {
  if (index == kC || index == kD) return;  // read only
  const bool was_set = is_set(), was_held = divider_held(cells_[kA]);
  if (!was_set) show_time();
  if (index == kA) value &= 0x7f;
  if (index == kB && (value & kSet) != 0) value &= static_cast<uint8_t>(~kUf);  // SET clears UIE
  cells_[index] = value;
  if (was_held && !divider_held(cells_[kA])) {
    // The divider starts anew: the first update comes half a second later.
    start_seconds_ = seconds_at(clock_->now());
    start_ns_ = clock_->now() - kNsPerSecond / 2;
  }
  if (is_set()) return;
  // A change of the data mode or the hour format alone changes how the same bytes are read.
  if (was_set || is_time(index)) take_time();
}

}  // namespace gnomon::vmm
