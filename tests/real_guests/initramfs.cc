// SPDX-License-Identifier: Apache-2.0
#include "tests/real_guests/initramfs.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace gnomon::vmm::real_guests {

void Initramfs::add(absl::string_view name, uint32_t mode, absl::string_view bytes, uint32_t major,
                    uint32_t minor) {
  const auto align = [this] { archive_.resize((archive_.size() + 3) & ~size_t{3}); };
  archive_ += "070701";
  const auto size = static_cast<uint32_t>(bytes.size()),
             name_bytes = static_cast<uint32_t>(name.size() + 1);
  constexpr uint32_t kOwner = 0, kGroup = 0, kLinks = 1, kTime = 0, kDevice = 0, kNoChecksum = 0;
  for (const uint32_t field : {++inode_, mode, kOwner, kGroup, kLinks, kTime, size, kDevice,
                               kDevice, major, minor, name_bytes, kNoChecksum}) {
    absl::StrAppendFormat(&archive_, "%08X", field);
  }
  archive_.append(name.data(), name.size());
  archive_ += '\0';
  align();
  archive_.append(bytes.data(), bytes.size());
  align();
}

std::string Initramfs::finish() {
  add("TRAILER!!!", 0, {});
  return std::exchange(archive_, {});
}

}  // namespace gnomon::vmm::real_guests
