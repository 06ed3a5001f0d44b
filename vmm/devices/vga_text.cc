// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/vga_text.h"

namespace gnomon::vmm {
namespace {

// Mode 3: 80 by 25 characters of 9 by 16 dots, colour.
constexpr uint8_t kCrtcMode3[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
                                  0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
                                  0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
constexpr uint8_t kSequencerMode3[] = {0x03, 0x00, 0x03, 0x00, 0x02};
constexpr uint8_t kGraphicsMode3[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
constexpr uint8_t kAttributeMode3[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14,
                                       0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d,
                                       0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
constexpr uint8_t kMiscMode3 = 0x67;

constexpr uint8_t kStartHigh = 0x0c, kStartLow = 0x0d;
constexpr uint8_t kGraphicsMisc = 6, kGraphicsMode = 1;
constexpr uint64_t kMemoryBytes = 0x8000;

template <size_t N>
std::array<uint8_t, 256> filled(const uint8_t (&values)[N]) {
  std::array<uint8_t, 256> data{};
  for (size_t i = 0; i < N; ++i) data[i] = values[i];
  return data;
}

}  // namespace

void VgaText::reset() {
  crtc_ = {0, filled(kCrtcMode3)};
  sequencer_ = {0, filled(kSequencerMode3)};
  graphics_ = {0, filled(kGraphicsMode3)};
  attribute_ = {0x20, filled(kAttributeMode3)};
  attribute_data_next_ = retrace_ = false;
  misc_ = kMiscMode3;
  feature_ = 0;
  palette_mask_ = 0xff;
  palette_ = {};
  palette_read_ = palette_write_ = 0;
}

uint8_t VgaText::read_palette() {
  const uint8_t value = palette_[palette_read_];
  palette_read_ = static_cast<uint16_t>((palette_read_ + 1u) % palette_.size());
  return value;
}

void VgaText::write_palette(uint8_t value) {
  palette_[palette_write_] = value & 0x3f;
  palette_write_ = static_cast<uint16_t>((palette_write_ + 1u) % palette_.size());
}

uint8_t VgaText::read_port(uint16_t port) {
  switch (port) {
    case 0x3b4:
    case 0x3d4: return crtc_.index;
    case 0x3b5:
    case 0x3d5: return crtc_.data[crtc_.index];
    case 0x3ba:
    case 0x3da:
      // Whoever waits for the beam to get there sees it with the next look.
      attribute_data_next_ = false;
      retrace_ = !retrace_;
      return retrace_ ? 0x09 : 0x00;
    case 0x3c0: return attribute_.index;
    case 0x3c1: return attribute_.data[attribute_.index & 0x1f];
    case 0x3c2: return 0x10;  // a colour monitor is there
    case 0x3c3: return 0x01;
    case 0x3c4: return sequencer_.index;
    case 0x3c5: return sequencer_.data[sequencer_.index];
    case 0x3c6: return palette_mask_;
    case 0x3c7: return 0x00;
    case 0x3c8: return static_cast<uint8_t>(palette_write_ / 3);
    case 0x3c9: return read_palette();
    case 0x3ca: return feature_;
    case 0x3cc: return misc_;
    case 0x3ce: return graphics_.index;
    case 0x3cf: return graphics_.data[graphics_.index];
    default: return 0xff;
  }
}

void VgaText::write_port(uint16_t port, uint8_t value) {
  switch (port) {
    case 0x3b4:
    case 0x3d4: crtc_.index = value; break;
    case 0x3b5:
    case 0x3d5: crtc_.data[crtc_.index] = value; break;
    case 0x3ba:
    case 0x3da: feature_ = value; break;
    case 0x3c0:
      if (attribute_data_next_) {
        attribute_.data[attribute_.index & 0x1f] = value;
      } else {
        attribute_.index = value & 0x3f;
      }
      attribute_data_next_ = !attribute_data_next_;
      break;
    case 0x3c2: misc_ = value; break;
    case 0x3c4: sequencer_.index = value; break;
    case 0x3c5: sequencer_.data[sequencer_.index] = value; break;
    case 0x3c6: palette_mask_ = value; break;
    case 0x3c7: palette_read_ = static_cast<uint16_t>(value * 3); break;
    case 0x3c8: palette_write_ = static_cast<uint16_t>(value * 3); break;
    case 0x3c9: write_palette(value); break;
    case 0x3ce: graphics_.index = value; break;
    case 0x3cf: graphics_.data[graphics_.index] = value; break;
    default: break;
  }
}

std::vector<std::string> VgaText::screen(const GuestMemory& memory) const {
  if ((graphics_.data[kGraphicsMisc] & kGraphicsMode) != 0) return {};
  const uint64_t start = uint64_t{crtc_.data[kStartHigh]} << 8 | crtc_.data[kStartLow];
  std::array<uint8_t, kMemoryBytes> cells{};
  if (!memory.read(Gpa(kMemory), absl::MakeSpan(cells))) return {};
  std::vector<std::string> lines(kRows);
  for (unsigned row = 0; row < kRows; ++row) {
    std::string& line = lines[row];
    size_t end = 0;
    for (unsigned column = 0; column < kColumns; ++column) {
      const uint64_t cell = (start + row * kColumns + column) * 2 % kMemoryBytes;
      const std::string text = utf8_of_cp437(cells[cell]);
      line += text;
      if (text != " ") end = line.size();
    }
    line.resize(end);
  }
  return lines;
}

}  // namespace gnomon::vmm
