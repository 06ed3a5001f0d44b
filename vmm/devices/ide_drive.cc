// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/ide_drive.h"

#include <algorithm>
#include <utility>

namespace gnomon::vmm {
namespace {

constexpr uint8_t kErr = 0x01, kDrq = 0x08, kSeekComplete = 0x10, kDeviceFault = 0x20,
                  kReady = 0x40;
constexpr uint8_t kAborted = 0x04, kIdNotFound = 0x10, kUncorrectable = 0x40;
constexpr uint8_t kLbaBit = 0x40;

}  // namespace

IdeDrive::IdeDrive(std::unique_ptr<DiskImage> image, unsigned number)
    : image_(std::move(image)), number_(number) {
  power_on();
}

void IdeDrive::power_on() {
  geometry_ = default_geometry(image_->sectors());
  multiple_ = 0;
  reset();
}

void IdeDrive::reset() {
  registers_ = previous_ = {};
  registers_[kCount] = registers_[kLbaLow] = 1;
  transfer_ = Transfer::kNone;
  status_ = kReady | kSeekComplete;
  error_ = 1;  // diagnostic code: passed
  interrupt_ = false;
}

uint8_t IdeDrive::read_register(Register which, bool previous) const {
  return previous && which != kDevice ? previous_[which] : registers_[which];
}

void IdeDrive::write_register(Register which, uint8_t value) {
  previous_[which] = registers_[which];
  registers_[which] = value;
}

void IdeDrive::finish() {
  transfer_ = Transfer::kNone;
  status_ = kReady | kSeekComplete;
  error_ = 0;
  interrupt_ = true;
}

void IdeDrive::fail(uint8_t error) {
  transfer_ = Transfer::kNone;
  status_ = kReady | kSeekComplete | kErr;
  error_ = error;
  interrupt_ = true;
}

void IdeDrive::note(const absl::Status& status) {
  if (trouble_.empty()) trouble_ = std::string(status.message());
}

// Takes the address and the count out of the registers. False: the command has failed.
bool IdeDrive::locate(Addressing addressing) {
  addressing_ = addressing;
  const auto& r = registers_;
  const uint64_t low = r[kLbaLow] | uint64_t{r[kLbaMid]} << 8 | uint64_t{r[kLbaHigh]} << 16;
  if (addressing == Addressing::kLba48) {
    const auto& p = previous_;
    sector_ =
        low | uint64_t{p[kLbaLow]} << 24 | uint64_t{p[kLbaMid]} << 32 | uint64_t{p[kLbaHigh]} << 40;
    left_ = r[kCount] | uint32_t{p[kCount]} << 8;
    if (left_ == 0) left_ = 65536;
  } else {
    left_ = r[kCount] == 0 ? 256 : r[kCount];
    if ((r[kDevice] & kLbaBit) != 0) {
      sector_ = low | uint64_t{r[kDevice] & 15u} << 24;
    } else {
      const uint32_t cylinder = r[kLbaMid] | uint32_t{r[kLbaHigh]} << 8;
      const uint32_t head = r[kDevice] & 15u, sector = r[kLbaLow];
      if (sector == 0 || sector > geometry_.sectors || head >= geometry_.heads ||
          cylinder >= geometry_.cylinders) {
        fail(kIdNotFound);
        return false;
      }
      sector_ = (uint64_t{cylinder} * geometry_.heads + head) * geometry_.sectors + sector - 1;
    }
  }
  if (sector_ >= image_->sectors()) {
    fail(kIdNotFound);
    return false;
  }
  return true;
}

// Registers name the sector that was last transferred, or where an error is.
void IdeDrive::show_position(uint64_t sector) {
  auto& r = registers_;
  if (addressing_ == Addressing::kLba28OrChs && (r[kDevice] & kLbaBit) == 0) {
    const uint64_t track = sector / geometry_.sectors;
    const uint64_t cylinder = track / geometry_.heads;
    r[kLbaLow] = static_cast<uint8_t>(sector % geometry_.sectors + 1);
    r[kLbaMid] = static_cast<uint8_t>(cylinder);
    r[kLbaHigh] = static_cast<uint8_t>(cylinder >> 8);
    r[kDevice] = static_cast<uint8_t>((r[kDevice] & 0xf0) | (track % geometry_.heads));
    return;
  }
  r[kLbaLow] = static_cast<uint8_t>(sector);
  r[kLbaMid] = static_cast<uint8_t>(sector >> 8);
  r[kLbaHigh] = static_cast<uint8_t>(sector >> 16);
  if (addressing_ == Addressing::kLba28OrChs) {
    r[kDevice] = static_cast<uint8_t>((r[kDevice] & 0xf0) | (sector >> 24 & 15));
    return;
  }
  previous_[kLbaLow] = static_cast<uint8_t>(sector >> 24);
  previous_[kLbaMid] = static_cast<uint8_t>(sector >> 32);
  previous_[kLbaHigh] = static_cast<uint8_t>(sector >> 40);
}

void IdeDrive::start(Transfer direction, Addressing addressing, unsigned block) {
  if (block == 0) {  // MULTIPLE before SET MULTIPLE MODE
    fail(kAborted);
    return;
  }
  if (!locate(addressing)) return;
  per_block_ = block;
  transfer_ = direction;
  if (direction == Transfer::kToHost) {
    read_block();
  } else {
    begin_block();  // the first block is asked for without an interrupt
  }
}

void IdeDrive::begin_block() {
  block_ = std::min(left_, per_block_);
  left_ -= block_;
  buffer_.assign(block_ * DiskImage::kSectorBytes, 0);
  at_ = 0;
  status_ = kReady | kSeekComplete | kDrq;
  error_ = 0;
}

void IdeDrive::read_block() {
  begin_block();
  for (uint32_t i = 0; i < block_; ++i) {
    if (sector_ >= image_->sectors()) {
      show_position(sector_);
      fail(kIdNotFound);
      return;
    }
    const absl::Status status = image_->read(
        sector_, absl::MakeSpan(&buffer_[i * DiskImage::kSectorBytes], DiskImage::kSectorBytes));
    if (!status.ok()) {
      note(status);
      show_position(sector_);
      fail(kUncorrectable);
      return;
    }
    show_position(sector_++);
  }
  interrupt_ = true;
}

void IdeDrive::write_block() {
  for (uint32_t i = 0; i < block_; ++i) {
    if (sector_ >= image_->sectors()) {
      show_position(sector_);
      fail(kIdNotFound);
      return;
    }
    const absl::Status status = image_->write(
        sector_,
        absl::MakeConstSpan(&buffer_[i * DiskImage::kSectorBytes], DiskImage::kSectorBytes));
    if (!status.ok()) {
      note(status);
      show_position(sector_);
      fail(kAborted);
      status_ |= kDeviceFault;
      return;
    }
    show_position(sector_++);
  }
  if (left_ == 0) {
    finish();
    return;
  }
  begin_block();
  interrupt_ = true;
}

uint16_t IdeDrive::read_data() {
  if (transfer_ != Transfer::kToHost) return 0;
  const uint16_t value = static_cast<uint16_t>(buffer_[at_] | buffer_[at_ + 1] << 8);
  at_ += 2;
  if (at_ < buffer_.size()) return value;
  if (left_ != 0) {
    read_block();
  } else {  // no interrupt at the end of a read
    transfer_ = Transfer::kNone;
    status_ = kReady | kSeekComplete;
  }
  return value;
}

void IdeDrive::write_data(uint16_t value) {
  if (transfer_ != Transfer::kFromHost) return;
  buffer_[at_] = static_cast<uint8_t>(value);
  buffer_[at_ + 1] = static_cast<uint8_t>(value >> 8);
  at_ += 2;
  if (at_ == buffer_.size()) write_block();
}

}  // namespace gnomon::vmm
