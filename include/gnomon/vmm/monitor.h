// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_VMM_MONITOR_H_
#define GNOMON_VMM_MONITOR_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "gnomon/vmm/machine.h"

// The monitor: questions about a machine that stands still, and a few commands, in the words of QEMU's monitor
// (docs/debugging.md). What it shows it reads without a trace: no flag in the guest's tables is set, no frame is
// backed, nothing is counted.
//
//   Monitor monitor(*machine);
//   std::cout << monitor.run("info mem; x /4i $rip").text;

namespace gnomon::vmm {

struct MonitorContext;

struct MonitorAnswer {
  enum class Then : uint8_t {
    kStay,      ///< the next command, please
    kContinue,  ///< the machine is to run
    kQuit,      ///< the user ends it
    kEnded,     ///< it ended in a step: `end`
  };
  std::string text;  ///< whole lines; may be empty
  Then then = Then::kStay;
  std::optional<RunEnd> end;  ///< with kEnded
};

class Monitor {
 public:
  /// `machine` must outlive the monitor, and no processor may run while `run` does.
  explicit Monitor(Machine& machine);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  /// Executes a line: commands with `;` between them, up to the first that ends the conversation. What is wrong with one
  /// is told in one line of the answer.
  MonitorAnswer run(absl::string_view line);

  unsigned cpu() const;  ///< the processor that commands are about
  void set_cpu(unsigned number);

 private:
  std::unique_ptr<MonitorContext> context_;
};

}  // namespace gnomon::vmm

#endif  // GNOMON_VMM_MONITOR_H_
