// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_RUN_OUTPUT_H_
#define TOOLS_RUN_OUTPUT_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gnomon/traces/trace_writer.h"
#include "gnomon/vmm/machine.h"

namespace gnomon::tools {

/// Where the guest's serial port goes: standard output, or text that is kept for --json.
class ConsoleOutput {
 public:
  explicit ConsoleOutput(bool keep) : keep_(keep) {}
  void take(absl::string_view bytes);
  /// Why standard output does not take any more; Aborted: its reader has gone.
  const absl::Status& status() const { return status_; }
  const std::string& kept() const { return kept_; }

 private:
  bool keep_;
  std::string kept_;
  absl::Status status_;
};

/// --events: a line for each exit of the guest.
class EventLog final : public vmm::MachineObserver {
 public:
  explicit EventLog(std::unique_ptr<ByteSink> file) : file_(std::move(file)) {}
  void on_exit(const vmm::ExitEvent& event) override;
  /// The first error of the file.
  const absl::Status& status() const { return status_; }
  /// Writes what is held back; the file appears.
  absl::Status finish();

 private:
  void write_out();

  std::unique_ptr<ByteSink> file_;
  std::string lines_;
  absl::Status status_;
};

}  // namespace gnomon::tools

#endif  // TOOLS_RUN_OUTPUT_H_
