// SPDX-License-Identifier: Apache-2.0
#include "gnomon/memory/host_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

namespace gnomon {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 46;

// splitmix64: every bit of the input reaches every bit of the output.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

void set_bit(std::vector<uint64_t>& bits, size_t i) { bits[i / 64] |= uint64_t{1} << (i % 64); }
void clear_bit(std::vector<uint64_t>& bits, size_t i) {
  bits[i / 64] &= ~(uint64_t{1} << (i % 64));
}

// An anonymous mapping at a 2 MiB boundary, so that a block can be one large page of the system's
// too: reserve more, then give back both ends.
uint8_t* map_aligned(uint64_t bytes) {
  const uint64_t align = bytes_of(PageSize::k2M);
  void* p = mmap(nullptr, bytes + align, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  uint8_t* start = static_cast<uint8_t*>(p);
  const uint64_t head = -reinterpret_cast<uintptr_t>(start) & (align - 1);
  if (head != 0) munmap(start, head);
  if (align != head) munmap(start + head + bytes, align - head);
  return start + head;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HostMemory>> HostMemory::create(uint64_t bytes) {
  if (bytes == 0) return absl::InvalidArgumentError("host memory of 0 bytes");
  if (bytes > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("host memory of 0x%x bytes is more than 2^46", bytes));
  }
  const uint64_t block = bytes_of(PageSize::k2M);
  bytes = (bytes + block - 1) & ~(block - 1);
  uint8_t* mapping = map_aligned(bytes);
  const std::string refused =
      absl::StrFormat("the system refuses to map 0x%x bytes of host memory", bytes);
  if (mapping == nullptr) return absl::ResourceExhaustedError(refused);
  std::unique_ptr<HostMemory> host(new HostMemory(mapping, bytes));
  if (!host->metadata_complete()) return absl::ResourceExhaustedError(refused);
  return host;
}

HostMemory::HostMemory(uint8_t* mapping, uint64_t bytes)
    : mapping_(mapping),
      bytes_(bytes),
      free_frames_(bytes >> shift_of(PageSize::k4K)),
      owners_(index(Hpa(kBase + bytes))),
      taken_(owners_.size() / 64),
      used_before_(owners_.size() / 64),
      taken_in_block_(owners_.size() / kFramesPerBlock) {
  const size_t blocks = (kBase + bytes) >> shift_of(PageSize::k2M);
  whole_in_giant_.resize((blocks + kBlocksPerGiant - 1) / kBlocksPerGiant);
  whole_.resize((blocks + 63) / 64);
  broken_.resize(whole_.size());
  for (size_t block = 1; block < blocks; ++block) {  // block 0 is below kBase
    set_bit(whole_, block);
    ++whole_in_giant_[block / kBlocksPerGiant];
  }
}

HostMemory::~HostMemory() { munmap(mapping_, bytes_); }

bool HostMemory::metadata_complete() const {
  return owners_.size() != 0 && taken_.size() != 0 && used_before_.size() != 0 &&
         taken_in_block_.size() != 0;
}

size_t HostMemory::find_first(const Bitmap& bits, size_t& hint) {
  while (hint < bits.size() && bits[hint] == 0) ++hint;
  return hint == bits.size() ? kNone : hint * 64 + std::countr_zero(bits[hint]);
}

std::optional<Hpa> HostMemory::allocate(FrameOwner owner, PageSize size) {
  assert(owner != FrameOwner::kFree);
  if (size == PageSize::k4K) {
    size_t block = find_first(broken_, first_broken_);
    if (block == kNone) block = find_first(whole_, first_whole_);
    if (block == kNone) return std::nullopt;
    return take_frame(free_frame_in(block, 0), owner);
  }
  if (size == PageSize::k2M) {
    const size_t block = find_first(whole_, first_whole_);
    if (block == kNone) return std::nullopt;
    return take_blocks(block, 1, owner);
  }
  if (size == PageSize::k1G) {
    const auto giant = std::find(whole_in_giant_.begin(), whole_in_giant_.end(), kBlocksPerGiant);
    if (giant == whole_in_giant_.end()) return std::nullopt;
    return take_blocks((giant - whole_in_giant_.begin()) * kBlocksPerGiant, kBlocksPerGiant, owner);
  }
  return std::nullopt;
}

std::optional<Hpa> HostMemory::allocate_scattered(FrameOwner owner, uint64_t random) {
  assert(owner != FrameOwner::kFree);
  if (free_frames_ == 0) return std::nullopt;
  const size_t frames = bytes_ >> shift_of(PageSize::k4K);
  size_t frame = 0;
  // A few draws find a free frame on all but a nearly full host; there, the next one upwards will
  // do.
  for (int draw = 0; draw < 8; ++draw) {
    random = mix(random);
    frame = index(Hpa(kBase)) + random % frames;
    if (!is_taken(frame)) return take_frame(frame, owner);
  }
  const size_t block = block_with_room(frame / kFramesPerBlock);
  return take_frame(free_frame_in(block, frame % kFramesPerBlock), owner);
}

// The first free frame of `block` at or after its frame number `start`, or before that. There is
// one.
size_t HostMemory::free_frame_in(size_t block, size_t start) const {
  const uint64_t* words = &taken_[block * kWordsPerBlock];
  const size_t first = start / 64;
  uint64_t visible = ~uint64_t{0} << (start % 64);
  for (size_t i = 0; i <= kWordsPerBlock; ++i) {
    const size_t word = (first + i) % kWordsPerBlock;
    const uint64_t free = ~words[word] & visible;
    if (free != 0) return block * kFramesPerBlock + word * 64 + std::countr_zero(free);
    visible = ~uint64_t{0};
  }
  assert(false && "no free frame in a block that should have one");
  return kNone;
}

// The first block with a free frame at or after block `start`, or before that. There is one.
size_t HostMemory::block_with_room(size_t start) const {
  uint64_t visible = ~uint64_t{0} << (start % 64);
  for (size_t i = 0; i <= whole_.size(); ++i) {
    const size_t word = (start / 64 + i) % whole_.size();
    const uint64_t room = (whole_[word] | broken_[word]) & visible;
    if (room != 0) return word * 64 + std::countr_zero(room);
    visible = ~uint64_t{0};
  }
  assert(false && "free frames are counted, but no block has one");
  return kNone;
}

// Puts `block` in the bitmap that its count calls for, after the count changed.
void HostMemory::block_changed(size_t block, size_t taken_before) {
  const size_t taken = taken_in_block_[block];
  if (taken_before == 0) {
    clear_bit(whole_, block);
    --whole_in_giant_[block / kBlocksPerGiant];
  }
  if (taken == 0) {
    clear_bit(broken_, block);
    set_bit(whole_, block);
    ++whole_in_giant_[block / kBlocksPerGiant];
    first_whole_ = std::min(first_whole_, block / 64);
  } else if (taken == kFramesPerBlock) {
    clear_bit(broken_, block);
  } else {
    set_bit(broken_, block);
    first_broken_ = std::min(first_broken_, block / 64);
  }
}

Hpa HostMemory::take_frame(size_t frame, FrameOwner owner) {
  const uint64_t bit = uint64_t{1} << (frame % 64);
  assert((taken_[frame / 64] & bit) == 0);
  taken_[frame / 64] |= bit;
  owners_[frame] = owner;
  --free_frames_;
  const size_t block = frame / kFramesPerBlock;
  block_changed(block, taken_in_block_[block]++);
  const Hpa hpa = Hpa::from_frame(frame);
  if ((used_before_[frame / 64] & bit) != 0) std::memset(at(hpa), 0, bytes_of(PageSize::k4K));
  used_before_[frame / 64] |= bit;
  return hpa;
}

std::optional<Hpa> HostMemory::take_blocks(size_t block, size_t count, FrameOwner owner) {
  zero_blocks(block, count);
  for (size_t b = block; b < block + count; ++b) {
    taken_in_block_[b] = kFramesPerBlock;
    block_changed(b, 0);
    std::fill_n(&taken_[b * kWordsPerBlock], kWordsPerBlock, ~uint64_t{0});
    std::fill_n(&used_before_[b * kWordsPerBlock], kWordsPerBlock, ~uint64_t{0});
    std::fill_n(&owners_[b * kFramesPerBlock], kFramesPerBlock, owner);
  }
  free_frames_ -= count * kFramesPerBlock;
  return Hpa::from_frame(block, PageSize::k2M);
}

void HostMemory::free(Hpa hpa, PageSize size) {
  assert(hpa.is_aligned(size) && contains(hpa, bytes_of(size)));
  if (size != PageSize::k4K) {
    assert(size == PageSize::k2M || size == PageSize::k1G);
    return free_blocks(hpa.frame(PageSize::k2M), bytes_of(size) >> shift_of(PageSize::k2M));
  }
  const size_t frame = index(hpa);
  assert(is_taken(frame) && "free of a frame that is free");
  taken_[frame / 64] &= ~(uint64_t{1} << (frame % 64));
  owners_[frame] = FrameOwner::kFree;
  ++free_frames_;
  const size_t block = frame / kFramesPerBlock;
  block_changed(block, taken_in_block_[block]--);
}

void HostMemory::free_blocks(size_t block, size_t count) {
  for (size_t b = block; b < block + count; ++b) {
    assert(taken_in_block_[b] == kFramesPerBlock && "free of a frame that is free");
    taken_in_block_[b] = 0;
    block_changed(b, kFramesPerBlock);
    std::fill_n(&taken_[b * kWordsPerBlock], kWordsPerBlock, 0);
    std::fill_n(&owners_[b * kFramesPerBlock], kFramesPerBlock, FrameOwner::kFree);
  }
  free_frames_ += count * kFramesPerBlock;
  zero_blocks(block, count);
}

// Makes blocks that nobody owns read as zero, by giving their memory back to the system.
void HostMemory::zero_blocks(size_t block, size_t count) {
  uint64_t* used = &used_before_[block * kWordsPerBlock];
  uint64_t* end = used + count * kWordsPerBlock;
  if (std::all_of(used, end, [](uint64_t word) { return word == 0; })) return;
  uint8_t* bytes = at(Hpa::from_frame(block, PageSize::k2M));
  const size_t size = count * bytes_of(PageSize::k2M);
  // Refused for locked memory, for example.
  if (madvise(bytes, size, MADV_DONTNEED) != 0) std::memset(bytes, 0, size);
  std::fill(used, end, 0);
}

}  // namespace gnomon
