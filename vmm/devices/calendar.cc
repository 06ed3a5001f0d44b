// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/calendar.h"

#include <algorithm>

namespace gnomon::vmm {
namespace {

constexpr uint64_t kSecondsPerDay = 86'400;
constexpr uint64_t kDaysBefore1970 = 719'162;  // since January 1 of year 1

constexpr bool is_leap(uint64_t year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

// Days from January 1 of year 1 to January 1 of `year`.
constexpr uint64_t days_before_year(uint64_t year) {
  const uint64_t past = year - 1;
  return past * 365 + past / 4 - past / 100 + past / 400;
}
static_assert(days_before_year(1970) == kDaysBefore1970);

constexpr unsigned kDaysBeforeMonth[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};

constexpr unsigned days_before_month(uint64_t year, unsigned month) {
  return kDaysBeforeMonth[month - 1] + (month > 2 && is_leap(year) ? 1 : 0);
}

constexpr uint64_t kDaysShown = days_before_year(10'000) - kDaysBefore1970;

}  // namespace

CalendarTime calendar_time(uint64_t unix_seconds) {
  CalendarTime t;
  const uint64_t days = unix_seconds / kSecondsPerDay;
  t.weekday = static_cast<unsigned>((days + 4) % 7);
  const uint64_t day = days % kDaysShown + kDaysBefore1970;
  uint64_t year = day / 366 + 1;  // never too late, at most a few years too early
  while (days_before_year(year + 1) <= day) ++year;
  unsigned in_year = static_cast<unsigned>(day - days_before_year(year));
  t.year = static_cast<unsigned>(year);
  t.month = 12;
  while (days_before_month(year, t.month) > in_year) --t.month;
  t.day = in_year - days_before_month(year, t.month) + 1;
  const unsigned second = static_cast<unsigned>(unix_seconds % kSecondsPerDay);
  t.hour = second / 3600;
  t.minute = second / 60 % 60;
  t.second = second % 60;
  return t;
}

uint64_t unix_seconds(const CalendarTime& time) {
  const unsigned month = std::clamp(time.month, 1u, 12u);
  const uint64_t year = std::max(time.year, 1970u);
  const uint64_t days = days_before_year(year) - kDaysBefore1970 + days_before_month(year, month) +
                        std::max(time.day, 1u) - 1;
  return days * kSecondsPerDay + time.hour * 3600 + time.minute * 60 + time.second;
}

}  // namespace gnomon::vmm
