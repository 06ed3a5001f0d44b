// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_CALENDAR_H_
#define VMM_DEVICES_CALENDAR_H_

#include <cstdint>

namespace gnomon::vmm {

/// A day of the Gregorian calendar and a time of it.
struct CalendarTime {
  unsigned year = 1970, month = 1, day = 1;  ///< month and day from 1
  unsigned hour = 0, minute = 0, second = 0;
  unsigned weekday = 4;  ///< 0 is Sunday
};

/// Of Unix time. Years beyond 9999 wrap around to 1970.
CalendarTime calendar_time(uint64_t unix_seconds);
/// Unix time of a date from 1970 on; `weekday` is not looked at. Fields out of range count on:
/// February 30 is March 1 or 2.
uint64_t unix_seconds(const CalendarTime& time);

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_CALENDAR_H_
