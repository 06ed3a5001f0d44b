// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_MEMORY_LAZY_ARRAY_H_
#define GNOMON_MEMORY_LAZY_ARRAY_H_

#include <sys/mman.h>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace gnomon {

/// A fixed-size array of zero bytes that costs memory only where it was written: per-frame metadata
/// is reserved for the largest machine and paid for by the frames in use. It never moves, so that
/// elements can be read without a lock. All-zero bytes must be a valid T.
template <class T>
class LazyArray {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  /// Empty when the system refuses the mapping: compare size() with what was asked for.
  explicit LazyArray(size_t size) {
    if (size == 0 || size > ~size_t{0} / sizeof(T)) return;
    void* p = mmap(nullptr, size * sizeof(T), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return;
    data_ = static_cast<T*>(p);
    size_ = size;
  }
  ~LazyArray() {
    if (data_ != nullptr) munmap(data_, size_ * sizeof(T));
  }
  LazyArray(LazyArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  LazyArray& operator=(LazyArray&&) = delete;

  size_t size() const { return size_; }
  T* data() const { return data_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace gnomon

#endif  // GNOMON_MEMORY_LAZY_ARRAY_H_
