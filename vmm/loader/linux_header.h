// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_LOADER_LINUX_HEADER_H_
#define VMM_LOADER_LINUX_HEADER_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vmm/loader/image_bytes.h"

// The setup header of a bzImage (Linux kernel documentation, "The Linux/x86 Boot Protocol").

namespace gnomon::vmm {

// Where its fields are, in the file and in the zero page alike.
namespace setup {
inline constexpr uint64_t kSetupSects = 0x1f1, kSysSize = 0x1f4, kVidMode = 0x1fa,
                          kBootFlag = 0x1fe, kJump = 0x200, kMagic = 0x202, kVersion = 0x206,
                          kKernelVersion = 0x20e, kTypeOfLoader = 0x210, kLoadFlags = 0x211,
                          kCode32Start = 0x214, kRamdiskImage = 0x218, kRamdiskSize = 0x21c,
                          kCmdLinePtr = 0x228, kInitrdAddrMax = 0x22c, kKernelAlignment = 0x230,
                          kRelocatable = 0x234, kXloadFlags = 0x236, kCmdLineSize = 0x238,
                          kSetupData = 0x250, kPrefAddress = 0x258, kInitSize = 0x260;
}  // namespace setup

/// What a kernel says of itself; fields that its protocol version lacks have the value that the
/// protocol gives them then.
struct LinuxHeader {
  uint16_t version = 0;      ///< 0x0202 to ...: major, minor
  uint64_t header_end = 0;   ///< file byte behind the setup header
  uint64_t code_offset = 0;  ///< file byte of the protected-mode code, which goes to the end
  uint64_t code_bytes = 0;
  uint64_t entry_offset = 0;  ///< of the 32-bit entry, from the start of that code
  uint64_t memory_bytes = 0;  ///< contiguous memory that the kernel needs where it runs
  uint64_t run_address = 0;   ///< where it would like to run; if not relocatable: where it does
  uint64_t alignment = 0;     ///< a power of two
  bool relocatable = false;
  bool entry64 = false;      ///< has a 64-bit entry, 0x200 bytes behind the 32-bit one
  uint32_t initrd_last = 0;  ///< highest address of an initrd's last byte
  uint32_t most_command_line = 0;
  std::string text;  ///< the kernel's name for itself, printable
};

absl::StatusOr<LinuxHeader> read_linux_header(absl::string_view file, ImageBytes image);

}  // namespace gnomon::vmm

#endif  // VMM_LOADER_LINUX_HEADER_H_
