// SPDX-License-Identifier: Apache-2.0
#include "gnomon/vmm/io_bus.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace gnomon::vmm {
namespace {

uint64_t ones(unsigned size) { return size >= 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * size)) - 1; }

uint64_t last_of(const IoBus::Region& region) { return region.base + (region.bytes - 1); }

bool holds(const IoBus::Region* region, uint64_t address, unsigned size) {
  return region != nullptr && last_of(*region) - address >= size - 1;
}

}  // namespace

absl::Status IoBus::add(uint64_t base, uint64_t bytes, IoHandler& handler) {
  if (bytes == 0) {
    return absl::InvalidArgumentError(absl::StrFormat("device region at 0x%x is empty", base));
  }
  const Region added{base, bytes, &handler};
  if (last_of(added) < base) {
    return absl::InvalidArgumentError(
        absl::StrFormat("device region at 0x%x of 0x%x bytes wraps", base, bytes));
  }
  const auto next = std::upper_bound(
      regions_.begin(), regions_.end(), base,
      [](uint64_t address, const Region& region) { return address < region.base; });
  const bool meets_next = next != regions_.end() && next->base <= last_of(added);
  const bool meets_previous = next != regions_.begin() && last_of(next[-1]) >= base;
  if (meets_next || meets_previous) {
    const Region& other = meets_next ? *next : next[-1];
    return absl::AlreadyExistsError(absl::StrFormat("device region 0x%x..0x%x overlaps 0x%x..0x%x",
                                                    base, last_of(added), other.base,
                                                    last_of(other)));
  }
  regions_.insert(next, added);
  return absl::OkStatus();
}

const IoBus::Region* IoBus::find(uint64_t address) const {
  const auto after =
      std::upper_bound(regions_.begin(), regions_.end(), address,
                       [](uint64_t wanted, const Region& region) { return wanted < region.base; });
  if (after == regions_.begin() || last_of(after[-1]) < address) return nullptr;
  return &after[-1];
}

uint64_t IoBus::read(uint64_t address, unsigned size, unsigned cpu) const {
  const Region* region = find(address);
  if (holds(region, address, size)) {
    return region->handler->io_read({address - region->base, size, cpu}) & ones(size);
  }
  if (size == 1) return ones(1);
  uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) value |= read(address + i, 1, cpu) << (8 * i);
  return value;
}

void IoBus::write(uint64_t address, unsigned size, uint64_t value, unsigned cpu) const {
  const Region* region = find(address);
  if (holds(region, address, size)) {
    region->handler->io_write({address - region->base, size, cpu}, value & ones(size));
    return;
  }
  if (size == 1) return;
  for (unsigned i = 0; i < size; ++i) write(address + i, 1, value >> (8 * i), cpu);
}

}  // namespace gnomon::vmm
