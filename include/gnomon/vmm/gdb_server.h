// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_VMM_GDB_SERVER_H_
#define GNOMON_VMM_GDB_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gnomon/vmm/machine.h"

// A server for GDB's remote protocol, on the loopback interface only (docs/debugging.md). The machine stands still until a
// debugger connects and lets it run; it runs in slices, between which the debugger is heard.

namespace gnomon::vmm {

struct GdbOptions {
  enum class Registers : uint8_t {
    kAuto,   ///< when a debugger connects: x86-64 if processor 0 is in long mode or the image is a 64-bit one, else i386
    kI386,
    kX86_64,
  };
  uint16_t port = 0;  ///< 0: one that is free
  Registers registers = Registers::kAuto;
  std::function<void(absl::string_view)> say;  ///< a line for the user; may be empty
};

class GdbServer {
 public:
  /// `machine` must outlive it. Unavailable: the port cannot be had.
  static absl::StatusOr<std::unique_ptr<GdbServer>> create(Machine& machine, const GdbOptions& options);
  virtual ~GdbServer() = default;

  virtual uint16_t port() const = 0;
  virtual bool connected() const = 0;

  enum class Turn : uint8_t {
    kStopped,  ///< nothing ran: the debugger wants it so, or there is none yet. Some time was waited
    kRan,      ///< `end` says how
    kKilled,   ///< the debugger ended the machine
  };
  /// Hears the debugger, and runs the machine if it may: as Machine::run, but what the debugger is told of (breakpoints, steps)
  /// is no end. A debugger that goes away without a word leaves the machine stopped, for the next one; after `detach` it goes on.
  virtual Turn run(uint64_t instructions, RunEnd& end) = 0;
  /// Tells the debugger, if there is one, that the machine has ended.
  virtual void finish(const RunEnd& end) = 0;
};

}  // namespace gnomon::vmm

#endif  // GNOMON_VMM_GDB_SERVER_H_
