// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_IO_UNFINISHED_H_
#define TRACES_IO_UNFINISHED_H_

#include <string>

namespace gnomon {

/// Keeps the name of a file that is to go when a signal ends the process: see
/// remove_unfinished_files(). Made before the file is, so that there is no moment without it.
/// Beyond 64 files at a time the rest is not kept.
class UnfinishedFile {
 public:
  explicit UnfinishedFile(const std::string& path);
  ~UnfinishedFile();
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

 private:
  char* path_ = nullptr;  // a copy that lives until it is taken out of its slot; null: no room
  size_t slot_ = 0;
};

}  // namespace gnomon

#endif  // TRACES_IO_UNFINISHED_H_
