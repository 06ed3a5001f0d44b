// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_SHADOW_SPTE_H_
#define MMU_SHADOW_SPTE_H_

#include <atomic>
#include <cstdint>

#include "gnomon/x86/format_long.h"

// Shadow entries are ordinary 64-bit entries of the host's processor, plus one kind of our own: the MMIO
// marker, which is present but has a bit set that the host's MAXPHYADDR reserves. The processor raises a
// reserved-bit fault for it, by which we know a device page without walking the guest's tables.

namespace gnomon::shadow {

/// Physical address width of the host processor that walks shadow tables; bit 51 is reserved for it.
inline constexpr uint8_t kHostMaxPhyAddr = 47;
inline constexpr uint64_t kMmioBit = uint64_t{1} << 51;
/// Host frames of a marker's field: bits 12..50.
inline constexpr uint64_t kMmioFrameMask = bit_range(50, 12);

inline uint64_t load_spte(const uint64_t& entry) {
  return std::atomic_ref<uint64_t>(const_cast<uint64_t&>(entry)).load(std::memory_order_acquire);
}
inline void store_spte(uint64_t& entry, uint64_t value) {
  std::atomic_ref<uint64_t>(entry).store(value, std::memory_order_release);
}

/// Agile paging: the entry holds the host address of a *guest* table, from which the walk goes on in nested
/// mode; the rights composed above it are in three bits of their own.
inline constexpr uint64_t kSwitchBit = uint64_t{1} << 52;
inline constexpr unsigned kSwitchRightsShift = 53;

constexpr bool is_present(uint64_t spte) { return (spte & pte::kPresent) != 0; }
constexpr bool is_mmio(uint64_t spte) { return is_present(spte) && (spte & kMmioBit) != 0; }
constexpr bool is_switch(uint64_t spte) { return is_present(spte) && (spte & kSwitchBit) != 0; }
/// Does this present entry of a page at `level` lead to another shadow page?
constexpr bool is_link(uint64_t spte, unsigned level) {
  return level > 1 && is_present(spte) && (spte & (pte::kLarge | kMmioBit | kSwitchBit)) == 0;
}
constexpr bool is_writable(uint64_t spte) { return (spte & pte::kWritable) != 0; }
constexpr bool shows_dirty(uint64_t spte) {
  constexpr uint64_t kAll = pte::kPresent | pte::kWritable | pte::kDirty;
  return (spte & kAll) == kAll && !is_mmio(spte);
}

/// What a leaf entry is made of.
struct LeafParts {
  Hpa frame;         ///< of the page, aligned to its size
  Rights rights;     ///< kRightWrite only if stores need not be seen
  uint8_t key;
  bool global;
  bool accessed = true;  ///< false: the processor is to tell when it uses the entry
  bool dirty = true;     ///< of a writable entry; false only with lazy flags
};

constexpr uint64_t make_leaf(const LeafParts& p, unsigned level) {
  return Long4::make_leaf(p.frame.value(), level, p.rights) |
         (p.accessed ? pte::kAccessed : 0) |
         (p.dirty && (p.rights & kRightWrite) != 0 ? pte::kDirty : 0) |
         (p.global ? pte::kGlobal : 0) | uint64_t{p.key} << pte::kKeyShift;
}
constexpr uint64_t make_link(Hpa table, Rights rights) {
  return Long4::make_table(table.value(), rights) | pte::kAccessed;
}
constexpr uint64_t make_switch(Hpa guest_table, Rights above) {
  return make_link(guest_table, kAllRights) | kSwitchBit | uint64_t{above} << kSwitchRightsShift;
}
constexpr Rights switch_rights(uint64_t spte) { return spte >> kSwitchRightsShift & kAllRights; }
constexpr bool fits_mmio(Gpa gpa) { return (gpa.value() & ~kMmioFrameMask & ~uint64_t{0xfff}) == 0; }
/// `dirty` says that the guest's dirty flag is set, so that a store needs no walk either.
constexpr uint64_t make_mmio(Gpa gpa, Rights rights, uint8_t key, bool dirty) {
  return (gpa.value() & kMmioFrameMask) | kMmioBit | pte::kPresent | Long4::encode_rights(rights) |
         (dirty ? pte::kDirty : 0) | uint64_t{key} << pte::kKeyShift;
}
constexpr Gpa mmio_frame(uint64_t spte) { return Gpa(spte & kMmioFrameMask); }

}  // namespace gnomon::shadow

#endif  // MMU_SHADOW_SPTE_H_
