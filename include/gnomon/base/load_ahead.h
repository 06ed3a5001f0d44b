// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_BASE_LOAD_AHEAD_H_
#define GNOMON_BASE_LOAD_AHEAD_H_

#include <cstdint>

namespace gnomon {

/// Brings the aligned word at `at` into our processor's caches. A load that nobody waits for, and no prefetch instruction:
/// processors may drop those where the address misses their own TLB, which it mostly does where this pays.
inline void load_ahead(const void* at) {
  static_cast<void>(__atomic_load_n(static_cast<const volatile uint64_t*>(at), __ATOMIC_RELAXED));
}

}  // namespace gnomon

#endif  // GNOMON_BASE_LOAD_AHEAD_H_
