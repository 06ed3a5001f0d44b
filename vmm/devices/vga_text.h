// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_VGA_TEXT_H_
#define VMM_DEVICES_VGA_TEXT_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "gnomon/vmm/guest_memory.h"
#include "vmm/devices/ports.h"

namespace gnomon::vmm {

/// The registers of a VGA (IBM PS/2 Hardware Interface Technical Reference, video subsystem), ports
/// 0x3b4 to 0x3df, as firmware leaves them in mode 3. They keep what is written; only those that
/// decide about the text screen have an effect. Its memory, 0xa0000 to 0xbffff, is ordinary RAM.
class VgaText : public PortDevice {
 public:
  static constexpr uint64_t kMemory = 0xb'8000;
  static constexpr unsigned kColumns = 80, kRows = 25;

  VgaText() { reset(); }
  void reset();
  uint8_t read_port(uint16_t port) override;
  void write_port(uint16_t port, uint8_t value) override;

  /// 25 lines of UTF-8 without trailing blanks; none in a graphics mode.
  std::vector<std::string> screen(const GuestMemory& memory) const;

 private:
  struct Indexed {
    uint8_t index = 0;
    std::array<uint8_t, 256> data{};
  };

  uint8_t read_palette();
  void write_palette(uint8_t value);

  Indexed crtc_, sequencer_, graphics_, attribute_;
  bool attribute_data_next_ = false;
  bool retrace_ = false;
  uint8_t misc_ = 0;
  uint8_t feature_ = 0;
  uint8_t palette_mask_ = 0xff;
  std::array<uint8_t, 768> palette_{};
  uint16_t palette_read_ = 0, palette_write_ = 0;  // of the next component
};

/// A character of code page 437, as the VGA's font draws it, in UTF-8. Zero is a blank.
std::string utf8_of_cp437(uint8_t character);

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_VGA_TEXT_H_
