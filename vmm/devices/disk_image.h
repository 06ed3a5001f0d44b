// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_DISK_IMAGE_H_
#define VMM_DEVICES_DISK_IMAGE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace gnomon::vmm {

/// The sectors of a disk in an image file. Unless it writes through, the file stays as it is, and
/// changed sectors are kept in memory (at most the size of the disk).
class DiskImage {
 public:
  static constexpr uint64_t kSectorBytes = 512;

  /// NotFound, PermissionDenied and so on as the system says; InvalidArgument: not a regular file,
  /// or empty.
  static absl::StatusOr<std::unique_ptr<DiskImage>> open(const std::string& path,
                                                         bool write_through);
  ~DiskImage();
  DiskImage(const DiskImage&) = delete;
  DiskImage& operator=(const DiskImage&) = delete;

  const std::string& path() const { return path_; }
  uint64_t sectors() const { return sectors_; }
  /// Zeros that stand for what the file lacks of its last sector.
  uint64_t padding_bytes() const { return sectors_ * kSectorBytes - file_bytes_; }
  uint64_t changed_sectors() const { return overlay_.size(); }

  /// `bytes` is one sector, `sector` below sectors(). Errors: what the system says.
  absl::Status read(uint64_t sector, absl::Span<uint8_t> bytes) const;
  absl::Status write(uint64_t sector, absl::Span<const uint8_t> bytes);
  /// Brings what was written through to the medium.
  absl::Status flush();

 private:
  using Sector = std::array<uint8_t, kSectorBytes>;

  DiskImage(std::string path, int descriptor, uint64_t file_bytes, bool write_through);
  absl::Status failure(absl::string_view what, uint64_t sector, int error) const;

  std::string path_;
  int descriptor_;
  uint64_t file_bytes_;
  uint64_t sectors_;
  bool write_through_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Sector>> overlay_;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_DISK_IMAGE_H_
