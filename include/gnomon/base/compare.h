// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_BASE_COMPARE_H_
#define GNOMON_BASE_COMPARE_H_

#include <cstdint>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

// Comparisons of several array elements with one value in one step, where the processor has it. Bit
// n of an answer is set if element n is equal.

namespace gnomon {

/// Of 16 bytes.
inline uint32_t equal_bytes(const uint8_t* row, uint8_t value) {
#ifdef __SSE2__
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
  const __m128i same = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(static_cast<char>(value)));
  return static_cast<uint32_t>(_mm_movemask_epi8(same));
#else
  uint32_t equal = 0;
  for (uint32_t i = 0; i < 16; ++i) equal |= uint32_t{row[i] == value} << i;
  return equal;
#endif
}

/// Of 4 words.
inline uint32_t equal_words(const uint32_t* row, uint32_t value) {
#ifdef __SSE2__
  const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
  const __m128i same = _mm_cmpeq_epi32(words, _mm_set1_epi32(static_cast<int>(value)));
  return static_cast<uint32_t>(_mm_movemask_ps(_mm_castsi128_ps(same)));
#else
  uint32_t equal = 0;
  for (uint32_t i = 0; i < 4; ++i) equal |= uint32_t{row[i] == value} << i;
  return equal;
#endif
}

}  // namespace gnomon

#endif  // GNOMON_BASE_COMPARE_H_
