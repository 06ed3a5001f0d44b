// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/disk_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_format.h"

namespace gnomon::vmm {
namespace {

// Both give 0 or an error number; reading beyond the end of the file gives zeros.
int read_all(int descriptor, absl::Span<uint8_t> bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = pread(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) {
      std::fill(bytes.begin(), bytes.end(), uint8_t{0});
      return 0;
    }
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return 0;
}

int write_all(int descriptor, absl::Span<const uint8_t> bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : EIO;
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return 0;
}

absl::Status cannot_open(const std::string& path, int error) {
  return absl::ErrnoToStatus(error, absl::StrFormat("disk image %s", path));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DiskImage>> DiskImage::open(const std::string& path,
                                                           bool write_through) {
  // Not blocking: a pipe by that name must not hold the program.
  const int mode = write_through ? O_RDWR : O_RDONLY;
  const int descriptor = ::open(path.c_str(), mode | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return cannot_open(path, errno);
  struct stat about {};
  absl::Status status;
  if (fstat(descriptor, &about) != 0) {
    status = cannot_open(path, errno);
  } else if (!S_ISREG(about.st_mode)) {
    status = absl::InvalidArgumentError(absl::StrFormat("disk image %s: not a regular file", path));
  } else if (about.st_size <= 0) {
    status = absl::InvalidArgumentError(
        absl::StrFormat("disk image %s: empty; a disk has at least one sector of 512 bytes", path));
  }
  if (!status.ok()) {
    close(descriptor);
    return status;
  }
  return std::unique_ptr<DiskImage>(
      new DiskImage(path, descriptor, static_cast<uint64_t>(about.st_size), write_through));
}

DiskImage::DiskImage(std::string path, int descriptor, uint64_t file_bytes, bool write_through)
    : path_(std::move(path)),
      descriptor_(descriptor),
      file_bytes_(file_bytes),
      sectors_((file_bytes + kSectorBytes - 1) / kSectorBytes),
      write_through_(write_through) {}

DiskImage::~DiskImage() { close(descriptor_); }

absl::Status DiskImage::failure(absl::string_view what, uint64_t sector, int error) const {
  return absl::ErrnoToStatus(error, absl::StrFormat("disk image %s: %s sector %d (byte offset %d)",
                                                    path_, what, sector, sector * kSectorBytes));
}

absl::Status DiskImage::read(uint64_t sector, absl::Span<uint8_t> bytes) const {
  if (const auto changed = overlay_.find(sector); changed != overlay_.end()) {
    std::copy(changed->second->begin(), changed->second->end(), bytes.begin());
    return absl::OkStatus();
  }
  const int error = read_all(descriptor_, bytes, sector * kSectorBytes);
  return error == 0 ? absl::OkStatus() : failure("reading", sector, error);
}

absl::Status DiskImage::write(uint64_t sector, absl::Span<const uint8_t> bytes) {
  if (!write_through_) {
    std::unique_ptr<Sector>& copy = overlay_[sector];
    if (copy == nullptr) copy = std::make_unique<Sector>();
    std::copy(bytes.begin(), bytes.end(), copy->begin());
    return absl::OkStatus();
  }
  const int error = write_all(descriptor_, bytes, sector * kSectorBytes);
  return error == 0 ? absl::OkStatus() : failure("writing", sector, error);
}

absl::Status DiskImage::flush() {
  if (!write_through_ || fdatasync(descriptor_) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrFormat("disk image %s: flushing", path_));
}

}  // namespace gnomon::vmm
