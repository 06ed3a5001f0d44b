// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_BASE_OUTCOME_H_
#define GNOMON_BASE_OUTCOME_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "gnomon/base/address.h"
#include "gnomon/base/units.h"

// How a translation ends. A fault is an ordinary result here, never an exception and never a Status.

namespace gnomon {

enum class Outcome : uint8_t {
  kTranslated,     ///< reached a host frame
  kGuestFault,     ///< belongs to the guest: #PF with `error_code`, or #GP when not canonical
  kHostViolation,  ///< the guest may, but the host has no ordinary frame there (see HostCause)
  kNotBacked,      ///< the guest-physical address lies in no slot and no MMIO region
};

/// Why the host stopped an access that the guest's own tables allow.
enum class HostCause : uint8_t {
  kNone,
  kMmio,       ///< a device's region: the access is to be emulated at `gpa`
  kBallooned,  ///< the guest gave this frame back
  kReadOnly,   ///< a write to a read-only slot (also the A/D update of a table that lies in one)
  kNoMemory,   ///< the host has no frame left to back it with
};

/// Rights of one mapping, or of a whole walk (then each is the AND along the path). Bits, so that a set
/// of rights indexes a table of eight.
using Rights = uint8_t;
inline constexpr Rights kRightWrite = 1;
inline constexpr Rights kRightUser = 2;
inline constexpr Rights kRightExec = 4;
inline constexpr Rights kAllRights = 7;

/// Bits of the page-fault error code (SDM vol. 3, 4.7 "Page-Fault Exceptions").
namespace pf {
inline constexpr uint32_t kPresent = 1u << 0;   ///< P: a rights or reserved-bit violation, not absence
inline constexpr uint32_t kWrite = 1u << 1;     ///< W/R
inline constexpr uint32_t kUser = 1u << 2;      ///< U/S
inline constexpr uint32_t kReserved = 1u << 3;  ///< RSVD
inline constexpr uint32_t kFetch = 1u << 4;     ///< I/D, reported only with NXE (PAE formats) or SMEP
inline constexpr uint32_t kKey = 1u << 5;       ///< PK
/// Not an error code of the processor: set in `Translation::error_code` for a non-canonical address,
/// which raises #GP(0) (or #SS) rather than #PF.
inline constexpr uint32_t kNonCanonical = 1u << 31;
}  // namespace pf

/// The end of one access. `gpa` is valid for kTranslated, kHostViolation and kNotBacked (for a violation
/// met while reading a table it is the address of that table entry, and `level` its level; level 0 is
/// the data page itself).
struct Translation {
  Outcome outcome = Outcome::kNotBacked;
  HostCause cause = HostCause::kNone;
  uint8_t level = 0;              ///< level at which a fault or violation was met
  PageSize size = PageSize::k4K;  ///< largest piece around the address that the hardware may cache
  Rights rights = 0;              ///< what the hardware's entries grant, composed along the walk
  uint8_t key = 0;                ///< protection key
  bool global = false;
  /// A store may use a cached copy of this translation: the dirty flag is set and nothing on the host's
  /// side wants to see the next write. A TLB hit for a store needs it, whatever CR0.WP says.
  bool dirty = false;
  /// A TLB may keep it. False for an access that the VMM completed itself (emulated).
  bool cacheable = false;
  /// A store must go through Backend::write_physical (and, with a fully trapping virtual page
  /// directory, a load through read_physical), because the frame holds a tracked guest table.
  bool trapped = false;
  /// The guest's page is larger than `size`: INVLPG on any address of it must reach this piece too.
  bool splintered = false;
  uint32_t error_code = 0;  ///< kGuestFault only
  Gpa gpa;
  Hpa hpa;  ///< kTranslated only: the byte accessed

  bool ok() const { return outcome == Outcome::kTranslated; }
  friend bool operator==(const Translation&, const Translation&) = default;
};

absl::string_view name_of(Outcome outcome);
absl::string_view name_of(HostCause cause);
/// One line: "guest fault level 2 P W U", "translated gpa:0x… hpa:0x… 4K rw-".
std::string to_string(const Translation& t);

}  // namespace gnomon

#endif  // GNOMON_BASE_OUTCOME_H_
