// SPDX-License-Identifier: Apache-2.0
#include "gnomon/traces/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace gnomon {
namespace {

class DescriptorBytes final : public ByteSource {
 public:
  DescriptorBytes(int descriptor, bool owned, std::string name, std::optional<uint64_t> total)
      : descriptor_(descriptor), owned_(owned), name_(std::move(name)), total_(total) {}
  ~DescriptorBytes() override {
    if (owned_) close(descriptor_);
  }

  absl::StatusOr<size_t> read(absl::Span<char> to) override {
    while (true) {
      const ssize_t n = ::read(descriptor_, to.data(), to.size());
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR) {
        return absl::UnavailableError(absl::StrCat(name_, ": cannot read: ", strerror(errno)));
      }
    }
  }
  absl::string_view name() const override { return name_; }
  std::optional<uint64_t> total_bytes() const override { return total_; }

 private:
  int descriptor_;
  bool owned_;
  std::string name_;
  std::optional<uint64_t> total_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> open_bytes(absl::string_view path) {
  const bool standard_input = path == "-";
  const std::string name(standard_input ? "standard input" : path);
  const int descriptor = standard_input ? STDIN_FILENO : open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    const std::string text = absl::StrCat(name, ": cannot open: ", strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(text) : absl::FailedPreconditionError(text);
  }
  std::optional<uint64_t> total;
  struct stat info;
  if (fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode)) {
    total = static_cast<uint64_t>(info.st_size);
  }
  return std::make_unique<DescriptorBytes>(descriptor, !standard_input, name, total);
}

absl::StatusOr<size_t> MemoryBytes::read(absl::Span<char> to) {
  const size_t n = std::min({to.size(), rest_.size(), piece_});
  std::copy_n(rest_.data(), n, to.data());
  rest_.remove_prefix(n);
  return n;
}

}  // namespace gnomon
