// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_BOARD_BOARD_INFO_H_
#define VMM_BOARD_BOARD_INFO_H_

#include <cstdint>
#include <deque>

#include "gnomon/vmm/board.h"
#include "vmm/devices/ports.h"

namespace gnomon::vmm {

// One row of boards() each.
extern const BoardInfo kPcBoard;
extern const BoardInfo kMinimalBoard;

class DebugExit;
class PicPair;
class Pit;
class Uart;

/// The places of devices on the port bus. Boards do not overlap their own ports: asserted.
class PortPlan {
 public:
  void add(IoBus& bus, uint16_t base, uint16_t count, PortDevice& device);
  void add(IoBus& bus, uint16_t base, uint16_t count, IoHandler& handler);
  /// What every board has, at the same ports.
  void add_basics(IoBus& bus, PicPair& pic, Pit& pit, Uart& uart, DebugExit& debug_exit);

 private:
  std::deque<PortWindow> windows_;
};

}  // namespace gnomon::vmm

#endif  // VMM_BOARD_BOARD_INFO_H_
