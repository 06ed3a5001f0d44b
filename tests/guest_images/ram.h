// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_GUEST_IMAGES_RAM_H_
#define TESTS_GUEST_IMAGES_RAM_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/vmm/loader.h"
#include "vmm/loader/image_bytes.h"

// A machine's memory without the machine, for loaders.

namespace gnomon::vmm {

/// RAM from 0 to 640 KiB less 1, a hole for the screen, RAM for a BIOS, and RAM from 1 MiB on.
class Ram {
 public:
  explicit Ram(uint64_t bytes = 64_MiB);

  GuestMemory& memory() { return *memory_; }
  const std::vector<MemoryRange>& map() const { return map_; }
  P2m& p2m() { return *p2m_; }

  std::vector<uint8_t> read(uint64_t from, size_t bytes);
  template <class T>
  T number(uint64_t at) {
    return number_at<T>(read(at, sizeof(T)), 0);
  }
  std::string string(uint64_t at);
  /// Base addresses of all frames that the host had to back.
  std::vector<uint64_t> backed_frames();

 private:
  std::unique_ptr<HostMemory> host_;
  std::unique_ptr<P2m> p2m_;
  std::unique_ptr<GuestMemory> memory_;
  std::vector<MemoryRange> map_;
};

/// Loads these bytes with the loader of that name, as the file "image".
absl::StatusOr<LoadedGuest> load(absl::string_view format, const std::vector<uint8_t>& image,
                                 Ram& ram, LoadOptions options = {});

}  // namespace gnomon::vmm

#endif  // TESTS_GUEST_IMAGES_RAM_H_
