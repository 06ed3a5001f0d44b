// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_MEMORY_BYTES_H_
#define GNOMON_MEMORY_BYTES_H_

#include <atomic>
#include <cstdint>

// A guest's stores and loads on bytes of host memory that other vCPUs may use at the same time. An
// aligned access of 1, 2, 4 or 8 bytes is a single one, as on the processor; others go byte by
// byte.

namespace gnomon {

/// Stores the low `size` (1..8) bytes of `value`, least significant first.
inline void store_bytes(uint8_t* to, uint64_t value, unsigned size) {
  const auto whole = [&]<class T>(T) {
    if (size != sizeof(T) || reinterpret_cast<uintptr_t>(to) % sizeof(T) != 0) return false;
    std::atomic_ref<T>(*reinterpret_cast<T*>(to))
        .store(static_cast<T>(value), std::memory_order_release);
    return true;
  };
  if (whole(uint64_t{}) || whole(uint32_t{}) || whole(uint16_t{})) return;
  for (unsigned i = 0; i < size; ++i) {
    std::atomic_ref<uint8_t>(to[i]).store(static_cast<uint8_t>(value >> (8 * i)),
                                          std::memory_order_release);
  }
}

/// Loads `size` (1..8) bytes, zero-extended.
inline uint64_t load_bytes(const uint8_t* from, unsigned size) {
  uint8_t* at = const_cast<uint8_t*>(from);  // atomic_ref of C++20 takes no const object
  uint64_t value = 0;
  const auto whole = [&]<class T>(T) {
    if (size != sizeof(T) || reinterpret_cast<uintptr_t>(at) % sizeof(T) != 0) return false;
    value = std::atomic_ref<T>(*reinterpret_cast<T*>(at)).load(std::memory_order_acquire);
    return true;
  };
  if (whole(uint64_t{}) || whole(uint32_t{}) || whole(uint16_t{})) return value;
  for (unsigned i = 0; i < size; ++i) {
    value |= uint64_t{std::atomic_ref<uint8_t>(at[i]).load(std::memory_order_acquire)} << (8 * i);
  }
  return value;
}

}  // namespace gnomon

#endif  // GNOMON_MEMORY_BYTES_H_
