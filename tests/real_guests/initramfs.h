// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_REAL_GUESTS_INITRAMFS_H_
#define TESTS_REAL_GUESTS_INITRAMFS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace gnomon::vmm::real_guests {

/// A root file system for Linux: an archive in cpio's "newc" format
/// (Documentation/driver-api/early-userspace of the kernel), which needs no privileges to hold
/// device nodes.
class Initramfs {
 public:
  void directory(absl::string_view name) { add(name, 0040755, {}); }
  void program(absl::string_view name, absl::string_view bytes) { add(name, 0100755, bytes); }
  void link(absl::string_view name, absl::string_view target) { add(name, 0120777, target); }
  void character_device(absl::string_view name, uint32_t major, uint32_t minor) {
    add(name, 0020600, {}, major, minor);
  }
  /// All of it, with the archive's end.
  std::string finish();

 private:
  void add(absl::string_view name, uint32_t mode, absl::string_view bytes, uint32_t major = 0,
           uint32_t minor = 0);

  std::string archive_;
  uint32_t inode_ = 0;
};

}  // namespace gnomon::vmm::real_guests

#endif  // TESTS_REAL_GUESTS_INITRAMFS_H_
