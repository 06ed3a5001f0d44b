// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "vmm/devices/ide_drive.h"

// The commands of a drive, other than how data are transferred.

namespace gnomon::vmm {
namespace {

constexpr uint8_t kDrq = 0x08, kSeekComplete = 0x10, kDeviceFault = 0x20, kReady = 0x40;  // status
constexpr uint8_t kAborted = 0x04, kIdNotFound = 0x10;                                    // error
constexpr uint8_t kLbaBit = 0x40;

enum : uint8_t {
  kNop = 0x00,
  kDeviceReset = 0x08,
  kRecalibrate = 0x10,
  kReadSectors = 0x20,
  kReadSectorsOnce = 0x21,
  kReadSectorsExt = 0x24,
  kReadNativeMaxExt = 0x27,
  kReadMultipleExt = 0x29,
  kWriteSectors = 0x30,
  kWriteSectorsOnce = 0x31,
  kWriteSectorsExt = 0x34,
  kWriteMultipleExt = 0x39,
  kVerify = 0x40,
  kVerifyOnce = 0x41,
  kVerifyExt = 0x42,
  kSeek = 0x70,
  kDiagnostic = 0x90,
  kInitParameters = 0x91,
  kReadMultiple = 0xc4,
  kWriteMultiple = 0xc5,
  kSetMultiple = 0xc6,
  kStandbyNow = 0xe0,
  kIdleNow = 0xe1,
  kStandby = 0xe2,
  kIdle = 0xe3,
  kCheckPower = 0xe5,
  kSleep = 0xe6,
  kFlush = 0xe7,
  kFlushExt = 0xea,
  kIdentify = 0xec,
  kSetFeatures = 0xef,
  kReadNativeMax = 0xf8,
};

}  // namespace

void IdeDrive::identify() {
  const auto answer = identify_device(image_->sectors(), number_, geometry_, multiple_);
  buffer_.assign(answer.begin(), answer.end());
  transfer_ = Transfer::kToHost;
  at_ = 0;
  left_ = 0;
  error_ = 0;
  status_ = kReady | kSeekComplete | kDrq;
  interrupt_ = true;
}

void IdeDrive::set_features() {
  switch (registers_[kErrorFeatures]) {
    case 0x02:  // write cache on, off
    case 0x82:
    case 0x55:  // look-ahead off, on
    case 0xaa:
    case 0x66:  // keep, restore settings over a reset
    case 0xcc: finish(); return;
    case 0x03:  // transfer mode: PIO only
      if (registers_[kCount] >> 3 > 1 || (registers_[kCount] & 7) > 4) break;
      finish();
      return;
    default: break;
  }
  fail(kAborted);
}

void IdeDrive::initialize_parameters() {
  if (registers_[kCount] == 0) {
    fail(kAborted);
    return;
  }
  geometry_ =
      translated_geometry(image_->sectors(), (registers_[kDevice] & 15u) + 1, registers_[kCount]);
  finish();
}

void IdeDrive::verify(Addressing addressing) {
  if (!locate(addressing)) return;
  const uint64_t wanted_end = sector_ + left_;
  show_position(std::min(wanted_end - 1, image_->sectors()));
  if (wanted_end > image_->sectors()) {
    fail(kIdNotFound);
  } else {
    finish();
  }
}

void IdeDrive::read_native_size(Addressing addressing) {
  addressing_ = addressing;
  registers_[kDevice] |= kLbaBit;
  const uint64_t last = image_->sectors() - 1;
  show_position(addressing == Addressing::kLba48 ? last : std::min<uint64_t>(last, 0x0fff'ffff));
  finish();
}

void IdeDrive::execute(uint8_t command) {
  interrupt_ = false;
  constexpr auto kShort = Addressing::kLba28OrChs;
  constexpr auto kLong = Addressing::kLba48;
  if (command >> 4 == kRecalibrate >> 4 || command >> 4 == kSeek >> 4) {
    finish();
    return;
  }
  switch (command) {
    case kReadSectors:
    case kReadSectorsOnce: start(Transfer::kToHost, kShort, 1); break;
    case kReadSectorsExt: start(Transfer::kToHost, kLong, 1); break;
    case kReadMultiple: start(Transfer::kToHost, kShort, multiple_); break;
    case kReadMultipleExt: start(Transfer::kToHost, kLong, multiple_); break;
    case kWriteSectors:
    case kWriteSectorsOnce: start(Transfer::kFromHost, kShort, 1); break;
    case kWriteSectorsExt: start(Transfer::kFromHost, kLong, 1); break;
    case kWriteMultiple: start(Transfer::kFromHost, kShort, multiple_); break;
    case kWriteMultipleExt: start(Transfer::kFromHost, kLong, multiple_); break;
    case kVerify:
    case kVerifyOnce: verify(kShort); break;
    case kVerifyExt: verify(kLong); break;
    case kReadNativeMax: read_native_size(kShort); break;
    case kReadNativeMaxExt: read_native_size(kLong); break;
    case kIdentify: identify(); break;
    case kSetFeatures: set_features(); break;
    case kInitParameters: initialize_parameters(); break;
    case kSetMultiple: {
      const unsigned n = registers_[kCount];
      if (n > kMostSectorsPerBlock || (n & (n - 1)) != 0) {
        multiple_ = 0;
        fail(kAborted);
      } else {
        multiple_ = n;
        finish();
      }
      break;
    }
    case kFlush:
    case kFlushExt:
      if (const absl::Status status = image_->flush(); !status.ok()) {
        note(status);
        fail(kAborted);
        status_ |= kDeviceFault;
      } else {
        finish();
      }
      break;
    case kCheckPower:
      registers_[kCount] = 0xff;  // active
      finish();
      break;
    case kStandbyNow:
    case kIdleNow:
    case kStandby:
    case kIdle:
    case kSleep: finish(); break;
    case kDiagnostic:
      reset();
      interrupt_ = true;
      break;
    case kNop:
    case kDeviceReset:  // of packet devices only; for a disk it aborts
    default: fail(kAborted); break;
  }
}

}  // namespace gnomon::vmm
