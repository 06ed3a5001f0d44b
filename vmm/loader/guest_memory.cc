// SPDX-License-Identifier: Apache-2.0
#include "gnomon/vmm/guest_memory.h"

#include <algorithm>
#include <cstring>
#include <mutex>

namespace gnomon::vmm {
namespace {

constexpr uint64_t kFrameBytes = bytes_of(PageSize::k4K);

/// Calls f(address, bytes) for the part in each frame until one returns false, or until the
/// addresses would wrap: none that high is RAM.
template <class F>
bool for_each_frame(Gpa from, uint64_t bytes, F&& f) {
  Gpa at = from;
  while (bytes != 0) {
    const uint64_t n = std::min(bytes, kFrameBytes - at.offset_in(PageSize::k4K));
    if (!f(at, n)) return false;
    bytes -= n;
    if (bytes == 0) break;
    const std::optional<Gpa> next = at.checked_add(n);
    if (!next) return false;
    at = *next;
  }
  return true;
}

uint8_t* bytes_at(const P2m& p2m, const P2mEntry& e, Gpa at) {
  return p2m.host().at<uint8_t>(e.frame().with_offset(PageSize::k4K, at.value()));
}

/// The frame's bytes for a store; null: not RAM, or the host is full.
uint8_t* writable(P2m& p2m, Gpa at) {
  const std::lock_guard<VmLock> guard(p2m.lock());
  const P2mEntry e = p2m.back(at);
  if (!e.is_ram()) return nullptr;
  if (e.write_logged()) p2m.mark_dirty(at);
  return bytes_at(p2m, e, at);
}

}  // namespace

bool GuestMemory::read(Gpa from, absl::Span<uint8_t> to) const {
  uint8_t* out = to.data();
  return for_each_frame(from, to.size(), [&](Gpa at, uint64_t n) {
    const P2mEntry e = p2m_.lookup(at);
    // A frame that nobody has touched is zero; looking does not cost the host one.
    if (e.state() == FrameState::kLazy) {
      std::memset(out, 0, n);
    } else if (e.is_ram()) {
      std::memcpy(out, bytes_at(p2m_, e, at), n);
    } else {
      return false;
    }
    out += n;
    return true;
  });
}

bool GuestMemory::write(Gpa to, absl::Span<const uint8_t> from) {
  const uint8_t* in = from.data();
  return for_each_frame(to, from.size(), [&](Gpa at, uint64_t n) {
    uint8_t* const bytes = writable(p2m_, at);
    if (bytes == nullptr) return false;
    std::memcpy(bytes, in, n);
    in += n;
    return true;
  });
}

bool GuestMemory::fill(Gpa to, uint64_t bytes, uint8_t value) {
  return for_each_frame(to, bytes, [&](Gpa at, uint64_t n) {
    // Zeroing what is still untouched would only take frames from the host: a large .bss is free.
    if (value == 0 && p2m_.lookup(at).state() == FrameState::kLazy) return true;
    uint8_t* const to_fill = writable(p2m_, at);
    if (to_fill == nullptr) return false;
    std::memset(to_fill, value, n);
    return true;
  });
}

}  // namespace gnomon::vmm
