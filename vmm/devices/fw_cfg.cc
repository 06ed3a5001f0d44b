// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/fw_cfg.h"

#include <utility>

#include "absl/strings/string_view.h"

namespace gnomon::vmm {
namespace {

enum : uint16_t {
  kSignature = 0x00,
  kVersion = 0x01,
  kUuid = 0x02,
  kRamSize = 0x03,
  kProcessors = 0x05,
  kMostProcessors = 0x0f,
  kDirectory = 0x19,
  kFirstFile = 0x20,
};

using Bytes = std::vector<uint8_t>;

void put_little(Bytes& bytes, uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}
void put_big(Bytes& bytes, uint64_t value, unsigned size) {
  for (unsigned i = size; i-- > 0;) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}
Bytes little(uint64_t value, unsigned size) {
  Bytes bytes;
  put_little(bytes, value, size);
  return bytes;
}

Bytes e820(const std::vector<MemoryRange>& memory_map) {
  Bytes bytes;
  for (const MemoryRange& range : memory_map) {
    put_little(bytes, range.base, 8);
    put_little(bytes, range.bytes, 8);
    put_little(bytes, static_cast<uint32_t>(range.kind), 4);
  }
  return bytes;
}

}  // namespace

FwCfg::FwCfg(const BoardOptions& options, const std::vector<MemoryRange>& memory_map) {
  items_[kSignature] = {'Q', 'E', 'M', 'U'};
  items_[kVersion] = little(1, 4);  // no DMA
  items_[kUuid] = Bytes(16);
  items_[kRamSize] = little(options.memory_bytes, 8);
  items_[kProcessors] = little(options.cpus, 2);
  items_[kMostProcessors] = little(options.cpus, 2);

  const absl::string_view name = "etc/e820";
  Bytes file = e820(memory_map);
  Bytes directory;
  put_big(directory, 1, 4);
  put_big(directory, file.size(), 4);
  put_big(directory, kFirstFile, 2);
  put_big(directory, 0, 2);
  directory.insert(directory.end(), name.begin(), name.end());
  directory.resize(4 + 64);
  items_[kDirectory] = std::move(directory);
  items_[kFirstFile] = std::move(file);
}

void FwCfg::reset() {
  selected_ = 0;
  at_ = 0;
}

uint8_t FwCfg::next_byte() {
  const auto item = items_.find(selected_);
  if (item == items_.end() || at_ >= item->second.size()) return 0;
  return item->second[at_++];
}

uint64_t FwCfg::io_read(const IoAccess& access) {
  if (access.offset == 0) return ~uint64_t{0};  // the selector cannot be read
  return next_byte();
}

void FwCfg::io_write(const IoAccess& access, uint64_t value) {
  if (access.offset != 0 || access.size != 2) return;
  selected_ = static_cast<uint16_t>(value);
  at_ = 0;
}

}  // namespace gnomon::vmm
