// SPDX-License-Identifier: Apache-2.0
#include "vmm/loader/placement.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/loader/image_bytes.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kFirstPage = 0x1000;

uint64_t end_of(const MemoryRange& r) {
  return sum(r.base, r.bytes).value_or(std::numeric_limits<uint64_t>::max());
}

}  // namespace

Placement::Placement(absl::string_view file, const std::vector<MemoryRange>& memory_map,
                     GuestMemory& memory)
    : file_(file), memory_map_(memory_map), memory_(memory) {
  std::vector<MemoryRange> sorted = memory_map;
  std::sort(sorted.begin(), sorted.end(),
            [](const MemoryRange& a, const MemoryRange& b) { return a.base < b.base; });
  for (const MemoryRange& r : sorted) {
    if (r.kind != MemoryRange::Kind::kUsable || r.bytes == 0) continue;
    if (!usable_.empty() && r.base <= usable_.back().end) {
      usable_.back().end = std::max(usable_.back().end, end_of(r));
    } else {
      usable_.push_back({r.base, end_of(r)});
    }
  }
  // Where a map calls a place both, it is reserved.
  for (const MemoryRange& r : sorted) {
    if (r.kind == MemoryRange::Kind::kUsable || r.bytes == 0) continue;
    std::vector<Range> rest;
    for (const Range& u : usable_) {
      if (u.base < std::min(u.end, r.base)) rest.push_back({u.base, std::min(u.end, r.base)});
      if (std::max(u.base, end_of(r)) < u.end) rest.push_back({std::max(u.base, end_of(r)), u.end});
    }
    usable_ = std::move(rest);
  }
}

bool Placement::usable(uint64_t base, uint64_t bytes) const {
  const std::optional<uint64_t> end = sum(base, bytes);
  if (!end) return false;
  return std::any_of(usable_.begin(), usable_.end(),
                     [&](const Range& r) { return base >= r.base && *end <= r.end; });
}

bool Placement::free(uint64_t base, uint64_t bytes) const {
  const std::optional<uint64_t> end = sum(base, bytes);
  if (!end) return false;
  const auto after = taken_.lower_bound(*end);
  return after == taken_.begin() || std::prev(after)->second <= base;
}

uint64_t Placement::usable_bytes() const {
  uint64_t all = 0;
  for (const Range& r : usable_) all += r.end - r.base;
  return all;
}

uint64_t Placement::usable_from(uint64_t base) const {
  for (const Range& r : usable_) {
    if (base >= r.base && base < r.end) return r.end - base;
  }
  return 0;
}

std::string Placement::usable_text() const {
  constexpr size_t kShown = 4;
  std::string text;
  for (size_t i = 0; i < usable_.size() && i < kShown; ++i) {
    absl::StrAppendFormat(&text, "%s0x%x to 0x%x", i == 0 ? "" : ", ", usable_[i].base,
                          usable_[i].end);
  }
  if (usable_.size() > kShown) text += ", ...";
  return text.empty() ? "none" : text;
}

absl::Status Placement::claim(const Claim& c) {
  if (c.bytes == 0) return absl::OkStatus();
  const std::string where = absl::StrFormat("%s wants %d bytes at 0x%x", c.what, c.bytes, c.base);
  if (c.bytes > usable_bytes()) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("%s: byte %d: %s, and the guest has %d bytes of RAM; give it more memory",
                        file_, c.file_byte, where, usable_bytes()));
  }
  if (!usable(c.base, c.bytes)) {
    return image_error(file_, c.file_byte,
                       absl::StrCat(where, ", where no usable RAM is (usable: ", usable_text(),
                                    "); give the guest more memory or link the image elsewhere"));
  }
  if (!free(c.base, c.bytes)) {
    return image_error(file_, c.file_byte,
                       absl::StrCat(where,
                                    ", where another part of the image lies; link it "
                                    "without overlaps"));
  }
  taken_[c.base] = c.base + c.bytes;
  return absl::OkStatus();
}

std::vector<Placement::Range> Placement::gaps(uint64_t from, uint64_t below) const {
  std::vector<Range> found;
  for (const Range& u : usable_) {
    uint64_t at = std::max({u.base, from, kFirstPage});
    const uint64_t end = std::min(u.end, below);
    auto next = taken_.lower_bound(at);
    if (next != taken_.begin()) at = std::max(at, std::prev(next)->second);
    for (; next != taken_.end() && next->first < end; ++next) {
      if (at < next->first) found.push_back({at, next->first});
      at = next->second;
    }
    if (at < end) found.push_back({at, end});
  }
  return found;
}

std::optional<uint64_t> Placement::take_low(uint64_t bytes, uint64_t alignment, uint64_t from,
                                            uint64_t below) {
  for (const Range& gap : gaps(from, below)) {
    const std::optional<uint64_t> base = align_up(gap.base, alignment);
    if (!base || *base > gap.end || bytes > gap.end - *base) continue;
    if (bytes != 0) taken_[*base] = *base + bytes;
    return base;
  }
  return std::nullopt;
}

std::optional<uint64_t> Placement::take_high(uint64_t bytes, uint64_t alignment, uint64_t from,
                                             uint64_t below) {
  const std::vector<Range> free_places = gaps(from, below);
  for (auto gap = free_places.rbegin(); gap != free_places.rend(); ++gap) {
    if (bytes > gap->end - gap->base) continue;
    const uint64_t base = (gap->end - bytes) & ~(alignment - 1);
    if (base < gap->base) continue;
    if (bytes != 0) taken_[base] = base + bytes;
    return base;
  }
  return std::nullopt;
}

absl::StatusOr<uint64_t> Placement::take_table(uint64_t bytes, uint64_t preferred,
                                               absl::string_view what) {
  constexpr uint64_t kPage = 0x1000;
  for (const auto& [from, below] :
       {std::pair{preferred, kOneMiB}, std::pair{uint64_t{0}, kFourGiB}}) {
    if (const std::optional<uint64_t> base = take_low(bytes, kPage, from, below)) return *base;
  }
  return absl::ResourceExhaustedError(
      absl::StrFormat("%s: no room for %s (%d bytes) beside the image; give the guest more memory",
                      file_, what, bytes));
}

absl::Status Placement::store(uint64_t base, absl::Span<const uint8_t> bytes) {
  if (memory_.write(Gpa(base), bytes)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrFormat("%s: no host memory behind guest memory 0x%x to 0x%x; give the host more",
                      file_, base, base + bytes.size()));
}

absl::Status Placement::clear(uint64_t base, uint64_t bytes) {
  if (memory_.fill(Gpa(base), bytes, 0)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrFormat("%s: no host memory behind guest memory 0x%x to 0x%x; give the host more",
                      file_, base, base + bytes));
}

}  // namespace gnomon::vmm
