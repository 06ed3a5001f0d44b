// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gnomon/traces/trace_writer.h"
#include "traces/io/compressed_sink.h"
#include "traces/io/unfinished.h"

namespace gnomon {
namespace {

/// `errno` as a status, with the file and what was done to it.
absl::Status system_error(absl::string_view name, absl::string_view what) {
  const int error = errno;
  const std::string text = absl::StrCat(name, ": cannot ", what, ": ", strerror(error));
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    return absl::ResourceExhaustedError(text);
  }
  if (error == ENOENT) return absl::NotFoundError(text);
  if (error == EPIPE) return absl::AbortedError(text);
  return absl::FailedPreconditionError(text);
}

absl::Status write_all(int descriptor, absl::string_view bytes, absl::string_view name) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(name, "write");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

/// Standard output, and what is no regular file: a device, a pipe.
class DirectSink final : public ByteSink {
 public:
  DirectSink(int descriptor, bool owned, std::string name)
      : descriptor_(descriptor), owned_(owned), name_(std::move(name)) {}
  ~DirectSink() override {
    if (owned_ && descriptor_ >= 0) close(descriptor_);
  }
  absl::Status write(absl::string_view bytes) override {
    return write_all(descriptor_, bytes, name_);
  }
  absl::Status finish() override {
    if (!owned_ || descriptor_ < 0) return absl::OkStatus();
    return close(std::exchange(descriptor_, -1)) == 0 ? absl::OkStatus()
                                                      : system_error(name_, "write");
  }
  absl::string_view name() const override { return name_; }

 private:
  int descriptor_;
  bool owned_;
  std::string name_;
};

/// A regular file: appears, or replaces the one before, when all of it is there.
class FileSink final : public ByteSink {
 public:
  FileSink(int descriptor, std::string temporary, std::unique_ptr<UnfinishedFile> mark,
           std::string target, std::string name)
      : descriptor_(descriptor),
        temporary_(std::move(temporary)),
        mark_(std::move(mark)),
        target_(std::move(target)),
        name_(std::move(name)) {}
  ~FileSink() override {
    if (descriptor_ >= 0) close(descriptor_);
    if (!finished_) unlink(temporary_.c_str());
  }
  absl::Status write(absl::string_view bytes) override {
    return write_all(descriptor_, bytes, name_);
  }
  absl::Status finish() override {
    if (finished_) return absl::OkStatus();
    // Some file systems say only here that there was no room.
    if (descriptor_ >= 0 && close(std::exchange(descriptor_, -1)) != 0) {
      return system_error(name_, "write");
    }
    if (rename(temporary_.c_str(), target_.c_str()) != 0) {
      return system_error(name_, absl::StrCat("rename ", temporary_, " to it"));
    }
    mark_.reset();
    finished_ = true;
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> keep(uint64_t bytes) override {
    if (finished_) return absl::FailedPreconditionError("it is finished");
    if (descriptor_ >= 0) close(std::exchange(descriptor_, -1));
    if (truncate(temporary_.c_str(), static_cast<off_t>(bytes)) != 0) {
      return system_error(name_, "cut");
    }
    // Unlike rename, link replaces nothing.
    std::string kept = absl::StrCat(target_, ".part");
    if (link(temporary_.c_str(), kept.c_str()) == 0) {
      unlink(temporary_.c_str());
    } else {
      kept = temporary_;
    }
    mark_.reset();
    finished_ = true;
    return kept;
  }
  absl::string_view name() const override { return name_; }

 private:
  int descriptor_;
  std::string temporary_;
  std::unique_ptr<UnfinishedFile> mark_;
  std::string target_;
  std::string name_;
  bool finished_ = false;
};

/// A file that was not there before, beside `target`. Its name is in `path`.
int create_beside(const std::string& target, std::string& path,
                  std::unique_ptr<UnfinishedFile>& mark) {
  // mkstemp would not obey the umask.
  for (int i = 0; i < 1000; ++i) {
    path = absl::StrCat(target, ".", getpid(), "-", i, ".part");
    mark = std::make_unique<UnfinishedFile>(path);
    const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST) return descriptor;
  }
  return -1;
}

/// Follows symbolic links, so that what they lead to is replaced and not they.
std::string resolved(const std::string& path) {
  char* const real = realpath(path.c_str(), nullptr);
  if (real == nullptr) return path;
  std::string result(real);
  free(real);  // NOLINT: realpath's
  return result;
}

absl::StatusOr<std::unique_ptr<ByteSink>> create_plain_sink(absl::string_view path) {
  if (path == "-") return std::make_unique<DirectSink>(STDOUT_FILENO, false, "standard output");
  const std::string name(path);
  struct stat info;
  const bool exists = stat(name.c_str(), &info) == 0;
  if (exists && !S_ISREG(info.st_mode)) {
    const int descriptor = open(name.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return system_error(name, "open for writing");
    return std::make_unique<DirectSink>(descriptor, true, name);
  }
  const std::string target = exists ? resolved(name) : name;
  // Not to be replaced by way of its directory if it could not be written to.
  if (exists && access(target.c_str(), W_OK) != 0) return system_error(name, "open for writing");
  std::string temporary;
  std::unique_ptr<UnfinishedFile> mark;
  const int descriptor = create_beside(target, temporary, mark);
  if (descriptor < 0) return system_error(name, absl::StrCat("create ", temporary));
  auto sink = std::make_unique<FileSink>(descriptor, temporary, std::move(mark), target, name);
  if (exists && fchmod(descriptor, info.st_mode & 07777) != 0) {
    return system_error(name, "keep its permissions");
  }
  return sink;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSink>> create_sink(absl::string_view path) {
  absl::StatusOr<std::unique_ptr<ByteSink>> sink = create_plain_sink(path);
  const absl::string_view suffix = compressed_suffix(path);
  if (!sink.ok() || suffix.empty()) return sink;
  return compress_into(*std::move(sink), suffix);
}

absl::Status StringSink::write(absl::string_view bytes) {
  bytes_.append(bytes.data(), bytes.size());
  return absl::OkStatus();
}

}  // namespace gnomon
