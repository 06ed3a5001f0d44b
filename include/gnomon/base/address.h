// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_BASE_ADDRESS_H_
#define GNOMON_BASE_ADDRESS_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/str_format.h"
#include "gnomon/base/units.h"

// The four address kinds of a virtual machine. Each is a type of its own, so that the mistake this
// project is about (taking a guest-physical number for a host-physical one) does not compile:
//
//   Gva a{0x1000};
//   std::optional<Gva> next = a.checked_add(8);         // nullopt when it would wrap
//   uint64_t where = a.offset_in(PageSize::k4K);        // 0
//   Gpa b = a;                                          // error: only a translator does that
//
// There are no arithmetic operators on purpose. Only walkers, the p2m and HostMemory turn one kind
// into another.

namespace gnomon {

template <class Space>
class Address {
 public:
  constexpr Address() = default;
  constexpr explicit Address(uint64_t value) : value_(value) {}

  static constexpr Address from_frame(uint64_t frame, PageSize size = PageSize::k4K) {
    return Address(frame << shift_of(size));
  }

  constexpr uint64_t value() const { return value_; }
  constexpr uint64_t frame(PageSize size = PageSize::k4K) const { return value_ >> shift_of(size); }
  constexpr uint64_t offset_in(PageSize size) const { return value_ & offset_mask(size); }
  constexpr Address page_base(PageSize size = PageSize::k4K) const {
    return Address(value_ & ~offset_mask(size));
  }
  /// The address `offset` bytes into this address's page; bits of `offset` above the page are cut.
  constexpr Address with_offset(PageSize size, uint64_t offset) const {
    return Address((value_ & ~offset_mask(size)) | (offset & offset_mask(size)));
  }
  constexpr bool is_aligned(PageSize size) const { return offset_in(size) == 0; }

  /// This address plus `bytes`; nullopt when the sum does not fit in 64 bits.
  constexpr std::optional<Address> checked_add(uint64_t bytes) const {
    if (value_ + bytes < value_) return std::nullopt;
    return Address(value_ + bytes);
  }

  friend constexpr auto operator<=>(Address, Address) = default;

  template <class H>
  friend H AbslHashValue(H h, Address a) {
    return H::combine(std::move(h), a.value_);
  }

 private:
  uint64_t value_ = 0;
};

/// Bytes from `from` up to `to`; nullopt when `to` lies below `from`.
template <class Space>
constexpr std::optional<uint64_t> offset_between(Address<Space> from, Address<Space> to) {
  if (to < from) return std::nullopt;
  return to.value() - from.value();
}

struct GvaSpace { static constexpr absl::string_view prefix = "gva:"; };
struct GpaSpace { static constexpr absl::string_view prefix = "gpa:"; };
struct HpaSpace { static constexpr absl::string_view prefix = "hpa:"; };
struct HvaSpace { static constexpr absl::string_view prefix = "hva:"; };

using Gva = Address<GvaSpace>;  ///< guest-virtual: what guest code uses
using Gpa = Address<GpaSpace>;  ///< guest-physical: what the guest's page tables hold
using Hpa = Address<HpaSpace>;  ///< host-physical (machine): a position in HostMemory
using Hva = Address<HvaSpace>;  ///< where this process sees a host frame

/// "gpa:0x0000000000001000": sixteen digits, with the prefix of the kind.
template <class Space>
std::string to_string(Address<Space> a) {
  return absl::StrFormat("%s0x%016x", Space::prefix, a.value());
}

}  // namespace gnomon

#endif  // GNOMON_BASE_ADDRESS_H_
