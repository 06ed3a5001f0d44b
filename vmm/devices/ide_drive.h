// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_IDE_DRIVE_H_
#define VMM_DEVICES_IDE_DRIVE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vmm/devices/disk_image.h"
#include "vmm/devices/ide_identify.h"

namespace gnomon::vmm {

/// One disk on an IDE channel: commands and PIO data transfers of ATA/ATAPI-6 (T13/1410D). Commands
/// take no time, so BSY is never seen.
class IdeDrive {
 public:
  /// Command block registers, by offset from the base port.
  enum Register : uint8_t {
    kData,
    kErrorFeatures,
    kCount,
    kLbaLow,
    kLbaMid,
    kLbaHigh,
    kDevice,
    kStatusCommand,
  };

  IdeDrive(std::unique_ptr<DiskImage> image, unsigned number);
  void power_on();
  /// SRST, DEVICE RESET and EXECUTE DEVICE DIAGNOSTIC leave the signature of a disk.
  void reset();

  /// kCount to kDevice; `previous`: what a register held before, for 48-bit commands.
  uint8_t read_register(Register which, bool previous) const;
  void write_register(Register which, uint8_t value);
  void execute(uint8_t command);

  uint8_t status() const { return status_; }
  uint8_t error() const { return error_; }
  /// INTRQ, before nIEN and the selection of the drive.
  bool interrupts() const { return interrupt_; }
  void clear_interrupt() { interrupt_ = false; }

  uint16_t read_data();
  void write_data(uint16_t value);

  const DiskImage& image() const { return *image_; }
  /// The first error of the image file, for the user; empty when there was none.
  const std::string& trouble() const { return trouble_; }

 private:
  enum class Transfer : uint8_t { kNone, kToHost, kFromHost };
  enum class Addressing : uint8_t { kLba28OrChs, kLba48 };

  void finish();
  void fail(uint8_t error);
  void note(const absl::Status& status);
  bool locate(Addressing addressing);
  void show_position(uint64_t sector);
  void start(Transfer direction, Addressing addressing, unsigned block);
  void begin_block();
  void read_block();
  void write_block();
  void identify();
  void set_features();
  void initialize_parameters();
  void verify(Addressing addressing);
  void read_native_size(Addressing addressing);

  std::unique_ptr<DiskImage> image_;
  unsigned number_;
  DiskGeometry geometry_;
  unsigned multiple_ = 0;  // sectors of a block of READ MULTIPLE; 0: not set

  std::array<uint8_t, 8> registers_{};
  std::array<uint8_t, 8> previous_{};
  uint8_t status_ = 0;
  uint8_t error_ = 0;
  bool interrupt_ = false;

  Transfer transfer_ = Transfer::kNone;
  Addressing addressing_ = Addressing::kLba28OrChs;
  uint64_t sector_ = 0;     // next on the medium
  uint32_t left_ = 0;       // sectors after the current block
  uint32_t block_ = 0;      // sectors of the current block
  unsigned per_block_ = 1;  // sectors of a full block
  std::vector<uint8_t> buffer_;
  size_t at_ = 0;  // of the next byte of the buffer
  std::string trouble_;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_IDE_DRIVE_H_
