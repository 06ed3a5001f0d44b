// SPDX-License-Identifier: Apache-2.0
#include "tests/p2m_model/program.h"

#include <algorithm>

#include "tests/p2m_model/model.h"

namespace gnomon {

std::string run_p2m_program(const uint8_t* bytes, size_t size) {
  P2mModel m;
  size_t at = 0;
  const auto byte = [&]() -> uint64_t { return at < size ? bytes[at++] : 0; };
  const auto frame = [&] { return (byte() | byte() << 8) % P2mModel::kGuestFrames; };
  // A range inside the guest, of at most 2048 frames; often one that ends at a 2M boundary.
  const auto count_from = [&](uint64_t first) {
    const uint64_t raw = byte();
    const uint64_t n = raw & 0x80 ? ((raw & 3) + 1) * 512 - first % 512 : (raw & 0x7f) * 5;
    return std::min(n, P2mModel::kGuestFrames - first);
  };
  std::string difference;
  while (at < size && difference.empty() && m.operations() < 60) {
    const uint64_t operation =
        m.operations() < 2 ? 0 : byte() % 19;  // nothing happens without slots
    uint64_t f = frame();
    if (operation == 0 && f % 2 == 0) f &= ~uint64_t{511};
    switch (operation) {
      case 0: {
        const uint64_t bits = byte();
        SlotOptions options;
        options.backing = bits & 1 ? PageSize::k2M : bits & 2 ? PageSize::k1G : PageSize::k4K;
        options.placement = bits & 4 ? Placement::kScattered : Placement::kContiguous;
        options.lazy = (bits & 24) != 0;
        options.rom = (bits & 0xe0) == 0xe0;
        options.fragmented_percent = bits & 32 ? 0 : bits & 64 ? 50 : 100;
        options.seed = bits;
        difference = m.add_slot(f, count_from(f), options);
        break;
      }
      case 1: difference = m.add_mmio(f, count_from(f) % 16); break;
      case 2: difference = m.remove_slot(f & 1 ? f : f & ~uint64_t{511}); break;
      case 3: difference = m.back(f); break;
      case 4:
      case 5: difference = m.write(f); break;
      case 6: difference = m.remap(f); break;
      case 7: difference = m.balloon(f); break;
      case 8: difference = m.deflate(f); break;
      case 9: difference = m.split(f); break;
      case 10: difference = m.promote(f); break;
      case 11: difference = m.start_dirty_log(f, count_from(f)); break;
      case 12: difference = m.stop_dirty_log(f, count_from(f)); break;
      case 13: difference = m.take_dirty(f, count_from(f)); break;
      case 14: difference = m.mark_dirty(f); break;
      case 15: difference = m.host_takes(f & 1 ? PageSize::k4K : PageSize::k2M, f & 2, f); break;
      case 16: difference = m.host_gives_back(); break;
      case 17:  // the same frame again and again: states beyond the first
        for (int i = 0; i < 4 && difference.empty(); ++i) {
          switch (byte() % 6) {
            case 0: difference = m.balloon(f); break;
            case 1: difference = m.deflate(f); break;
            case 2: difference = m.write(f); break;
            case 3: difference = m.remap(f); break;
            case 4: difference = m.split(f); break;
            case 5: difference = m.promote(f); break;
          }
        }
        break;
      case 18:  // a run of neighbours
        for (uint64_t i = 0; i < 16 && f + i < P2mModel::kGuestFrames && difference.empty(); ++i) {
          difference = m.write(f + i);
        }
        break;
    }
  }
  return difference;
}

}  // namespace gnomon
