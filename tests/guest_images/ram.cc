// SPDX-License-Identifier: Apache-2.0
#include "tests/guest_images/ram.h"

#include <algorithm>
#include <cstdlib>

namespace gnomon::vmm {

Ram::Ram(uint64_t bytes) {
  auto host = HostMemory::create(bytes + 16_MiB);
  if (!host.ok()) std::abort();
  host_ = *std::move(host);
  p2m_ = std::make_unique<P2m>(*host_);
  memory_ = std::make_unique<GuestMemory>(*p2m_);
  constexpr uint64_t kScreen = 0xa'0000, kBios = 0xf'0000, kHigh = 0x10'0000;
  const bool added = p2m_->add_slot(Gpa(0), kScreen).ok() &&
                     p2m_->add_mmio(Gpa(kScreen), 0x2'0000).ok() &&
                     p2m_->add_slot(Gpa(kBios), kHigh - kBios).ok() &&
                     p2m_->add_slot(Gpa(kHigh), bytes - kHigh).ok();
  if (!added) std::abort();
  map_ = {{0, 0x9'fc00, MemoryRange::Kind::kUsable},
          {0x9'fc00, 0x400, MemoryRange::Kind::kReserved},
          {kBios, kHigh - kBios, MemoryRange::Kind::kReserved},
          {kHigh, bytes - kHigh, MemoryRange::Kind::kUsable}};
}

std::vector<uint8_t> Ram::read(uint64_t from, size_t bytes) {
  std::vector<uint8_t> to(bytes);
  if (!memory_->read(Gpa(from), absl::MakeSpan(to))) to.clear();
  return to;
}

std::string Ram::string(uint64_t at) {
  constexpr size_t kMost = 4096;
  std::string text;
  uint8_t c = 0;
  while (text.size() < kMost && memory_->get(Gpa(at + text.size()), c) && c != 0) {
    text.push_back(static_cast<char>(c));
  }
  return text;
}

std::vector<uint64_t> Ram::backed_frames() {
  std::vector<uint64_t> found;
  p2m_->for_each_slot([&](Gpa first, uint64_t frames) {
    for (uint64_t i = 0; i < frames; ++i) {
      const Gpa at(first.value() + (i << shift_of(PageSize::k4K)));
      if (p2m_->lookup(at).is_ram()) found.push_back(at.value());
    }
  });
  return found;
}

absl::StatusOr<LoadedGuest> load(absl::string_view format, const std::vector<uint8_t>& image,
                                 Ram& ram, LoadOptions options) {
  options.image = "folder/image";
  for (const LoaderInfo& l : loaders()) {
    if (l.name == format) return l.load(options, image, ram.map(), ram.memory());
  }
  return absl::UnimplementedError("no such loader");
}

}  // namespace gnomon::vmm
