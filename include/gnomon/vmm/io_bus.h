// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_VMM_IO_BUS_H_
#define GNOMON_VMM_IO_BUS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"

// How the processors reach devices: port space (IN, OUT) and device memory are each one IoBus.

namespace gnomon::vmm {

/// One access by a processor to a device.
struct IoAccess {
  uint64_t offset = 0;  ///< from the start of the region
  unsigned size = 1;    ///< bytes: 1, 2, 4 or 8; never beyond the end of the region
  unsigned cpu = 0;     ///< which processor, for devices that each of them has
};

/// What a device is to the bus. Guests do what they like: every offset, size and value must be
/// taken.
class IoHandler {
 public:
  virtual ~IoHandler() = default;
  virtual uint64_t io_read(const IoAccess& access) = 0;
  virtual void io_write(const IoAccess& access, uint64_t value) = 0;
};

/// A space of addresses, with handlers on parts of it. Reads where nothing is give ones, writes go
/// nowhere; an access that only begins in a region is made byte by byte.
class IoBus {
 public:
  /// `handler` must outlive the bus. InvalidArgument: empty or wraps; AlreadyExists: overlaps.
  absl::Status add(uint64_t base, uint64_t bytes, IoHandler& handler);

  uint64_t read(uint64_t address, unsigned size, unsigned cpu = 0) const;
  void write(uint64_t address, unsigned size, uint64_t value, unsigned cpu = 0) const;

  struct Region {
    uint64_t base;
    uint64_t bytes;
    IoHandler* handler;
  };
  const std::vector<Region>& regions() const { return regions_; }  ///< by address

 private:
  const Region* find(uint64_t address) const;
  std::vector<Region> regions_;
};

}  // namespace gnomon::vmm

#endif  // GNOMON_VMM_IO_BUS_H_
