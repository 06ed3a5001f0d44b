// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "gnomon/traces/gtrace.h"
#include "traces/gtrace/block_decoder.h"
#include "traces/gtrace/index.h"
#include "traces/gtrace/layout.h"
#include "traces/gtrace/scanner.h"

namespace gnomon {
namespace {

using gtrace::BlockDecoder;
using gtrace::BlockHeader;
using gtrace::Trailer;

class File {
 public:
  explicit File(const std::string& path)
      : path_(path), descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) {
      const std::string text = absl::StrCat(path_, ": cannot open: ", strerror(errno));
      status_ = errno == ENOENT ? absl::NotFoundError(text) : absl::FailedPreconditionError(text);
      return;
    }
    struct stat info;
    if (fstat(descriptor_, &info) == 0 && S_ISREG(info.st_mode)) {
      size_ = static_cast<uint64_t>(info.st_size);
    } else {
      status_ = absl::FailedPreconditionError(
          absl::StrCat(path_, ": blocks can be read one by one from regular files only"));
    }
  }
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const absl::Status& status() const { return status_; }
  uint64_t size() const { return size_; }

  /// Exactly these bytes, which must be in the file: nothing is allocated otherwise.
  absl::StatusOr<std::string> read(uint64_t offset, uint64_t count) const {
    if (count > size_ || offset > size_ - count) return cut_off(offset);
    std::string bytes(count, '\0');
    size_t done = 0;
    while (done < count) {
      const ssize_t n =
          pread(descriptor_, &bytes[done], count - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        return absl::UnavailableError(absl::StrCat(path_, ": cannot read: ", strerror(errno)));
      }
      if (n == 0) return cut_off(offset);
      done += static_cast<size_t>(n);
    }
    return bytes;
  }

 private:
  absl::Status cut_off(uint64_t offset) const {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": byte ", offset, ": the file ends before what should be there"));
  }

  std::string path_;
  int descriptor_;
  uint64_t size_ = 0;
  absl::Status status_;
};

/// By the trailer; nothing if anything about it is wrong.
absl::StatusOr<std::optional<std::vector<GtraceBlock>>> stored_index(const File& file) {
  if (file.size() < Trailer::kBytes) return std::nullopt;
  const uint64_t end = file.size() - Trailer::kBytes;
  const absl::StatusOr<std::string> last = file.read(end, Trailer::kBytes);
  if (!last.ok()) return last.status();
  const std::optional<Trailer> trailer = Trailer::decode(*last);
  const uint64_t most =
      gtrace::kIndexFront + gtrace::kMaxIndexRows * gtrace::kIndexRow + gtrace::kIndexChecksum;
  if (!trailer || trailer->index_offset > end || end - trailer->index_offset > most) {
    return std::nullopt;
  }
  const absl::StatusOr<std::string> bytes =
      file.read(trailer->index_offset, end - trailer->index_offset);
  if (!bytes.ok()) return bytes.status();
  return gtrace::decode_index(*bytes, trailer->index_offset);
}

absl::StatusOr<std::vector<GtraceBlock>> scan(const std::string& path) {
  absl::StatusOr<std::unique_ptr<ByteSource>> source = open_bytes(path);
  if (!source.ok()) return source.status();
  gtrace::Scanner scanner(**source, ReadMode::kLenient);
  TraceInfo info;
  if (absl::Status status = scanner.read_file_header(info); !status.ok()) return status;
  std::vector<GtraceBlock> blocks;
  uint64_t references = 0;
  while (true) {
    const absl::StatusOr<bool> found = scanner.next();
    if (!found.ok()) return found.status();
    if (!*found) break;
    const BlockHeader& header = scanner.header();
    blocks.push_back({scanner.offset(), BlockHeader::kBytes + uint64_t{header.stored},
                      header.references, header.events, references});
    references += header.references;
  }
  if (blocks.empty() && !scanner.first_fault().empty()) {
    return absl::InvalidArgumentError(scanner.first_fault());
  }
  return blocks;
}

absl::StatusOr<TraceBatch> decode_block(absl::string_view bytes) {
  const std::optional<BlockHeader> header = BlockHeader::decode(bytes);
  if (!header || header->stored != bytes.size() - BlockHeader::kBytes) {
    return absl::InvalidArgumentError("here is no whole block");
  }
  const absl::string_view stored = bytes.substr(BlockHeader::kBytes);
  if (gtrace::checksum(stored) != header->stored_checksum) {
    return absl::InvalidArgumentError("the contents of the block do not match their checksum");
  }
  BlockDecoder decoder;
  if (absl::Status status = decoder.start(*header, stored); !status.ok()) return status;
  TraceBatch batch;
  if (header->process != 0 || header->thread != 0) {
    batch.events.push_back({.kind = EventKind::kSwitch,
                            .process = header->process,
                            .thread = header->thread,
                            .text = {}});
    batch.records.push_back({Gva(0), 0, RecordKind::kEvent, false});
  }
  while (true) {
    constexpr size_t kStep = 1 << 14;
    const size_t front = batch.records.size();
    batch.records.resize(front + kStep);
    const absl::StatusOr<size_t> count =
        decoder.read(absl::MakeSpan(batch.records).subspan(front), batch.events);
    if (!count.ok()) return count.status();
    batch.records.resize(front + *count);
    if (*count == 0) return batch;
  }
}

}  // namespace

absl::StatusOr<std::vector<GtraceBlock>> read_gtrace_index(const std::string& path) {
  const File file(path);
  if (!file.status().ok()) return file.status();
  const absl::StatusOr<std::optional<std::vector<GtraceBlock>>> stored = stored_index(file);
  if (!stored.ok()) return stored.status();
  if (stored->has_value()) return **stored;
  return scan(path);
}

absl::StatusOr<TraceBatch> read_gtrace_block(const std::string& path, const GtraceBlock& block) {
  const File file(path);
  if (!file.status().ok()) return file.status();
  absl::Status fault = absl::InvalidArgumentError("no block has this size");
  if (block.bytes >= BlockHeader::kBytes &&
      block.bytes <= BlockHeader::kBytes + uint64_t{gtrace::kMaxStoredBytes}) {
    const absl::StatusOr<std::string> bytes = file.read(block.offset, block.bytes);
    if (!bytes.ok()) return bytes.status();
    absl::StatusOr<TraceBatch> batch = decode_block(*bytes);
    if (batch.ok()) return batch;
    fault = batch.status();
  }
  return absl::Status(fault.code(),
                      absl::StrCat(path, ": block at byte ", block.offset, ": ", fault.message()));
}

}  // namespace gnomon
