// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_FW_CFG_H_
#define VMM_DEVICES_FW_CFG_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "gnomon/vmm/board.h"
#include "gnomon/vmm/io_bus.h"

namespace gnomon::vmm {

/// QEMU's firmware configuration device (its specification fw_cfg) without DMA: selector at port
/// 0x510 (16 bits), bytes of the selected item at 0x511. There are the signature, the interface's
/// version, RAM size, number of processors, and the file etc/e820.
class FwCfg : public IoHandler {
 public:
  FwCfg(const BoardOptions& options, const std::vector<MemoryRange>& memory_map);
  void reset();
  uint64_t io_read(const IoAccess& access) override;
  void io_write(const IoAccess& access, uint64_t value) override;

 private:
  uint8_t next_byte();

  std::map<uint16_t, std::vector<uint8_t>> items_;
  uint16_t selected_ = 0;
  size_t at_ = 0;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_FW_CFG_H_
