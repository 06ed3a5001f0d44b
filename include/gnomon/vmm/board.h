// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_VMM_BOARD_H_
#define GNOMON_VMM_BOARD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gnomon/vmm/clock.h"
#include "gnomon/vmm/guest_memory.h"
#include "gnomon/vmm/io_bus.h"

// A board: the devices around the processors, and how they are wired.

namespace gnomon::vmm {

/// What a board does to the machine it is in.
class MachineControl {
 public:
  virtual ~MachineControl() = default;
  // Messages between local APICs.
  virtual void send_init(unsigned cpu) = 0;
  virtual void send_startup(unsigned cpu, uint8_t vector) = 0;
  virtual void send_nmi(unsigned cpu) = 0;
  /// The guest asks for a reset (keyboard controller, port 0xcf9, ...).
  virtual void request_reset() = 0;
  /// The guest ends the machine with this status (debug-exit port, power-off).
  virtual void request_exit(int status) = 0;
};

struct BoardOptions {
  std::string board = "pc";            ///< a name in boards()
  unsigned cpus = 1;                   ///< 1 to 64
  uint64_t memory_bytes = 64u << 20;   ///< RAM from address 0; beyond 3 GiB it goes on at 4 GiB
  std::vector<std::string> disks;      ///< image files, in the order of the IDE drives (at most 4)
  /// Stores to disks go to the image file; otherwise into a copy-on-write overlay in memory.
  bool write_disks = false;
  uint64_t clock_seconds = 946684800;  ///< what the CMOS clock says at power-on, Unix time (fixed: runs repeat)
  /// The serial port's bytes go there.
  std::function<void(absl::string_view)> console_output;
};

/// A stretch of guest-physical addresses, as a firmware memory map has it.
struct MemoryRange {
  enum class Kind : uint8_t { kUsable = 1, kReserved = 2 };
  uint64_t base = 0;
  uint64_t bytes = 0;
  Kind kind = Kind::kUsable;
};

class Board {
 public:
  virtual ~Board() = default;

  virtual absl::string_view name() const = 0;
  virtual IoBus& ports() = 0;
  virtual IoBus& device_memory() = 0;  ///< by guest-physical address
  /// What firmware would report (E820), RAM and reserved; in address order.
  virtual std::vector<MemoryRange> memory_map() const = 0;
  /// Puts the firmware's tables (MP table, BIOS data area) into memory, once before the start.
  virtual absl::Status place_tables(GuestMemory& memory) = 0;

  /// A maskable interrupt that `cpu` would take if its EFLAGS.IF were set; acknowledging gives its vector and starts its
  /// service. Nullopt: it went away.
  virtual bool interrupt_pending(unsigned cpu) const = 0;
  virtual std::optional<uint8_t> acknowledge_interrupt(unsigned cpu) = 0;

  // The local APIC's side of CR8 and of the APIC base register; boards without one ignore them.
  virtual void set_task_priority(unsigned cpu, uint8_t cr8) = 0;
  virtual uint8_t task_priority(unsigned cpu) const = 0;
  virtual uint64_t apic_base(unsigned cpu) const = 0;             ///< IA32_APIC_BASE; 0: no APIC
  virtual bool set_apic_base(unsigned cpu, uint64_t value) = 0;   ///< false: #GP

  /// Bytes typed on the console, for the serial port. How many it took.
  virtual size_t console_input(absl::string_view bytes) = 0;
  /// The same as keys of the keyboard (US layout), on boards that have one. How many it took.
  virtual size_t keyboard_input(absl::string_view) { return 0; }
  /// What the user should know about devices, a sentence each: a disk image that was padded, the
  /// first error of one. Grows while the machine runs.
  virtual std::vector<std::string> notes() const { return {}; }
  /// The text screen as lines without trailing blanks; empty when there is none. `memory` is the guest's.
  virtual std::vector<std::string> text_screen(const GuestMemory& memory) const = 0;
  /// All devices as after power-on.
  virtual void reset() = 0;
};

struct BoardInfo {
  absl::string_view name;
  absl::string_view description;
  absl::StatusOr<std::unique_ptr<Board>> (*create)(const BoardOptions& options, Clock& clock,
                                                   MachineControl& control);
};
const std::vector<BoardInfo>& boards();
/// InvalidArgument (unknown board, too many processors or disks), and what opening a disk says.
absl::StatusOr<std::unique_ptr<Board>> create_board(const BoardOptions& options, Clock& clock,
                                                    MachineControl& control);

}  // namespace gnomon::vmm

#endif  // GNOMON_VMM_BOARD_H_
