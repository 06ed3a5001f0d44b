// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_DEBUGGING_H_
#define TOOLS_DEBUGGING_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gnomon/vmm/gdb_server.h"
#include "gnomon/vmm/monitor.h"
#include "tools/console.h"
#include "tools/options.h"

namespace gnomon::tools {

/// The monitor of `gnomon run`, and its GDB server if there is one: docs/debugging.md.
class Debugging {
 public:
  /// As the options --gdb and --gdb-registers say. `machine` must outlive it.
  static absl::StatusOr<std::unique_ptr<Debugging>> create(vmm::Machine& machine,
                                                           const Arguments& arguments);

  /// As Machine::run, as far as a debugger lets it. `ran` is false if nothing was to run.
  /// False: the debugger ended the machine.
  bool run(uint64_t instructions, vmm::RunEnd& end, bool& ran);
  /// Is there somebody who may wake a machine that waits?
  bool attached() const { return gdb_ != nullptr && gdb_->connected(); }
  void finish(const vmm::RunEnd& end);

  /// Asks for commands on the terminal until one lets the machine go on. False: it is to end, as
  /// `end` says, or by the user's wish (then `by_user`).
  bool converse(Console& console, const vmm::RunEnd& why, vmm::RunEnd& end, bool& by_user);
  /// The answers to these commands.
  std::string answer(const std::string& commands) { return monitor_.run(commands).text; }

 private:
  explicit Debugging(vmm::Machine& machine) : machine_(machine), monitor_(machine) {}

  vmm::Machine& machine_;
  vmm::Monitor monitor_;
  std::unique_ptr<vmm::GdbServer> gdb_;
};

}  // namespace gnomon::tools

#endif  // TOOLS_DEBUGGING_H_
